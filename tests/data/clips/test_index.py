import numpy as np
import pytest

from fer.data.clips.index import MIDDLE, ClipIndex, ClipWindows


def index_of(*clips: np.ndarray) -> ClipIndex:
    starts = np.concatenate(([0], np.cumsum([len(times) for times in clips]))).astype(np.int64)
    return ClipIndex(starts, np.concatenate(clips).astype(np.float32))


def select(index: ClipIndex, clip: int, place: float, length: int = 4, step_s: float = 0.1):
    frames, mask = ClipWindows(index, length, step_s).select(np.array([clip]), np.array([place]))
    return frames[0].tolist(), mask[0].tolist()


TENTHS = np.arange(10) * 0.1
INDEX = index_of(TENTHS[:3], TENTHS, np.array([0.0, 0.1, 0.2, 0.9, 1.0, 1.1]))


def test_a_clip_is_the_frames_between_two_starts():
    assert len(INDEX) == 3
    assert [INDEX.get_frames(clip) for clip in range(3)] == [slice(0, 3), slice(3, 13), slice(13, 19)]


@pytest.mark.parametrize(("place", "first"), [(0.0, 0), (0.16, 1), (MIDDLE, 3), (0.999, 6), (1.0, 6)])
def test_windows_lie_within_a_longer_clip(place, first):
    frames, mask = select(INDEX, 1, place)
    assert frames == [3 + first + number for number in range(4)]
    assert all(mask)


@pytest.mark.parametrize(
    ("place", "there"),
    [(0.0, [1, 1, 1, 0, 0]), (MIDDLE, [0, 1, 1, 1, 0]), (1.0, [0, 0, 1, 1, 1])],
)
def test_a_shorter_clip_lies_within_the_window(place, there):
    frames, mask = select(INDEX, 0, place, length=5)
    assert mask == [bool(value) for value in there]
    assert [frame for frame, is_there in zip(frames, mask, strict=True) if is_there] == [0, 1, 2]
    assert set(frames) == {0, 1, 2}, "the nearest frame stands for one that is not there"


def test_a_gap_is_masked():
    frames, mask = select(INDEX, 2, 0.0, length=12)
    assert mask == [True] * 3 + [False] * 6 + [True] * 3
    assert [frame - 13 for frame, is_there in zip(frames, mask, strict=True) if is_there] == list(range(6))


def test_variable_rates_are_read_by_their_times():
    # The first second has 20 frames a second, the next has 5.
    times = np.concatenate((np.arange(20) * 0.05, 1 + np.arange(6) * 0.2))
    frames, mask = select(index_of(times), 0, 0.0, length=11, step_s=0.2)
    assert times[frames] == pytest.approx(np.arange(11) * 0.2)
    assert all(mask)


def test_every_window_has_a_frame_and_frames_of_its_own_clip_alone():
    generator = np.random.default_rng(0)
    clips = [np.sort(generator.uniform(0, 3, generator.integers(1, 40))) for _ in range(50)]
    index = index_of(*[times - times[0] for times in clips])
    rows = generator.integers(0, 50, 400)
    frames, mask = ClipWindows(index, 16, 0.125).select(rows, generator.random(400))
    assert mask.any(1).all()
    assert ((frames >= index.starts[rows][:, None]) & (frames < index.starts[rows + 1][:, None])).all()
