import numpy as np
import pytest

from fer.core.time_grid import build_window_grid, select_frames


@pytest.mark.parametrize(
    ("position", "expected"),
    [("causal", [0.625, 0.75, 0.875, 1.0]), ("centred", [0.75, 0.875, 1.0, 1.125])],
)
def test_the_moment_is_the_last_point_of_a_causal_window_and_the_middle_one_of_a_centred_window(position, expected):
    assert build_window_grid(1.0, 4, 0.125, position).tolist() == expected
    several = build_window_grid(np.array([[1.0], [3.0]]), 4, 0.125, position)
    assert several.shape == (2, 1, 4)
    assert several[1, 0].tolist() == [second + 2 for second in expected]


def test_each_point_has_the_nearest_frame_within_half_a_step():
    times = np.array([0.0, 0.1, 0.2, 0.31, 1.0])
    rows, there = select_frames(times, np.array([-0.2, 0.02, 0.24, 0.26, 0.6, 0.9, 1.3]), 0.2)
    assert rows[there].tolist() == [0, 2, 3, 4]
    assert there.tolist() == [False, True, True, True, False, True, False]


def test_every_point_agrees_with_a_search_over_all_frames():
    generator = np.random.default_rng(3)
    times = np.sort(generator.uniform(0, 10, 80))
    grid = generator.uniform(-1, 11, (7, 5, 16))
    rows, there = select_frames(times, grid, 0.125)
    distances = np.abs(grid[..., None] - times)
    # A distance that is larger by a thousandth of a step counts as the same one.
    assert (np.abs(times[rows] - grid) <= distances.min(-1) + 0.000126).all()
    clear = np.abs(distances.min(-1) - 0.0625) > 0.0002
    np.testing.assert_array_equal(there[clear], (distances.min(-1) <= 0.0625)[clear])


def test_rounding_of_times_to_single_precision_changes_nothing():
    # 12.5 frames a second against steps of 0.16 s with an offset: every point is just half a step from two frames.
    times = 100 + np.arange(40) * 0.16
    grid = build_window_grid(104.0 + 0.08, 16, 0.16, "causal")
    exact = select_frames(times, grid, 0.16)
    rounded = select_frames(times.astype(np.float32), grid, 0.16)
    np.testing.assert_array_equal(exact[0], rounded[0])
    assert exact[1].all() and rounded[1].all()
    assert (times[exact[0]] < grid).all()


def test_a_gap_between_frames_is_not_filled():
    times = np.concatenate([np.arange(8) * 0.125, 5 + np.arange(8) * 0.125])
    _, there = select_frames(times, build_window_grid(5.25, 16, 0.125, "causal"), 0.125)
    assert there.tolist() == [False] * 13 + [True] * 3


def test_one_frame_and_no_frame():
    grid = np.array([0.9, 1.0, 1.2])
    rows, there = select_frames(np.array([1.0]), grid, 0.2)
    assert rows.tolist() == [0, 0, 0] and there.tolist() == [True, True, False]
    rows, there = select_frames(np.zeros(0), grid, 0.2)
    assert rows.tolist() == [0, 0, 0] and not there.any()
