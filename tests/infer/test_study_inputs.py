"""A study as the input of infer.py: who is looked at, what the run keeps, and what a resumed run goes by."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fer.config import Config
from fer.config.compose import load_overrides, refuse_executable_yaml
from fer.config.study import Study
from fer.errors import ConfigError, ExitCode
from fer.infer import resume as resuming
from fer.infer import study_report
from fer.infer.dry_run import dry_run
from fer.infer.inputs import list_inputs
from fer.infer.pipeline import create_run, infer, validate_and_pin
from fer.infer.resume import resume
from fer.infer.study_inputs import check_media, map_media_names, read_run_study, write_study
from fer.reports.study_data import StudyData
from fer.runs.program import user_errors_to_exit_code
from fer.runs.run_directory import load_run_config, read_provenance
from fer.study.checks import keep_consenting
from fer.study.pipeline import StudyInput, analyze_study
from fer.study.reading import read_study
from fer.video.media import Media
from tests.helpers.clips import write_clip


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two recordings with consent, of the same name in two folders; a third without, which is no video at all."""
    content = {
        "stimuli": {"spot": {"duration_s": 1}},
        "respondents": {"p1": {"consent": True}, "p2": {"consent": True}, "p3": {"consent": False}},
        "recordings": [
            {"file": f"{name}/clip.mp4", "respondent": name, "stimulus": "spot"} for name in ("p1", "p3", "p2")
        ],
    }
    for name in ("p1", "p2", "p3"):
        (tmp_path / name).mkdir()
        write_clip(tmp_path / name / "clip.mp4", range(30))
    (tmp_path / "p3" / "clip.mp4").write_bytes(b"no video")
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def configure(study: Path, *overrides: str, saved: Path | None = None) -> Config:
    named = [f"extraction.study={study}"] if saved is None else []
    return load_overrides(["extraction=haar", *named, *overrides] if saved is None else [*overrides], "infer", saved)


@pytest.fixture
def begun(study: Path, tmp_path: Path) -> Path:
    """A run that was begun."""
    _, run, _ = create_run(validate_and_pin(configure(study)), tmp_path / "run")
    run.finish("interrupted")
    return tmp_path / "run"


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


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


@pytest.fixture
def resumed(begun: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Study]:
    """Resume the run that was begun, without doing anything; returns the study that it goes by."""

    def do(*overrides: str) -> Study:
        def run_stages(_: Config, run: Any, __: Any) -> int:
            run.finish("finished")
            return 0

        monkeypatch.setattr(resuming, "run_stages", run_stages)
        resume(load_overrides(list(overrides), "infer", begun), begun)
        return read_run_study(begun)

    return do


def test_a_resumed_run_goes_by_its_own_copy(
    resumed: Callable[..., Study], study: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = resumed()
    assert "goes on with its own copy" not in caplog.text
    change(study, lambda content: content.update(name="Other"))
    assert resumed() == before
    assert f"extraction.study={study} has changed since; the run goes on with its own copy" in caplog.text
    study.unlink()
    assert resumed() == before
    assert f"extraction.study={study} is not there any more; the run goes on with its own copy" in caplog.text


def withdraw(content: dict[str, Any]) -> None:
    content["respondents"]["p2"]["consent"] = False


def withdraw_and_move(content: dict[str, Any]) -> None:
    withdraw(content)
    content["recordings"][2]["file"] = "elsewhere.mp4"


def withdraw_and_rename(content: dict[str, Any]) -> None:
    content["respondents"]["x2"] = {"consent": "no"}
    del content["respondents"]["p2"]
    content["recordings"][2] |= {"respondent": "x2", "file": "alias.mp4"}


@pytest.mark.parametrize("edit", [withdraw, withdraw_and_move, withdraw_and_rename])
def test_consent_that_was_withdrawn_stops_a_resumed_run(
    edit: Callable[[dict[str, Any]], None], resumed: Callable[..., Study], study: Path, begun: Path
) -> None:
    (study.parent / "alias.mp4").symlink_to(study.parent / "p2" / "clip.mp4")
    change(study, edit)
    with pytest.raises(ConfigError, match=r"p2/clip.mp4 is without consent, and this run has looked at it") as raised:
        resumed()
    assert str(raised.value).startswith(f"extraction.study={study}: ")
    assert f"fer.privacy.forget {begun} p2`" in str(raised.value)


def test_consent_that_another_file_withdraws_stops_a_resumed_run(
    resumed: Callable[..., Study], study: Path, begun: Path
) -> None:
    other = change(study.rename(study.with_name("other.yaml")), withdraw)
    with pytest.raises(ConfigError, match=f"fer.privacy.forget {begun} p2`"):
        resumed(f"extraction.study={other}")


def test_a_changed_file_that_tells_nothing_of_somebody_s_consent(
    resumed: Callable[..., Study], study: Path, begun: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def leave_out(content: dict[str, Any]) -> None:
        del content["respondents"]["p2"], content["recordings"][2]

    change(study, leave_out)
    assert "p2" in resumed().respondents
    assert f"extraction.study={study} lacks 1 respondent(s) of the run; delete from it who" in caplog.text
    change(study, lambda content: content["respondents"]["p1"].update(consent="withdrawn"))
    with pytest.raises(ConfigError, match="and may take back consent; mend it, or go by the run's own copy"):
        resumed()
    assert "p1" in resumed(f"extraction.study={begun / 'study.yaml'}").respondents


def test_other_contrasts_come_by_the_copy_or_by_another_file(
    resumed: Callable[..., Study], begun: Path, study: Path, tmp_path: Path
) -> None:
    change(begun / "study.yaml", lambda content: content.update(measures=["arousal"]))
    assert resumed().measures == ("arousal",)
    other = tmp_path / "other.yaml"
    other.write_text(study.read_text(encoding="utf-8"), encoding="utf-8")
    change(other, lambda content: content.update(measures=["valence"]))
    assert resumed(f"extraction.study={other}").measures == ("valence",)
    assert read_provenance(begun)["study"]["file"] == str(other)
    assert load_run_config(begun, "infer").extraction.study == str(other)


def test_a_study_of_other_recordings_is_refused(resumed: Callable[..., Study], begun: Path, study: Path) -> None:
    def agree(content: dict[str, Any]) -> None:
        content["respondents"]["p3"] = {"consent": True}
        content["recordings"].append({"file": "p3/clip.mp4", "respondent": "p3", "stimulus": "spot"})

    change(begun / "study.yaml", agree)
    with pytest.raises(ConfigError, match=r"the run does not look at .*p3/clip.mp4; start a new run"):
        resumed()

    def withdraw(content: dict[str, Any]) -> None:
        content["respondents"]["p3"]["consent"] = content["respondents"]["p2"]["consent"] = False

    change(begun / "study.yaml", withdraw)
    with pytest.raises(ConfigError, match=r"p2/clip.mp4 is without consent, and this run has looked at it already"):
        resumed()


def test_whoever_is_in_a_run_no_more_stops_nothing(resumed: Callable[..., Study], begun: Path) -> None:
    def forget(content: dict[str, Any]) -> None:
        del content["respondents"]["p2"]
        content["recordings"] = [item for item in content["recordings"] if item["respondent"] != "p2"]

    change(begun / "study.yaml", forget)
    assert len(resumed().recordings) == 1


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
