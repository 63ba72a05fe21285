"""A study's videos: which may be opened, which are there, and whether its times lie within them."""

import ctypes
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from fer.config.study import Study
from fer.errors import ConfigError
from fer.study import preparation
from fer.study.preparation import PreparedStudy, prepare_study
from tests.helpers.clips import write_clip
from tests.helpers.study_content import build_content, record

pytestmark = pytest.mark.slow


@pytest.fixture
def panel(tmp_path: Path) -> dict[str, Any]:
    """Two recordings of two seconds with consent; of the third one no consent is there."""
    for name in ("p1.mp4", "p2.mp4", "p3.mp4", "spot.mp4"):
        write_clip(tmp_path / name, range(50))
    return {
        "stimuli": {"spot": {"file": "spot.mp4"}},
        "respondents": {"p1": {"consent": True}, "p2": {"consent": True}, "p3": {"consent": False}},
        "recordings": [record(f"p{number}.mp4", f"p{number}", "spot") for number in (1, 2, 3)],
    }


def prepare(folder: Path, content: dict[str, Any]) -> PreparedStudy:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return prepare_study(path)


def refuse(folder: Path, content: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        prepare(folder, content)
    prefix = f"extraction.study={folder / 'study.yaml'}: "
    return [line.removeprefix(prefix).replace(f"{folder}/", "") for line in str(raised.value).splitlines()]


@pytest.fixture
def opened(panel: dict[str, Any], tmp_path: Path) -> Iterator[Sequence[str]]:
    """Names of files of the panel that the kernel saw being opened or read by anybody, FFmpeg too."""
    if sys.platform != "linux":
        pytest.skip("inotify is Linux's")
    libc = ctypes.CDLL(None, use_errno=True)
    watcher = libc.inotify_init1(os.O_NONBLOCK)
    assert libc.inotify_add_watch(watcher, os.fsencode(tmp_path), 0x1 | 0x20) > 0
    names: list[str] = []

    class Opened(list[str]):
        def __iter__(self) -> Iterator[str]:
            try:
                while data := os.read(watcher, 1 << 16):
                    while data:
                        length = int.from_bytes(data[12:16], "little")
                        names.append(data[16 : 16 + length].rstrip(b"\0").decode())
                        data = data[16 + length :]
            except BlockingIOError:
                pass
            return iter(names)

    yield Opened()
    os.close(watcher)


def test_a_recording_without_consent_is_never_opened(
    panel: dict[str, Any], opened: Sequence[str], tmp_path: Path
) -> None:
    prepared = prepare(tmp_path, panel)
    found = set(opened)
    assert {"p1.mp4", "p2.mp4", "spot.mp4"} <= found and "p3.mp4" not in found
    assert prepared.cautions == ("1 recording of 1 respondent without consent was left out, and not opened",)
    assert [item.respondent for item in prepared.study.recordings] == ["p1", "p2", "p3"]


@pytest.mark.parametrize("link", ["same", "symbolic", "hard", "folder"])
@pytest.mark.parametrize("what", ["recording", "stimulus"])
def test_a_recording_without_consent_is_not_opened_by_another_name(
    link: str, what: str, panel: dict[str, Any], opened: Sequence[str], tmp_path: Path
) -> None:
    name = {"same": "p3.mp4", "folder": "linked/p3.mp4"}.get(link, "alias.mp4")
    if link == "symbolic":
        (tmp_path / name).symlink_to("p3.mp4")
    elif link == "hard":
        os.link(tmp_path / "p3.mp4", tmp_path / name)
    elif link == "folder":
        (tmp_path / "linked").symlink_to(tmp_path, target_is_directory=True)
    if what == "recording":
        panel["recordings"][0]["file"] = name
        place = f"recordings.1 ({Path(name).name}): file={name}"
    else:
        panel["stimuli"]["spot"]["file"] = name
        place = f"stimuli.spot.file={name}"
    (problem,) = refuse(tmp_path, panel)
    if (link, what) == ("same", "recording"):
        assert problem.startswith("recordings.3 (p3.mp4): is a recording of p1 in recordings.1, and of p3 here")
    else:
        assert problem == (
            f"{place}: is the file of recordings.3, which is without consent and never opened; name another, or leave "
            "it out"
        )
    with pytest.raises(ConfigError):
        preparation.read_checked_study(tmp_path / "study.yaml")
    assert not {"p3.mp4", "alias.mp4"} & set(opened)


def test_a_recording_without_consent_may_be_gone(panel: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "p3.mp4").unlink()
    panel["recordings"][2]["onset_s"] = 1000
    assert len(prepare(tmp_path, panel).study.recordings) == 3


def test_lengths_and_scenes_of_stimuli_are_understood(panel: dict[str, Any], tmp_path: Path) -> None:
    panel["stimuli"]["page"] = {"duration_s": 9}
    panel["stimuli"]["spot"]["cuts"] = True
    study = prepare(tmp_path, panel).study
    assert study.stimuli["spot"].duration_s == 2.0 and study.stimuli["page"].duration_s == 9
    assert [(scene.name, scene.start_s) for scene in study.stimuli["spot"].scenes][0] == ("scene 1", 0.0)
    assert study.stimuli["spot"].scenes[-1].end_s == 2.0 and not study.stimuli["spot"].cuts


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"file": "p11.mp4"}, "recordings.1 (p11.mp4): file=p11.mp4: there is no such file; did you mean p1.mp4?"),
        (
            {"file": "clips/p1.mp4"},
            "recordings.1 (p1.mp4): file=clips/p1.mp4: there is no such file, nor the directory clips",
        ),
        (
            {"file": "https://x.org/p1.mp4"},
            "recordings.1 (p1.mp4): file=https://x.org/p1.mp4: is an address; download the video, and name its file",
        ),
        ({"file": "."}, None),
        ({"onset_s": 2}, "recordings.1 (p1.mp4): onset_s=2: lies behind the end of the recording, which has 2.00 s"),
        (
            {"onset_s": 7.5},
            "recordings.1 (p1.mp4): onset_s=7.5: lies behind the end of the recording, which has 2.00 s",
        ),
        (
            {"offset_s": 2.5},
            "recordings.1 (p1.mp4): offset_s=2.5: lies behind the end of the recording, which has 2.00 s",
        ),
    ],
)
def test_files_and_times_of_recordings(
    values: dict[str, Any], sentence: str | None, panel: dict[str, Any], tmp_path: Path
) -> None:
    panel["recordings"][0] |= values
    (found,) = refuse(tmp_path, panel)
    assert found == sentence if sentence else found.endswith("is a directory; name one video")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"file": "spt.mp4"}, "stimuli.spot.file=spt.mp4: there is no such file; did you mean spot.mp4?"),
        (
            {"file": "study.yaml"},
            "stimuli.spot.file=study.yaml: this is no video, or it is damaged (Invalid data found when "
            "processing input)",
        ),
        ({"file": None, "cuts": True}, "stimuli.spot.cuts: are found in its video; name it (file), or leave cuts out"),
        (
            {"events": [{"name": "x", "time_s": 2}]},
            "stimuli.spot.events.1 (x): time_s=2: lies behind the end of the stimulus, which has 2.00 s",
        ),
        (
            {"events": [{"name": "x", "time_s": 1, "end_s": 2.5}]},
            "stimuli.spot.events.1 (x): end_s=2.5: lies behind the end of the stimulus, which has 2.00 s",
        ),
        (
            {"scenes": [{"name": "x", "start_s": 1, "end_s": 3}]},
            "stimuli.spot.scenes.1 (x): end_s=3: lies behind the end of the stimulus, which has 2.00 s",
        ),
        (
            {"file": None, "scenes": [{"name": "x", "start_s": 5, "end_s": 6}]},
            "stimuli.spot.scenes.1 (x): start_s=5: lies "
            "behind the end of the longest recording of it, which has 2.00 s",
        ),
        (
            {"cuts": True, "scenes": [{"name": "scene 1", "start_s": 0, "end_s": 1}]},
            "stimuli.spot.scenes: scene 1 is what a scene from cuts is called; give yours another name",
        ),
    ],
)
def test_files_and_times_of_stimuli(
    values: dict[str, Any], sentence: str, panel: dict[str, Any], tmp_path: Path
) -> None:
    panel["stimuli"]["spot"] |= values
    assert refuse(tmp_path, panel) == [sentence]


