"""Curves, sources and group figures that the page of an inference run is made of."""

import base64
import re
from pathlib import Path

import numpy as np
import pytest

from fer.reports.formats import clock
from fer.reports.group_figures import build_stimuli
from fer.reports.sources import find_sources
from fer.reports.timelines import build_timeline
from tests.helpers.video_report import CLASSES, emotion_rows, group_page, row


def test_curves_have_gaps_where_there_is_no_usable_face() -> None:
    curves = build_timeline(emotion_rows("clip"), CLASSES, 20.0)
    assert curves is not None
    assert (curves["end"], curves["step"], curves["times"]) == (20.0, 1, [float(second) for second in range(20)])
    first, second = curves["tracks"]
    assert (first["id"], first["frames"], first["start"]) == (0, 18, 0)
    assert first["smoothed"][5] == [600] * 6 + [None, None] + [600, 600] + [67] * 10  # sadness
    assert first["raw"][3] == [50] * 6 + [None, None] + [50, 50] + [700] * 10  # happiness
    assert (second["id"], second["frames"], second["start"]) == (1, 4, 12)
    assert second["raw"][6] == [700] * 4


def test_frames_without_the_face_of_a_track_are_gaps_of_that_track() -> None:
    rows = emotion_rows("clip")
    rows = rows[~((rows["track_id"] == 1) & (rows["time_s"] == 13)).fillna(False)]
    curves = build_timeline(rows, CLASSES, 20.0)
    assert curves is not None
    assert curves["tracks"][1]["raw"][6] == [700, None, 700, 700]


def test_many_frames_become_means_of_neighbours() -> None:
    curves = build_timeline(emotion_rows("clip"), CLASSES, 20.0, max_points=7)
    assert curves is not None
    assert curves["step"] == 3
    assert curves["times"] == [1.0, 4.0, 7.0, 10.0, 13.0, 16.0, 18.5]
    assert curves["tracks"][0]["raw"][5] == [700, 700, 700, 267, 50, 50, 50]  # 9 of 9, 10, 11 is sad
    assert curves["tracks"][1]["start"] == 4


def test_values_that_smoothing_left_alone_are_not_drawn_twice() -> None:
    rows = emotion_rows("clip")
    rows[[f"s_{name}" for name in CLASSES]] = rows[[f"p_{name}" for name in CLASSES]]
    curves = build_timeline(rows, CLASSES, None)
    assert curves is not None
    assert curves["end"] == 19.0
    assert [track["raw"] for track in curves["tracks"]] == [None, None]


def test_no_curves_without_two_frames_or_without_faces() -> None:
    rows = emotion_rows("clip")
    assert build_timeline(rows[:0], CLASSES, 20.0) is None
    assert build_timeline(rows[:1], CLASSES, 20.0) is None
    assert build_timeline(rows[rows["status"] != "ok"], CLASSES, 20.0) is None


def test_times_that_are_unknown_are_left_out() -> None:
    lost = row("clip", 20.0, None, "decode_error") | {"frame": None, "time_s": None}
    curves = build_timeline(emotion_rows("clip", [lost]), CLASSES, float("nan"))
    assert curves is not None and len(curves["times"]) == 20


def test_small_files_are_embedded_and_others_linked(tmp_path: Path) -> None:
    for name, size in [("a.mp4", 60), ("b.webm", 50), ("c.jpg", 40), ("d.avi", 1), ("empty.mp4", 0)]:
        (tmp_path / name).write_bytes(b"x" * size)
    paths = [str(tmp_path / name) for name in ("a.mp4", "b.webm", "c.jpg", "d.avi", "empty.mp4", "missing.mp4")]
    found = find_sources(paths, tmp_path, limit=100)
    assert [source.embedded for source in found] == [True, False, True, False, False, False]
    assert found[0].url == "data:video/mp4;base64," + base64.b64encode(b"x" * 60).decode()
    assert found[2].url.startswith("data:image/jpeg;base64,")
    assert [source.url for source in found[3:]] == ["d.avi", "empty.mp4", "missing.mp4"]
    assert [source.kind for source in found] == ["video", "video", "image", "video", "video", "video"]


def test_links_are_relative_to_the_page_and_quoted(tmp_path: Path) -> None:
    page = tmp_path / "outputs" / "run"
    (source,) = find_sources([str(tmp_path / "clips" / 'Größe #1 "50 %".mp4')], page)
    assert source.url == "../../clips/Gr%C3%B6%C3%9Fe%20%231%20%2250%20%25%22.mp4"


def test_relative_sources_are_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (source,) = find_sources(["clips/a.mkv"], tmp_path / "outputs")
    assert source.url == "../clips/a.mkv"


@pytest.mark.filterwarnings("error")
def test_groups_of_one_respondent_or_nobody_have_no_band() -> None:
    page = group_page(("A",))
    page.curves[["low", "high"]] = np.nan
    page.curves.loc[page.curves["second"] == 3, ["mean", "share", "max", "min"]] = np.nan
    page.curves.loc[page.curves["emotion"] == "fear", ["mean", "share", "max", "min"]] = np.nan
    (stimulus,) = build_stimuli(page, CLASSES)
    assert [entry.group for entry in stimulus.legend] == ["A"]
    assert "fear over seconds: A without figures." in dict(stimulus.means)["fear"]
    assert [found["share"] for found in stimulus.table if found["emotion"] == "fear"] == [None]


def test_group_curves_share_one_scale_that_includes_their_bands() -> None:
    page = group_page()
    page.curves["low"] -= 0.6
    (stimulus,) = build_stimuli(page, CLASSES)
    ticks = {name: re.findall(r"<text[^>]*>(\S+ %)</text>", svg) for name, svg in stimulus.means}
    assert ticks["anger"] == ticks["happiness"] == ["−50 %", "0 %", "50 %"]


def test_many_groups_look_different() -> None:
    (stimulus,) = build_stimuli(group_page([f"group {number}" for number in range(12)]), CLASSES)
    assert len({(entry.colour, entry.dashes) for entry in stimulus.legend}) == 12


def test_moments_are_written_as_players_write_them() -> None:
    assert [clock(seconds) for seconds in (0, 9.96, 59.99, 754.26, 3754.26)] == [
        "0:00.0",
        "0:10.0",
        "1:00.0",
        "12:34.3",
        "1:02:34.3",
    ]
    assert clock(float("nan")) == "–"


def test_a_picture_without_suffix_is_shown_as_one(tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(b"\xff\xd8\xff\xe0" + bytes(40))
    (tmp_path / "clip").write_bytes(b"\x00\x00\x00\x18ftypisom" + bytes(40))
    found = find_sources([str(tmp_path / "photo"), str(tmp_path / "clip"), "gone"], tmp_path)
    assert [source.kind for source in found] == ["image", "video", "video"]
