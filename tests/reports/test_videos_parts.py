"""Curves, sources and group figures that the page of an inference run is made of."""

import base64
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer.reports.formats import clock
from fer.reports.group_figures import build_stimuli
from fer.reports.sources import find_sources
from fer.reports.timelines import build_timeline, select_points
from tests.helpers.video_report import CLASSES, emotion_rows, group_page, row

pytestmark = pytest.mark.slow


def test_curves_have_gaps_where_there_is_no_usable_face() -> None:
    curves = build_timeline(emotion_rows("clip"), CLASSES, 20.0)
    assert curves is not None
    assert (curves["end"], curves["hidden"]) == (20.0, 0)
    first, second = curves["tracks"]
    assert (first["id"], first["frames"], first["thinned"]) == (0, 18, False)
    assert first["times"] == [float(second) for second in range(20)]
    assert first["smoothed"][5] == [600] * 6 + [None, None] + [600, 600] + [67] * 10  # sadness
    assert first["raw"][3] == [50] * 6 + [None, None] + [50, 50] + [700] * 10  # happiness
    # The sampled frames before and after show nobody.
    assert (second["id"], second["frames"], second["times"]) == (1, 4, [11.0, 12.0, 13.0, 14.0, 15.0, 16.0])
    assert second["raw"][6] == [None, *[700] * 4, None]


def test_frames_without_the_face_of_a_track_are_gaps_of_that_track() -> None:
    rows = emotion_rows("clip")
    rows = rows[~((rows["track_id"] == 1) & (rows["time_s"] == 13)).fillna(False)]
    curves = build_timeline(rows, CLASSES, 20.0)
    assert curves is not None
    assert curves["tracks"][1]["raw"][6] == [None, 700, None, 700, 700, None]


def test_long_curves_keep_extremes_and_gaps() -> None:
    """An hour at 5/s, with a spike of one frame, a dip of one frame, a gap of one and one of two minutes."""
    values = np.random.default_rng(0).uniform(0.2, 0.3, (18_000, 7))
    values[5_432, 3], values[12_345, 4] = 0.99, 0.01
    values[[7_000, *range(9_000, 9_600)]] = np.nan
    kept = select_points(values, 500)
    assert len(kept) <= 500 and (np.diff(kept) > 0).all()
    assert {0, 5_432, 7_000, 9_000, 9_599, 12_345, 17_999} <= set(kept.tolist())
    assert np.array_equal(np.nanmax(values[kept], axis=0), np.nanmax(values, axis=0))
    assert np.array_equal(np.nanmin(values[kept], axis=0), np.nanmin(values, axis=0))
    # Nowhere is much left out at a stretch, and in the long gap only its ends are needed.
    outside = [step for start, step in zip(kept, np.diff(kept), strict=False) if not 8_800 < start < 9_600]
    assert max(outside) < 1_000
    assert select_points(values[:500], 500).tolist() == list(range(500))


def test_every_strongest_moment_is_a_point_of_its_curve() -> None:
    """So that a click on it shows the value that it was called by."""
    random = np.random.default_rng(1)
    rows = pd.DataFrame([row("clip", second, 0, "ok", CLASSES[second % 7]) for second in range(3000)])
    rows[[f"s_{name}" for name in CLASSES]] = random.dirichlet(np.full(7, 0.5), 3000)
    curves = build_timeline(rows, CLASSES, 3000.0, max_points=100)
    assert curves is not None
    track = curves["tracks"][0]
    assert track["thinned"] and len(track["times"]) < 200
    smoothed = rows[[f"s_{name}" for name in CLASSES]].to_numpy()
    for place in range(7):
        leading = np.flatnonzero(smoothed.argmax(axis=1) == place)
        peak = leading[smoothed[leading, place].argmax()]
        shown = track["smoothed"][place][track["times"].index(float(peak))]
        assert shown == round(1000 * smoothed[peak, place])


def test_people_with_the_most_frames_are_offered_and_the_others_counted() -> None:
    rows = [row("clip", second, track, "ok", "fear") for track in range(20) for second in range(2 + track)]
    curves = build_timeline(pd.DataFrame(rows), CLASSES, 30.0)
    assert curves is not None
    assert [track["id"] for track in curves["tracks"]] == list(range(12, 20))
    assert curves["hidden"] == 12


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
    assert curves is not None and len(curves["tracks"][0]["times"]) == 20


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


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "clip.mp4")
    (source,) = find_sources([str(tmp_path / "clip.mp4")], tmp_path)
    assert (source.kind, source.embedded) == ("video", False)


def test_a_link_does_not_tell_whose_home_a_video_lies_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home" / "anna"
    monkeypatch.setenv("HOME", str(home))
    clip = str(home / "study" / "a.mkv")
    assert find_sources([clip], tmp_path / "outputs")[0].url == "a.mkv"
    assert find_sources([clip], home / "outputs")[0].url == "../study/a.mkv"


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