def test_a_directory_of_norms_that_is_missing_is_told(panel: dict[str, Any], tmp_path: Path) -> None:
    panel["norms"] = ["old"]
    assert refuse(tmp_path, panel) == [
        "norms.1=old: there is no such directory; name the run directory of an earlier study"
    ]


def test_all_mistakes_are_told_at_once(panel: dict[str, Any], tmp_path: Path) -> None:
    panel["recordings"][0]["file"] = "x.mp4"
    panel["recordings"][1]["stimulus"] = "spott"
    panel["measures"] = ["joy"]
    assert [line.partition(" ")[0] for line in refuse(tmp_path, panel)] == ["recordings.2", "measures:", "recordings.1"]
    panel["measures"] = [f"m{number}" for number in range(30)]
    assert refuse(tmp_path, panel)[-1] == "… and 12 more of the kind"


def test_what_ought_to_be_known_stops_nothing(panel: dict[str, Any], tmp_path: Path) -> None:
    panel["baseline"] = {"start_s": -1, "end_s": 0}
    panel["recordings"][0]["onset_s"] = 1
    (tmp_path / "p2.mp4").write_bytes(b"\0\1no video")
    panel["respondents"]["p9"] = {}
    panel["stimuli"]["other"] = {"duration_s": 5}
    assert [caution.replace(f"{tmp_path}/", "") for caution in prepare(tmp_path, panel).cautions] == [
        "1 recording of 1 respondent without consent was left out, and not opened",
        "p2.mp4: is left out: this is no video, or it is damaged (Invalid data found when processing input)",
        "1 recording ends before the stimulus does: p1.mp4 (1.0 s missing); what is missing counts for nobody",
        "respondents without a recording: 1 without consent",
        "stimuli without a recording: other",
    ]
    panel["baseline"] = {"start_s": -1.5, "end_s": 0}
    assert "the baseline, from -1.5 s on, lies before the beginning of 1 recording, wholly or in part: " in "\n".join(
        prepare(tmp_path, panel).cautions
    )


def test_names_alone_are_checked_where_files_are_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(build_content()), encoding="utf-8")
    assert isinstance(preparation.read_checked_study(path), Study)


def test_a_stimulus_without_a_length_is_told(panel: dict[str, Any], tmp_path: Path) -> None:
    panel["stimuli"]["spot"] = {"file": None, "duration_s": None}
    told = "stimuli.spot: its length is not known, so the whole ends with each recording; add duration_s"
    assert told in prepare(tmp_path, panel).cautions
    for item in panel["recordings"]:
        item["offset_s"] = 1.5
    assert told not in prepare(tmp_path, panel).cautions
