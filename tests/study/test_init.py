"""A first study from the names of files: what is guessed and written; nothing is opened or overwritten."""

import json
import sys
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from fer.config.json_schema import STUDY, build_schema
from fer.errors import DataError, ExitCode, UserError
from fer.study import __main__ as program
from fer.study.checks import find_problems
from fer.study.init import understand_folder, write_first_study
from fer.study.naming import guess_recordings
from fer.study.reading import read_study


def guess(*files: str, stimuli: tuple[str, ...] = ()) -> list[tuple[str, str, str, str]]:
    return [(item.respondent, item.stimulus, item.condition, item.group) for item in guess_recordings(files, stimuli)]


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["p01_spotA.mp4", "p01_spotB.mp4", "P2_spotA.mp4"], [("p01", "spotA"), ("p01", "spotB"), ("P2", "spotA")]),
        (["spotA/p01.mp4", "spotB/p01.mp4"], [("p01", "spotA"), ("p01", "spotB")]),
        (["p01/spotA.mp4", "p01/spotB.mp4", "p02/spotA.mp4"], [("p01", "spotA"), ("p01", "spotB"), ("p02", "spotA")]),
        (["sub-01_task-cola_video.mp4", "sub-02_task-cola_video.mp4"], [("01", "cola"), ("02", "cola")]),
        (
            ["anna_cola.mp4", "ben_cola.mp4", "anna_pepsi.mp4", "ben_pepsi.mp4", "eva_cola.mp4"],
            [("anna", "cola"), ("ben", "cola"), ("anna", "pepsi"), ("ben", "pepsi"), ("eva", "cola")],
        ),
        (["001_cola.mp4", "002_cola.mp4"], [("001", "cola"), ("002", "cola")]),
        (["VP01-A.mp4", "VP02-A.mp4", "VP01-B.mp4"], [("VP01", "A"), ("VP02", "A"), ("VP01", "B")]),
        (["subject_12_spot_A.avi", "subject 13 spot B.avi"], [("subject_12", "spot_A"), ("subject 13", "spot B")]),
        (["p01spotA.mp4", "p02spotA.mp4"], [("p01", "spotA"), ("p02", "spotA")]),
        (["2026-03-01_p01_cola_cam1.mp4", "2026-03-02_p02_cola_cam1.mp4"], [("p01", "cola"), ("p02", "cola")]),
        (["p01.mp4", "p02.mp4"], [("p01", "stimulus"), ("p02", "stimulus")]),
        (["IMG_0001.mp4", "IMG_0002.mp4"], [("0001", "stimulus"), ("0002", "stimulus")]),
    ],
)
def test_respondent_and_stimulus_are_guessed(files: list[str], found: list[tuple[str, str]]) -> None:
    assert guess(*files) == [(*names, "", "") for names in found]


def test_what_is_left_of_a_name_is_the_condition_and_of_folders_the_group() -> None:
    assert guess("P-03 - control - spotB.mov", "P-04 - loud - spotA.mov") == [
        ("P-03", "spotB", "control", ""),
        ("P-04", "spotA", "loud", ""),
    ]
    assert guess("sub-01_task-spot_acq-sound_video.mp4", "sub-01_task-spot_video.mp4") == [
        ("01", "spot", "sound", ""),
        ("01", "spot", "", ""),
    ]
    assert guess("women/p01_spotA.mp4", "men/p02_spotA.mp4") == [
        ("p01", "spotA", "", "women"),
        ("p02", "spotA", "", "men"),
    ]


def test_kinds_of_names_in_one_folder_are_each_understood() -> None:
    assert guess("p01_spotA.mp4", "spotA/p02.mp4", "P-03 - control - spotB.mov", "sub-04_task-spotA.mp4") == [
        ("p01", "spotA", "", ""),
        ("p02", "spotA", "", ""),
        ("P-03", "spotB", "control", ""),
        ("04", "spotA", "", ""),
    ]


def test_one_person_is_written_in_one_way_and_takes_are_told_apart() -> None:
    assert guess("p01_spotA.mp4", "P1-spota.mp4", "p01_spotA_cam2.mp4") == [
        ("p01", "spotA", "", ""),
        ("p01", "spotA", "take 2", ""),
        ("p01", "spotA", "take 3", ""),
    ]


def test_names_of_stimuli_that_are_known_are_found_whole() -> None:
    assert guess("p01_my_spot.mp4", "p02-My Spot-loud.mp4", stimuli=("my_spot", "other")) == [
        ("p01", "my_spot", "", ""),
        ("p02", "my_spot", "loud", ""),
    ]
    assert guess("p01.mp4", stimuli=("cola",)) == [("p01", "cola", "", "")]


