"""A respondent is deleted from a run: nothing tells of them any more, and all else stays."""

import gzip
import io
import json
import shutil
import sys
import zipfile
from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from pandas.testing import assert_frame_equal

from fer.config.compose import load_overrides
from fer.errors import UserError
from fer.infer.inputs import load_media, save_media
from fer.infer.pipeline import infer
from fer.privacy import erasure
from fer.privacy.erasure import Plan
from fer.privacy.forget import forget_respondent
from fer.privacy.search import find_mentions
from fer.runs.provenance import ENVIRONMENT_KEYS
from fer.video.annotated_copies import AnnotatedCopies
from tests.helpers.face_clips import LEFT, RIGHT, write_face_clip

pytestmark = pytest.mark.slow

NAMES = ("anna", "berta", "clara", "dora")
# The id of a respondent that begins that of another one, and of the one who goes.
IDS = {"anna": "resp-1", "berta": "resp-2", "clara": "resp-3", "dora": "resp-22"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on four recordings, with crops, annotated copies, groups and labels."""
    folder = tmp_path_factory.mktemp("panel")
    for person, name in enumerate(NAMES, 3):
        write_face_clip(folder / f"{name}.mp4", [((person, LEFT if person % 2 else RIGHT),)] * 12)
    lines = [f"{name}.mp4,{IDS[name]},ad,{'ab'[number % 2]}" for number, name in enumerate(NAMES)]
    (folder / "groups.csv").write_text("\n".join(["video,respondent,stimulus,group", *lines]))
    (folder / "labels.csv").write_text("\n".join(["video,emotion", *(f"{name}.mp4,neutral" for name in NAMES)]))
    inputs = ",".join(str(folder / f"{name}.mp4") for name in NAMES)
    overrides = [
        *(f"extraction.input=[{inputs}]", f"extraction.groups={folder / 'groups.csv'}", "extraction.fps=5"),
        *(f"extraction.labels={folder / 'labels.csv'}", "extraction.save=crops", "extraction.annotate=true"),
        *("extraction.detector.kind=haar", "trainer.threads=1"),
    ]
    directory = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["infer.py", *overrides])
        assert infer(load_overrides(overrides, "infer"), directory) == 0
    (directory / "infer.log").write_text("Annotating berta.mp4\nReport: report.html\n", encoding="utf-8")
    recordings = [{"file": str(folder / f"{name}.mp4"), "respondent": IDS[name], "stimulus": "ad"} for name in NAMES]
    study = {"stimuli": {"ad": {}}, "respondents": {IDS[name]: {"consent": True} for name in NAMES}}
    (directory / "study.yaml").write_text(yaml.safe_dump({**study, "recordings": recordings}), encoding="utf-8")
    (directory / "study").mkdir()
    (directory / "study" / "recordings.csv").write_text("respondent\nresp-2\n")
    with zipfile.ZipFile(directory / "study" / "study.xlsx", "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/sharedStrings.xml", "<t>resp-2</t>")
    return directory


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "run"))


def collect_pictures(run: Path, number: int) -> list[bytes]:
    """All pictures of a recording, as the run keeps them."""
    chunks = pd.concat(map(pd.read_parquet, sorted((run / "parts" / f"{number:05d}").glob("*.parquet"))))
    crops = [path.read_bytes() for path in (run / "crops" / f"{number:05d}").iterdir()]
    return [*chunks["picture"].dropna(), *crops, (run / "annotated" / f"{NAMES[number]}.mp4").read_bytes()]


def test_nothing_tells_of_a_forgotten_respondent_and_the_tables_are_of_the_others(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures, recording = collect_pictures(copy, 1), load_media(copy)[1].path
    texts = ["resp-2", "berta.mp4", str(recording)]
    assert len(find_mentions(copy, texts)) > 15 and find_mentions(copy, [], pictures)
    before = {name: pd.read_parquet(copy / f"{name}.parquet") for name in ("predictions", "videos", "persons")}
    crops = {path.name: path.read_bytes() for path in (copy / "crops" / "00002").iterdir()}
    assert forget_respondent(copy, "resp-2") == 0
    assert find_mentions(copy, texts, pictures) == []
    assert not list(copy.glob(".*.json"))
    printed = capsys.readouterr().out
    assert "parts/00001" in printed and f"Not touched: {recording}" in printed and recording.is_file()
    for name, table in before.items():
        expected = table[table["video"] != "berta.mp4"].reset_index(drop=True)
        assert_frame_equal(pd.read_parquet(copy / f"{name}.parquet"), expected)
    assert pd.read_parquet(copy / "group_curves.parquet")["respondents"].sum() > 0
    # Numbers of the others have no gap, and what stands under them is theirs.
    assert [item.name for item in load_media(copy)] == ["anna.mp4", "clara.mp4", "dora.mp4"]
    assert {path.name: path.read_bytes() for path in (copy / "crops" / "00001").iterdir()} == crops
    assert sorted(path.name for path in (copy / "parts").iterdir() if path.is_dir()) == ["00000", "00001", "00002"]
    assert "resp-22" in (copy / "study.yaml").read_text() and find_mentions(copy, ["resp-22"])
    provenance = json.loads((copy / "provenance.json").read_text())
    assert provenance["status"] == "finished" and provenance["forgotten"] == 1
    assert not any("resp" in text for entry in provenance["resumed"] for text in entry["command"])
    assert "Report: report.html" in (copy / "infer.log").read_text()


def write_nothing(*_: Any) -> None:
    """A report that is of no concern."""


def snapshot(run: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(run)): path.read_bytes()
        for path in run.rglob("*")
        if path.is_file() and path.name not in ("provenance.json", ".lock")
    }


def test_a_recording_is_named_instead_and_one_after_the_other_may_go(copy: Path) -> None:
    assert forget_respondent(copy, video="anna.mp4", report=write_nothing) == 0
    assert forget_respondent(copy, "resp-3", report=write_nothing) == 0
    assert find_mentions(copy, ["resp-1", "resp-3", "anna.mp4", "clara.mp4"]) == []
    assert [item.name for item in load_media(copy)] == ["berta.mp4", "dora.mp4"]
    assert sorted(path.name for path in (copy / "crops").iterdir()) == ["00000", "00001"]


@pytest.mark.parametrize("written", [False, True], ids=["before it is noted", "after it is noted"])
def test_an_interrupted_call_is_finished_by_the_next_one(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    whole = Path(shutil.copytree(run, tmp_path / "whole" / "run"))
    forget_respondent(whole, "resp-1", report=write_nothing)
    save = Plan.save
    for stop in range(2, 20):
        directory = Path(shutil.copytree(run, tmp_path / str(stop) / "run"))
        calls = 0

        def interrupt(plan: Plan, folder: Path, stop: int = stop) -> None:
            nonlocal calls
            calls += 1
            if calls != stop or written:
                save(plan, folder)
            if calls == stop:
                raise KeyboardInterrupt

        monkeypatch.setattr(Plan, "save", interrupt)
        try:
            forget_respondent(directory, "resp-1", report=write_nothing)
        except KeyboardInterrupt:
            with pytest.raises(UserError, match="forgetting a respondent was interrupted"):
                load_media(directory)
        else:
            break
        finally:
            monkeypatch.setattr(Plan, "save", save)
        assert forget_respondent(directory, report=write_nothing) == 0
        found, expected = snapshot(directory), snapshot(whole)
        assert found.keys() == expected.keys()
        differing = {
            name for name in found if found[name].replace(f"/{stop}/run".encode(), b"/whole/run") != expected[name]
        }
        assert not differing
    assert stop > 8


@pytest.mark.parametrize("step", ["save_media", "_clean_logs"])
def test_a_call_that_fails_later_is_finished_too(copy: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(erasure, step, fail)
        with pytest.raises(KeyboardInterrupt):
            forget_respondent(copy, "resp-1", report=write_nothing)
    assert forget_respondent(copy, "resp-1", report=write_nothing) == 0
    assert find_mentions(copy, ["resp-1", "anna.mp4"]) == []


def test_a_run_about_nobody_else_is_removed_whole(copy: Path) -> None:
    for name in NAMES[:3]:
        forget_respondent(copy, IDS[name], report=write_nothing)
    assert forget_respondent(copy, "resp-22", report=write_nothing) == 0
    assert not copy.exists()


def test_unknown_people_are_told(copy: Path) -> None:
    before = snapshot(copy)
    for arguments, message in (
        ({"respondent": "resp-9"}, "nobody in .* has this id; the study names resp-1, resp-2"),
        ({"video": "emma.mp4"}, "no recording of"),
        ({}, "name a RESPONDENT"),
    ):
        with pytest.raises(UserError, match=message):
            forget_respondent(copy, **arguments)
    assert snapshot(copy) == before


def test_what_a_user_has_put_into_the_run_is_told_and_left(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "notes.txt").write_text("resp-1 laughed\n")
    assert forget_respondent(copy, "resp-1", report=write_nothing) == 1
    assert "notes.txt" in capsys.readouterr().out and (copy / "notes.txt").is_file()


def test_the_search_looks_into_what_is_packed(tmp_path: Path) -> None:
    table = pd.DataFrame({"who": ["resp-7"] * 3, "picture": [b"\x89PNG-face"] * 3})
    table.to_parquet(tmp_path / "table.parquet", compression="zstd", use_dictionary=False)
    (tmp_path / "log.gz").write_bytes(gzip.compress(b"about resp-7"))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sheet.xml", "<t>resp-7</t>")
    (tmp_path / "book.xlsx").write_bytes(packed.getvalue())
    page = b64encode(gzip.compress(b"resp-7 " + bytes(range(200)))).decode()
    (tmp_path / "page.html").write_text(f"<script>'data:;base64,{page}'</script>")
    (tmp_path / "other.txt").write_text("resp-77, resp-7-b and a resp-70")
    (tmp_path / "resp-7.txt").write_text("")
    names = ["book.xlsx", "log.gz", "page.html", "resp-7.txt", "table.parquet"]
    assert [str(path) for path in find_mentions(tmp_path, ["resp-7"])] == names
    assert [str(path) for path in find_mentions(tmp_path, [], [b"\x89PNG-face"])] == ["table.parquet"]


@pytest.mark.parametrize("identifier", ["2", "0", "a", "ok", "mean", "neutral", "Linux", "r07"])
def test_an_id_that_stands_in_files_for_other_reasons_is_forgotten_and_nothing_else_is_touched(
    copy: Path, capsys: pytest.CaptureFixture[str], identifier: str
) -> None:
    study = yaml.safe_load((copy / "study.yaml").read_text())
    study["respondents"][identifier] = study["respondents"].pop("resp-2")
    study["recordings"][1]["respondent"] = identifier
    (copy / "study.yaml").write_text(yaml.safe_dump(study))
    provenance = json.loads((copy / "provenance.json").read_text())
    provenance["study"] = {
        "cautions": [f"respondents without age belong to none of its groups: resp-1, {identifier}"],
        "excluded": {"recordings": 1, "respondents": 1},
    }
    (copy / "provenance.json").write_text(json.dumps(provenance))
    log = "a neutral mean, ok: 0 of 2 on Linux by r07\n"
    (copy / "infer.log").write_text(f"Annotating berta.mp4\n{log}respondents without a recording: {identifier}\n")
    (copy / "annotations.csv").write_text("respondent,mean\nresp-1,2\n")
    # Tables and page are full of numbers.
    assert forget_respondent(copy, identifier, report=None if identifier == "2" else write_nothing) == 0
    assert "not in free text" in capsys.readouterr().out
    after = json.loads((copy / "provenance.json").read_text())
    assert {key: after[key] for key in ENVIRONMENT_KEYS} == {key: provenance[key] for key in ENVIRONMENT_KEYS}
    recording = str(load_media(copy)[0].path.with_name("berta.mp4"))
    assert after["command"] == [text.replace(recording, "(removed)") for text in provenance["command"]]
    assert after["study"]["excluded"] == {"recordings": 1, "respondents": 1}
    assert after["study"]["cautions"] == ["respondents without age belong to none of its groups: resp-1, (removed)"]
    assert (copy / "infer.log").read_text() == log
    assert identifier not in yaml.safe_load((copy / "study.yaml").read_text())["respondents"]


def test_a_table_of_the_users_that_names_a_short_id_is_told(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "study.yaml").write_text((copy / "study.yaml").read_text().replace("resp-1", "7"))
    (copy / "notes.csv").write_text("respondent,age\n7,33\n")
    (copy / "ages.csv").write_text("respondent,age\n33,7\n")
    pd.DataFrame({"respondent": [7]}).to_parquet(copy / "notes.parquet")
    (copy / "notes.json").write_text(json.dumps([{"respondents": ["7"]}]))
    (copy / "counts.json").write_text(json.dumps({"respondents": 7, "seconds": "7"}))
    assert forget_respondent(copy, "7", report=write_nothing) == 1
    told = capsys.readouterr().out.partition("Still told")[2].split("\n")[1:]
    assert [line.strip() for line in told if line] == ["notes.csv", "notes.json", "notes.parquet"]


def test_copies_of_recordings_with_alike_names_are_told_apart(copy: Path) -> None:
    media = load_media(copy)
    names = ["x/a.mp4", "x-a.mp4", "b.mov", "b.mov.mp4"]
    save_media([replace(item, name=name) for item, name in zip(media, names, strict=True)], copy)
    media = load_media(copy)
    shutil.rmtree(copy / "annotated")
    (copy / "annotated").mkdir()
    copies = AnnotatedCopies(copy / "annotated", media)
    for item in media:
        copies.build_path(item, ".mp4").write_bytes(item.name.encode())
    for name in ("x/a.mp4", "b.mov.mp4"):
        forget_respondent(copy, video=name, report=write_nothing)
    left = load_media(copy)
    found = [AnnotatedCopies(copy / "annotated", left).find(item) for item in left]
    assert [path and path.read_text() for path in found] == ["x-a.mp4", "b.mov"]
    assert len(list((copy / "annotated").iterdir())) == 2
