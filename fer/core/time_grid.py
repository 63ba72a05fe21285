"""Windows of time: points at equal distances, and the frame that stands for each of them."""

import numpy as np

# Frames' times are kept in single precision and come from containers with clocks of their own. Distances that differ by
# less than this part of a step are the same, so that rounding decides nothing.
_TOLERANCE = 1e-3


def build_window_grid(time_s: float | np.ndarray, length: int, step_s: float, position: str) -> np.ndarray:
    """The points in time of the window that answers for a moment.

    Args:
        time_s: the moment, in seconds, or an array of moments of any shape.
        length: points of a window.
        step_s: seconds between two points.
        position: causal (the moment is the last point, so the window needs nothing of the future) or centred (the
            moment is point length // 2).

    Returns:
        Seconds, rising: (length,) for one moment, (..., length) for an array.

    Example:
        >>> build_window_grid(1.0, 3, 0.25, "causal")
        array([0.5 , 0.75, 1.  ])
    """
    anchors = {"causal": length - 1, "centred": length // 2}
    return np.asarray(time_s, np.float64)[..., None] + (np.arange(length) - anchors[position]) * step_s


def select_frames(times: np.ndarray, grid: np.ndarray, step_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest frame of each point of a grid.

    Args:
        times: seconds of the frames (M,), rising; M may be 0.
        grid: seconds of the points, any shape (..., T).
        step_s: seconds between two points. A frame stands for a point that is within half a step, the bounds included.

    Returns:
        Rows into times (..., T), the earlier one of two that are equally near, and whether there is a frame within half
        a step (..., T). Where there is none, the row is that of the nearest frame all the same (0 without frames).

    Example:
        >>> select_frames(np.array([0.0, 0.1, 0.5]), np.array([0.0, 0.12, 0.24]), 0.12)
        (array([0, 1, 1]), array([ True,  True, False]))
    """
    times, grid = np.asarray(times, np.float64), np.asarray(grid, np.float64)
    if not len(times):
        return np.zeros(grid.shape, np.int64), np.zeros(grid.shape, bool)
    after = np.minimum(np.searchsorted(times, grid), len(times) - 1)
    before = np.maximum(after - 1, 0)
    slack = _TOLERANCE * step_s
    rows = np.where(np.abs(grid - times[before]) <= np.abs(times[after] - grid) + slack, before, after)
    return rows, np.abs(times[rows] - grid) <= step_s / 2 + slack