FILES = [
    *("women/p01_spotA.mp4", "women/p01_spotB.MOV", "men/p02, the second_spotA.mp4", "men/07_spotA.mp4"),
    *("stimuli/spotA.mp4", "notes.txt", ".hidden/p09_spotA.mp4", "pictures/p01.png"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Recordings that nobody can read: they are no videos at all."""
    for name in FILES:
        path = tmp_path / "recordings" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path / "recordings"


def test_what_is_written_is_a_study_without_any_consent(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "plans" / "study.yaml"
    write_first_study(folder, target)
    study = read_study(target)
    assert {Path(item.file).relative_to(folder).as_posix() for item in study.recordings} == {*FILES[:4]}
    assert all(Path(item.file).is_file() for item in study.recordings)
    assert [person.consent for person in study.respondents.values()] == [False] * 3
    assert {name: person.groups for name, person in study.respondents.items()} == {
        "07": {"group": "men"},
        "p02": {"group": "men"},
        "p01": {"group": "women"},
    }
    assert study.stimuli["spotA"].file == str(folder / "stimuli" / "spotA.mp4")
    assert study.stimuli["spotB"].file is None
    # Nothing is wrong with it but that nobody has consent.
    (problem,) = find_problems(study)
    assert problem.startswith("respondents: nobody who was recorded has given consent")
    target.write_text(target.read_text(encoding="utf-8").replace("consent: false", "consent: true"), encoding="utf-8")
    assert find_problems(read_study(target)) == []


def test_the_first_line_names_a_schema_that_takes_the_file(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "study.yaml"
    write_first_study(folder, target)
    text = target.read_text(encoding="utf-8")
    schema = Path(text.splitlines()[0].removeprefix("# yaml-language-server: $schema="))
    assert json.loads(schema.read_text(encoding="utf-8")) == build_schema(STUDY)
    validator = Draft202012Validator(build_schema(STUDY))
    assert validator.is_valid(yaml.safe_load(text))
    assert not validator.is_valid(yaml.safe_load(text.replace("onset_s", "onst_s")))
    assert not validator.is_valid(yaml.safe_load(text.replace("respondents:", "people:")))


def test_the_questions_in_comments_are_ones_that_can_be_asked(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "study.yaml"
    write_first_study(folder, target)
    text = target.read_text(encoding="utf-8").replace("consent: false", "consent: true")
    for mark in ("# contrasts:", "#   - {kind", "# baseline:"):
        text = text.replace(mark, mark.removeprefix("# ") if "kind" not in mark else "    - {kind")
    target.write_text(text, encoding="utf-8")
    study = read_study(target)
    assert len(study.contrasts) == 2 and study.baseline is not None
    assert find_problems(study) == []


def test_a_file_is_never_overwritten(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "study.yaml"
    target.write_text("mine")
    with pytest.raises(UserError, match=r"study.yaml: is there already, and is never overwritten; choose another name"):
        write_first_study(folder, target)
    assert target.read_text() == "mine"
    with pytest.raises(UserError, match="must end with .yaml"):
        write_first_study(folder, tmp_path / "study.xlsx")


def test_a_folder_without_recordings_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such directory"):
        understand_folder(tmp_path / "none")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match="no video is there, by suffix"):
        understand_folder(tmp_path)


def test_the_program_says_what_it_understood_and_what_comes_next(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["fer study", "init", str(folder)])
    program.main()
    out = capsys.readouterr().out
    assert out.startswith("study.yaml: 4 recordings of 3 respondents\n")
    assert "  stimuli:     spotA (3, with its video), spotB (1)\n" in out
    assert "  groups:      men (2), women (1)\n" in out
    assert "Set consent: true" in out and out.rstrip().endswith("infer.py extraction.study=study.yaml")
    with pytest.raises(SystemExit) as raised:
        program.main()
    assert raised.value.code == ExitCode.ERROR and "is there already" in capsys.readouterr().err


def test_the_program_names_recordings_that_tell_no_respondent_and_those_taken_for_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("2024-05-01 10-12-33.mkv.mp4", "VID_20240501.mp4", "p01_ad.mp4", "p01_ad.AVI", "p02_ad.mkv.mp4"):
        (tmp_path / name).touch()
    monkeypatch.setattr(sys, "argv", ["fer study", "init", "."])
    program.main()
    out = capsys.readouterr().out
    assert (
        "  no respondent recognised, so the file's name stands for one: 2024-05-01 10-12-33.mkv.mp4, VID_20240501.mp4\n"
        "  same respondent, stimulus and condition as another recording: p01_ad.mp4 (take 2)\n"
    ) in out
    assert "Say who is in the recordings whose names do not tell" in out
    study = read_study(tmp_path / "study.yaml")
    assert set(study.respondents) == {"2024-05-01 10-12-33", "VID_20240501", "p01", "p02"}
    assert set(study.stimuli) == {"ad", "stimulus"}
