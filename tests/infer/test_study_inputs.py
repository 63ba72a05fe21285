"""A study as the input of infer.py: who is looked at, what the run keeps, and what a resumed run goes by."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from fer.config.compose import refuse_executable_yaml
from fer.errors import ConfigError, ExitCode
from fer.infer import study_report
from fer.infer.dry_run import dry_run
from fer.infer.inputs import list_inputs
from fer.infer.pipeline import create_run, infer
from fer.infer.study_inputs import check_media, map_media_names, read_run_study, write_study
from fer.reports.study_data import StudyData
from fer.runs.program import user_errors_to_exit_code
from fer.runs.run_directory import load_run_config
from fer.study.checks import keep_consenting
from fer.study.pipeline import StudyInput, analyze_study
from fer.study.reading import read_study
from fer.video.media import Media
from tests.helpers.study_runs import change, configure


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (
            "extraction.input=.",
            "extraction: input cannot be named beside extraction.study, whose file has its own; leave "
            "out extraction.input (extraction.input=null)",
        ),
        (
            "extraction.groups=groups.csv",
            "extraction: groups cannot be named beside extraction.study, whose file has its "
            "own; leave out extraction.groups (extraction.groups=null)",
        ),
        (
            "extraction.baseline_seconds=2",
            "extraction: baseline_seconds has no effect on extraction.study; name the window "
            "in the study's file: baseline",
        ),
    ],
)
def test_nothing_else_says_what_the_input_is(
    override: str, sentence: str, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(study.parent)
    (study.parent / "groups.csv").touch()
    with pytest.raises(ConfigError) as raised:
        configure(study, override)
    assert str(raised.value) == sentence


def test_recordings_with_consent_are_the_input(study: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = configure(study)
    files = tuple(str(tmp_path / name / "clip.mp4") for name in ("p1", "p2"))
    assert list_inputs(config) == files
    config, run, media = create_run(config, tmp_path / "run")
    assert tuple(str(item.path) for item in media) == files
    assert [item.name for item in media] == ["p1/clip.mp4", "p2/clip.mp4"]
    kept = read_run_study(run.directory)
    assert map_media_names(kept, media) == dict(zip(files, ("p1/clip.mp4", "p2/clip.mp4"), strict=True))
    assert "1 recording of 1 respondent without consent was left out, and not opened" in caplog.text
    facts = json.loads((run.directory / "provenance.json").read_text(encoding="utf-8"))["study"]
    assert facts["file"] == str(study) and len(facts["sha256"]) == 64
    assert facts["excluded"] == {"recordings": 1, "respondents": 1}
    assert load_run_config(run.directory, "infer").extraction.study == str(study)
    run.finish("finished")


def test_who_has_not_agreed_is_counted_in_a_run_and_named_nowhere(
    study: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def add(content: dict[str, Any]) -> None:
        content["respondents"]["p3"]["groups"] = {"diagnosis": "secret"}
        content["respondents"] |= {"absentee": {"groups": {"diagnosis": "secret"}}, "p5": {"consent": True}}
        content["recordings"].append({**content["recordings"][1], "file": "p3/again.mp4", "condition": "again"})

    change(study, add)
    _, run, _ = create_run(configure(study), tmp_path / "run")
    run.finish("interrupted")
    kept = {path.name: path.read_text(encoding="utf-8") for path in run.directory.rglob("*") if path.is_file()}
    assert {"study.yaml", "provenance.json", "media.json"} <= kept.keys()
    for text in (*kept.values(), caplog.text):
        assert not any(word in text for word in ("p3", "absentee", "secret", "diagnosis"))
    assert "# Left out of this copy, for want of consent: 2 recording(s) of 1 respondent(s)." in kept["study.yaml"]
    assert "respondents without a recording: p5 and 1 without consent" in kept["provenance.json"]
    # The comment stays when the copy is written anew.
    write_study(run.directory, read_run_study(run.directory))
    assert (run.directory / "study.yaml").read_text(encoding="utf-8") == kept["study.yaml"]


def test_the_run_s_copy_is_the_study_as_it_was_understood(begun: Path, study: Path, tmp_path: Path) -> None:
    assert read_study(begun / "study.yaml") == read_run_study(begun) == keep_consenting(read_study(study))
    # And a study again, from wherever.
    _, run, media = create_run(configure(begun / "study.yaml"), tmp_path / "again")
    assert len(media) == 2
    assert read_run_study(run.directory) == read_run_study(begun)
    run.finish("finished")


def test_a_mistake_leaves_no_run_behind(study: Path, tmp_path: Path) -> None:
    change(study, lambda content: content["recordings"].append({"file": "x", "respondent": "p9", "stimulus": "spot"}))
    with pytest.raises(
        ConfigError, match=r"recordings.4 \(x\): respondent=p9: there is no such respondent; allowed are p1, p2, p3"
    ):
        create_run(configure(study), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_recordings_in_s3_are_told_apart_by_their_uri(study: Path) -> None:
    uri = "s3://bucket/videos/a.mp4"
    content = yaml.safe_load(study.read_text(encoding="utf-8"))
    content["recordings"] = [{"file": uri, "respondent": "p1", "stimulus": "spot"}]
    study.write_text(yaml.safe_dump(content), encoding="utf-8")
    found = read_study(study)
    media = [Media(Path("/run/fetched/a.mp4"), "a.mp4", "video", uri)]
    assert map_media_names(found, media) == {uri: "a.mp4"}
    check_media(found, media, "extraction.study=x")
    with pytest.raises(
        ConfigError, match="the run does not look at s3://bucket/videos/a.mp4 as one video; name a single"
    ):
        check_media(found, [], "extraction.study=x")


def test_a_run_s_study_may_hold_any_names_but_no_code(begun: Path) -> None:
    copy = begun / "study.yaml"
    names = ["--config-dir", str(begun), "--config-name", "run"]
    # Names that Hydra would call something by, and more than a configuration may have.
    groups = {f"column {number}": "x" * 400 for number in range(400)} | {"class": "7b", "price": "${oc.env:HOME}"}
    change(copy, lambda content: content["respondents"]["p1"].update(groups=groups))
    refuse_executable_yaml(names)
    change(copy, lambda content: content["respondents"]["p1"].update(groups={}))
    for line in ("# @package hydra\n", "hydra: {searchpath: ['file:///elsewhere']}\n", "_target_: os.system\n"):
        text = copy.read_text(encoding="utf-8")
        copy.write_text(line + text, encoding="utf-8")
        with pytest.raises(ConfigError, match="which could run code"):
            refuse_executable_yaml(names)
        copy.write_text(text, encoding="utf-8")


@pytest.mark.slow
def test_the_report_hands_the_study_to_its_analysis(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[tuple[StudyInput, int]] = []

    def analyze(found: StudyInput, seed: int) -> StudyData:
        called.append((found, seed))
        return analyze_study(found, seed)

    monkeypatch.setattr(study_report, "analyze_study", analyze)
    # No face is in these clips: the run ends with 1, and is analysed all the same.
    assert infer(configure(study, "seed=7"), tmp_path / "run") == ExitCode.ERROR
    ((found, seed),) = called
    directory = tmp_path / "run"
    assert (found.directory, seed) == (directory, 7) and found.study == read_run_study(directory)
    assert set(found.names.values()) == {"p1/clip.mp4", "p2/clip.mp4"} == set(found.table["video"])
    assert "s_happiness" in found.table
    assert "No input was named" not in (directory / "report.html").read_text(encoding="utf-8")
    # Of nobody there is a page, too.
    assert "</html>" in (directory / "study.html").read_text(encoding="utf-8")
    assert (directory / "study" / "recordings.csv").is_file()


def test_a_dry_run_checks_a_study_as_a_run_does(
    study: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("INFO")
    dry_run(configure(study, "dry_run=true"))
    assert json.loads(capsys.readouterr().out) == []
    assert f"{study}: 3 recordings, 2 with consent, 0 contrasts: all checks passed" in caplog.text
    events = [{"name": "late", "time_s": 5}]
    change(study, lambda content: content["stimuli"]["spot"].update(events=events))
    with pytest.raises(ConfigError, match=r"events.1 \(late\): time_s=5: lies behind the end of the stimulus"):
        dry_run(configure(study, "dry_run=true"))


def test_a_dry_run_names_a_missing_recording_by_its_entry(study: Path) -> None:
    change(study, lambda content: content["recordings"][0].update(file="p1/clpi.mp4"))
    with pytest.raises(ConfigError, match=r"recordings.1 \(clpi.mp4\): file=.*no such file; did you mean clip.mp4\?"):
        dry_run(configure(study, "dry_run=true"))


def test_after_a_mistake_the_keys_of_a_study_are_named_and_not_those_of_a_training(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(study, lambda content: content["recordings"][0].update(onst_s=1))
    with pytest.raises(SystemExit) as raised, user_errors_to_exit_code():
        list_inputs(configure(study))
    assert raised.value.code == ExitCode.CONFIG
    error = capsys.readouterr().err
    assert "docs study`" in error and "docs/reference/study-file.md" in error and "train" not in error
