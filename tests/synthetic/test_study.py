"""The drawn study: its file, its recordings, and the program that draws it."""

import json
import re
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import yaml

from fer.config.study import Study
from fer.synthetic import study as program
from fer.synthetic.study import PlantedReaction, list_planted_reactions, plan_sitting, write_study

SMALL = {"count": 4, "seconds": 12.0, "size": 64, "fps": 2}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"), **SMALL).parent


def read_frames(path: Path) -> np.ndarray:
    """(frames, height, width) uint8 of a video, its brightness."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="gray") for frame in container.decode(video=0)])


def load(directory: Path) -> Study:
    return Study.model_validate(yaml.safe_load((directory / "study.yaml").read_text()))


def test_its_file_is_a_study_whose_videos_are_there_and_long_enough(drawn: Path) -> None:
    study = load(drawn)
    assert len(study.recordings) == 8 and len({recording.onset_s for recording in study.recordings}) == 8
    assert {contrast.kind for contrast in study.contrasts} == {"between", "within", "mixed"}
    assert study.baseline is not None
    for stimulus in study.stimuli.values():
        assert len(read_frames(drawn / str(stimulus.file))) == 120
        assert all(event.end_s is not None and event.end_s <= 12 for event in stimulus.events)
    for recording in study.recordings:
        assert recording.onset_s + study.baseline.start_s >= 0
        assert len(read_frames(drawn / recording.file)) / SMALL["fps"] >= recording.onset_s + 12


def test_truth_names_what_is_planted_and_what_is_to_be_left_out(drawn: Path) -> None:
    study, truth = load(drawn), json.loads((drawn / "truth.json").read_text())
    assert truth["without_consent"] == [name for name, who in study.respondents.items() if not who.consent] == ["r04"]
    for planted in truth["planted"]:
        events = {event.name: event for event in study.stimuli[planted["stimulus"]].events}
        assert (planted["start_s"], planted["end_s"]) == (
            events[planted["event"]].time_s,
            events[planted["event"]].end_s,
        )
    assert truth["bad_recordings"] == ["r02_spot_a.mp4", "r03_spot_b.mp4"]
    dark = read_frames(drawn / "recordings" / "r02_spot_a.mp4").mean(axis=(1, 2))
    assert (dark < 30).mean() > 0.5 and dark[0] > 100
    # Nobody there: only the grey of the wall, which hardly differs from column to column.
    away = read_frames(drawn / "recordings" / "r03_spot_b.mp4").mean(axis=1).std(axis=1)
    assert (away < 4).mean() > 0.5 and away[0] > 10


def test_people_react_to_what_is_planted_and_only_those_in_whom_it_is() -> None:
    logo, twist, turn = list_planted_reactions(24.0)
    assert (twist.customer, logo.customer, turn.customer) == ("loyal", None, None)

    def reacts(number: int, planted: PlantedReaction) -> bool:
        sitting = plan_sitting(number, planted.stimulus, 24.0, seed=0)
        middle = sitting.onset_s + (planted.start_s + planted.end_s) / 2
        return any(found.start_s + 0.5 < middle < found.end_s - 0.4 for found in sitting.reactions[:-1])

    assert all(reacts(number, planted) for number in range(24) for planted in (logo, turn))
    assert [reacts(number, twist) for number in range(24)] == [True, False] * 12


def test_the_same_seed_gives_the_same_bytes(drawn: Path, tmp_path: Path) -> None:
    again = write_study(tmp_path / "again", **SMALL).parent
    files = sorted(path.relative_to(drawn) for path in drawn.rglob("*") if path.is_file())
    assert len(files) == 12
    assert [file for file in files if (again / file).read_bytes() != (drawn / file).read_bytes()] == []
    assert plan_sitting(0, "spot_a", 24.0, seed=0) != plan_sitting(0, "spot_a", 24.0, seed=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--count", "3"], "count must be at least 4"), (["--seconds", "5"], "seconds 12"), ([], "there is something")],
)
def test_what_cannot_be_drawn_is_one_sentence(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    directory = tmp_path / "study"
    if not arguments:
        directory.mkdir()
        (directory / "mine.txt").write_text("")
    monkeypatch.setattr(sys, "argv", ["study", str(directory), *arguments])
    assert program.main() == 1
    printed = capsys.readouterr().err
    assert message in printed and printed.count("\n") == 1
    assert not (directory / "study.yaml").exists()


def test_the_program_tells_its_defaults_and_what_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "write_study", lambda directory, *_: directory / "study.yaml")
    monkeypatch.setattr(sys, "argv", ["study", str(tmp_path / "drawn"), "--fps", "2"])
    assert program.main() == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"Next: python infer.py extraction.study={tmp_path / 'drawn' / 'study.yaml'} extraction.fps=2"
    )
    monkeypatch.setattr(sys, "argv", ["study", "--help"])
    with pytest.raises(SystemExit):
        program.main()
    assert {"(default: 24)", "(default: 24.0)", "(default: 144)", "(default: 4)"} <= set(
        re.findall(r"\(default: [\d.]+\)", " ".join(capsys.readouterr().out.split()))
    )
