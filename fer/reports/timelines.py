"""The curves that a page draws, from rows of the emotion table."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

# About two for each pixel of the widest chart. With more sampled frames, neighbours are averaged.
MAX_POINTS = 2000


def build_timeline(
    rows: pd.DataFrame, classes: Sequence[str], duration_s: float | None, max_points: int = MAX_POINTS
) -> dict[str, Any] | None:
    """Build the curves of one video, ready for JSON.

    Args:
        rows: The emotion table's rows of the video.
        classes: Names of the classes.
        duration_s: Duration of the video, seconds; None where it is not known.
        max_points: Longer curves are averaged to at most so many points.

    Returns:
        None where there are fewer than two sampled frames to draw, else `end` (seconds), `step` (sampled frames a
        point), `times` (seconds, a point each), and `tracks`: each with `id`, `frames` (usable ones), `start` (index
        of its first point), and `smoothed` and `raw`: for each class a list of probabilities in thousandths, None
        where the face could not be classified. `raw` is None where smoothing changed nothing.
    """
    timed = rows.dropna(subset=["frame", "time_s"])
    frames, position = np.unique(timed["frame"].to_numpy(dtype=np.int64), return_inverse=True)
    usable = timed["status"].to_numpy() == "ok"
    if len(frames) < 2 or not usable.any():
        return None
    step = math.ceil(len(frames) / max_points)
    # Rows of one frame have one time, so any of them will do.
    times = np.empty(len(frames))
    times[position] = timed["time_s"].to_numpy(dtype=float)
    points = np.arange(len(frames)) // step
    located = timed.assign(point=points[position])
    end = max(times[-1], duration_s if duration_s is not None and math.isfinite(duration_s) else 0.0)
    return {
        "end": round(float(end), 3),
        "step": step,
        "times": np.round(np.bincount(points, times) / np.bincount(points), 3).tolist(),
        "tracks": [_build_track(int(track), rows, classes) for track, rows in located[usable].groupby("track_id")],
    }


def _build_track(track: int, rows: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    points = rows["point"].to_numpy()
    smoothed = rows[[f"s_{name}" for name in classes]].to_numpy(dtype=float)
    raw = rows[[f"p_{name}" for name in classes]].to_numpy(dtype=float)
    start = int(points.min())
    return {
        "id": track,
        "frames": len(rows),
        "start": start,
        "smoothed": _average_points(smoothed, points - start),
        "raw": None if np.allclose(smoothed, raw, atol=5e-4) else _average_points(raw, points - start),
    }


def _average_points(values: np.ndarray, points: np.ndarray) -> list[list[int | None]]:
    """Return for each column of ``values`` (rows, classes) its mean over the rows of each point, in thousandths."""
    counts = np.bincount(points)
    sums = np.stack([np.bincount(points, column) for column in values.T])
    return [
        [round(1000 * total / count) if count else None for total, count in zip(column, counts, strict=True)]
        for column in sums
    ]
