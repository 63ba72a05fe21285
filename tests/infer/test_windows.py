"""Windows over tracks: which faces of which person stand for which point, and what is never reached."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from fer.infer.extract import FrameFaces, VideoEnd
from fer.infer.windows import Window, WindowSlider, compute_reach


@dataclass(frozen=True)
class Format:
    length: int = 4
    step_s: float = 0.1
    position: str = "causal"


Item = tuple[FrameFaces | VideoEnd, np.ndarray]
# A frame's time, and of each of its people the track id and whether the face is usable.
Frame = tuple[float, dict[int, bool]]


def frame_of(time_s: float, people: dict[int, bool], video: int = 0, is_context: bool = False) -> Item:
    """A frame whose faces have features that tell their person and time: (person, milliseconds)."""
    rows: list[dict[str, Any]] = [
        {"time_s": time_s, "track_id": person, "status": "ok" if usable else "low_quality"}
        for person, usable in people.items()
    ] or [{"time_s": time_s, "track_id": None, "status": "no_face"}]
    usable = [person for person, usable in people.items() if usable]
    features = np.array([[(person, round(1000 * time_s))] for person in usable], np.float32).reshape(-1, 1, 2)
    return FrameFaces(video, 0, rows, [np.zeros((1, 1, 3), np.uint8)] * len(usable), is_context), features


def look(window: Window) -> list[tuple[int, int] | None]:
    """Person and milliseconds at each point; None where it is masked."""
    features, mask = window.stack()
    assert features.shape[1:] == (1, 2) and not features[~mask].any()
    return [tuple(point[0].astype(int).tolist()) if seen else None for point, seen in zip(features, mask, strict=True)]


def slide(
    items: Sequence[Item], window: Format, max_missed: int | None = 2
) -> list[list[list[tuple[int, int] | None]]]:
    slid = WindowSlider(window, max_missed).slide(iter(items))
    return [[look(found) for found in windows] for _, windows in slid]


def of_one(frames: Sequence[Frame], window: Format, max_missed: int | None = 2) -> list[list[int | None]]:
    """Milliseconds at the points of each window of a video with one person."""
    found = slide([frame_of(*frame) for frame in frames], window, max_missed)
    return [[point and point[1] for point in windows[0]] for windows in found if windows]


def test_a_causal_window_ends_with_its_face_and_a_centred_one_has_it_in_the_middle() -> None:
    frames: list[Frame] = [(k / 10, {0: True}) for k in range(6)]
    assert of_one(frames, Format())[0] == [None, None, None, 0]
    assert of_one(frames, Format())[-1] == [200, 300, 400, 500]
    centred = of_one(frames, Format(position="centred"))
    assert centred == [
        *([None, None, 0, 100], [None, 0, 100, 200], [0, 100, 200, 300]),
        *([100, 200, 300, 400], [200, 300, 400, 500], [300, 400, 500, None]),
    ]


def test_each_point_takes_the_nearest_face_whatever_the_frame_rate() -> None:
    # 30 frames a second: the nearest of three stands for a point.
    assert of_one([(k / 30, {0: True}) for k in range(31)], Format())[-1] == [700, 800, 900, 1000]
    # One every 0.15 s: a point further than half a step from all faces is masked.
    assert of_one([(k * 0.15, {0: True}) for k in range(5)], Format())[-1] == [300, 450, 450, 600]
    assert of_one([(k * 0.2, {0: True}) for k in range(5)], Format())[-1] == [None, 600, None, 800]


def test_a_causal_answer_does_not_wait_and_a_centred_one_for_no_more_than_it_needs() -> None:
    read: list[float] = []

    def iter_items() -> Iterator[Item]:
        for k in range(20):
            read.append(k / 10)
            yield frame_of(k / 10, {0: True})

    assert len(list(WindowSlider(Format(), 2).slide(iter_items()))) == 20
    for window, wait_s in ((Format(), 0.0), (Format(position="centred"), 0.2)):
        read.clear()
        for (item, _), position in zip(WindowSlider(window, 2).slide(iter_items()), range(15), strict=False):
            assert isinstance(item, FrameFaces)
            assert item.rows[0]["time_s"] == position / 10
            assert read[-1] == pytest.approx(position / 10 + wait_s)


def test_a_short_gap_is_masked_and_behind_a_longer_one_the_window_begins_anew() -> None:
    shown = [True, True, False, False, True, True]
    frames: list[Frame] = [(k / 10, {0: usable}) for k, usable in enumerate(shown)]
    assert of_one(frames, Format(), max_missed=2)[-1] == [None, None, 400, 500]
    assert of_one(frames, Format(length=6), max_missed=2)[-1] == [0, 100, None, None, 400, 500]
    assert of_one(frames, Format(length=6), max_missed=1)[-1] == [None, None, None, None, 400, 500]
    # The same ahead, and where the frames of the gap show nobody at all.
    centred = of_one(frames, Format(length=8, position="centred"), max_missed=1)
    assert centred[1] == [None, None, None, 0, 100, None, None, None]
    gone: list[Frame] = [(time_s, faces if faces[0] else {}) for time_s, faces in frames]
    assert of_one(gone, Format(length=6), max_missed=1)[-1] == [None, None, None, None, 400, 500]


@pytest.mark.parametrize(("missed", "begins_anew"), [(15, False), (16, True)])
def test_without_a_limit_of_frames_a_window_reaches_across_two_seconds(missed: int, begins_anew: bool) -> None:
    shown = [True, *[False] * missed, True]
    frames: list[Frame] = [(k / 8, {0: True} if seen else {}) for k, seen in enumerate(shown)]
    (first, *_, last) = of_one(frames, Format(length=20, step_s=0.125), max_missed=None)[-1][-missed - 2 :]
    assert last == round(1000 * (missed + 1) / 8)
    assert first == (None if begins_anew else 0)


def test_people_and_videos_are_kept_apart() -> None:
    frames: list[Frame] = [(k / 10, {1: True, 0: True}) for k in range(3)] + [(0.3, {0: True})]
    found = slide([frame_of(*frame) for frame in frames], Format())
    assert found[2] == [
        [None, (1, 0), (1, 100), (1, 200)],
        [None, (0, 0), (0, 100), (0, 200)],
    ]
    assert found[3] == [[(0, 0), (0, 100), (0, 200), (0, 300)]]
    # The next video's frames neither end nor begin in it, though one is answered with frames ahead.
    both = [frame_of(k / 10, {0: True}, video) for video in (0, 1) for k in range(3)]
    found = slide(both, Format(length=5, position="centred"))
    assert found[2] == [[(0, 0), (0, 100), (0, 200), None, None]]
    assert found[3] == [[None, None, (0, 0), (0, 100), (0, 200)]]


def test_a_video_s_end_comes_after_all_of_its_frames() -> None:
    end = (VideoEnd(0, {}), np.empty((0, 1, 2)))
    items = [frame_of(0.0, {0: True}), frame_of(0.1, {}), end, frame_of(0.0, {}, video=1)]
    slid = list(WindowSlider(Format(position="centred"), 2).slide(iter(items)))
    assert [item for item, _ in slid] == [item for item, _ in items]
    assert [len(windows) for _, windows in slid] == [1, 0, 0, 0]


@pytest.mark.parametrize("position", ["causal", "centred"])
@pytest.mark.parametrize("rate", [4, 10, 30])
def test_context_of_the_reach_gives_the_windows_of_the_whole_video(position: str, rate: int) -> None:
    window = Format(length=5, position=position)
    random = np.random.default_rng(rate)
    frames: list[Frame] = [(k / rate, {0: random.random() < 0.7, 1: random.random() < 0.9}) for k in range(60)]
    whole = slide([frame_of(*frame) for frame in frames], window, max_missed=1)
    back_s, _ = compute_reach(window)
    for first in (1, 20, 59):
        begin = frames[first - 1][0] - back_s
        context = [frame_of(*frame, is_context=True) for frame in frames[:first] if frame[0] >= begin]
        rest = [frame_of(*frame) for frame in frames[first:]]
        assert slide([*context, *rest], window, max_missed=1) == whole[first:]
        # Context that is there already, from an earlier extraction, counts once.
        earlier = [frame_of(*frame) for frame in frames[:first]]
        assert slide([*earlier, *context, *rest], window, max_missed=1) == whole


def test_faces_that_no_window_reaches_are_let_go() -> None:
    slider, most = WindowSlider(Format(position="centred"), 2), 0
    people = [{k // 100: True} for k in range(2000)]
    for _ in slider.slide(frame_of(k / 10, faces) for k, faces in enumerate(people)):
        most = max(most, len(slider.waiting), sum(map(len, slider.video.tracks.values())), len(slider.video.tracks))
    assert most <= 6
