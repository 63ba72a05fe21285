"""Sliding windows over a run of frames, in memory that the window bounds, and not the run."""

from collections.abc import Callable

import numpy as np

from fer.core.time_grid import build_window_grid, select_frames
from fer.models.clip_format import TemporalFormat

# Numbers of the windows that are judged at once, and frames that are answered for at once.
MAX_NUMBERS, BLOCK = 1 << 22, 64
# From windows of features (N, T, D) and which frames are there (N, T) to answers (N, columns).
JudgeFn = Callable[[np.ndarray, np.ndarray], np.ndarray]


def judge_in_batches(judge: JudgeFn, features: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Judge any number of windows, of which so many at a time are copied that memory stays bounded.

    Args:
        judge: Gives answers (N, columns) of some windows.
        features: (N, T, D) float32, N above 0.
        mask: (N, T) bool.
    """
    batch = max(1, MAX_NUMBERS // max(1, features.shape[1] * features.shape[2]))
    parts = (slice(start, start + batch) for start in range(0, len(features), batch))
    return np.concatenate(
        [judge(np.ascontiguousarray(features[part]), np.ascontiguousarray(mask[part])) for part in parts]
    )


def slide(
    encode: Callable[[slice], np.ndarray], judge: JudgeFn, times: np.ndarray, window: TemporalFormat
) -> np.ndarray:
    """Answer for each frame of a run by the window around it; each frame is encoded once.

    Args:
        encode: Gives features (n, D) of some of the frames.
        judge: Gives answers (N, columns) of windows.
        times: (M,) seconds of the frames, rising; one at least.
        window: The windows.

    Returns:
        Answers (M, columns).
    """
    answers = []
    held, first = encode(slice(0, 0)), 0
    for start in range(0, len(times), BLOCK):
        grid = build_window_grid(times[start : start + BLOCK], window.length, window.step_s, window.position)
        rows, mask = select_frames(times, grid, window.step_s)
        low, high = int(rows.min()), int(rows.max()) + 1
        known = max(first + len(held), low)
        held = np.concatenate((held[low - first :], encode(slice(known, high))))
        first = low
        answers.append(judge(held[rows - low], mask))
    return np.concatenate(answers)
