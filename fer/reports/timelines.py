"""The curves that a page draws, from rows of the emotion table."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

# About two for each pixel of the widest chart.
MAX_POINTS = 2000
# People whose curves a chart offers: those with the most frames.
MAX_TRACKS = 8
# More of them run together in any window.
MAX_STRETCHES = 200


def build_timeline(
    rows: pd.DataFrame, classes: Sequence[str], duration_s: float | None, max_points: int = MAX_POINTS
) -> dict[str, Any] | None:
    """Build the curves of one video, ready for JSON.

    Args:
        rows: The emotion table's rows of the video.
        classes: Names of the classes.
        duration_s: Duration of the video, seconds; None where it is not known.
        max_points: A longer curve keeps about so many points: of each stretch of time those at which any emotion,
            smoothed or not, is strongest or weakest, and both ends of what is missing. Every point is a sampled frame.

    Returns:
        None where there are fewer than two sampled frames to draw, else `end` (seconds), `hidden` (number of people
        whose curves are left out) and `tracks`, by their ids: each with `id`, `frames` (usable ones), `thinned`
        (whether points are left out), `times` (seconds, a point each), and `smoothed` and `raw`: for each class a list
        of probabilities in thousandths, None where the face could not be classified. `raw` is None where smoothing
        changed nothing. `uncertain` lists the stretches [start, end] (seconds) in which the emotion is uncertain; where
        there are more than MAX_STRETCHES, those of many frames of which at least half are.
    """
    timed = rows.dropna(subset=["frame", "time_s"])
    frames, position = np.unique(timed["frame"].to_numpy(dtype=np.int64), return_inverse=True)
    usable = timed["status"].to_numpy() == "ok"
    if len(frames) < 2 or not usable.any():
        return None
    # Rows of one frame have one time, so any of them will do.
    times = np.empty(len(frames))
    times[position] = timed["time_s"].to_numpy(dtype=float)
    end = max(times[-1], duration_s if duration_s is not None and math.isfinite(duration_s) else 0.0)
    located = timed.assign(point=position)[usable]
    counts = located["track_id"].value_counts()
    shown = sorted(counts.index[:MAX_TRACKS])
    return {
        "end": round(float(end), 3),
        "hidden": len(counts) - len(shown),
        "tracks": [
            _build_track(int(track), located[located["track_id"] == track], times, classes, max_points)
            for track in shown
        ],
    }


def _build_track(
    track: int, rows: pd.DataFrame, times: np.ndarray, classes: Sequence[str], max_points: int
) -> dict[str, Any]:
    points = rows["point"].to_numpy()
    # The sampled frames before and after, in which the person is not, are gaps.
    start, stop = max(0, int(points.min()) - 1), min(len(times), int(points.max()) + 2)
    smoothed, raw = (
        _spread(rows[[f"{kind}_{name}" for name in classes]].to_numpy(dtype=float), points - start, stop - start)
        for kind in ("s", "p")
    )
    flags = np.zeros(stop - start, bool)
    flags[points - start] = rows["uncertain"].fillna(False).to_numpy(dtype=bool)
    changed = not np.allclose(smoothed, raw, atol=5e-4, equal_nan=True)
    kept = select_points(np.hstack([smoothed, raw]) if changed else smoothed, max_points)
    # The strongest moments can be gone to, so they are points.
    kept = np.union1d(kept, np.concatenate([_find_leading_peaks(values) for values in (smoothed, raw)]))
    return {
        "id": track,
        "frames": len(rows),
        "thinned": len(kept) < stop - start,
        "times": np.round(times[start:stop][kept], 3).tolist(),
        "smoothed": _encode_thousandths(smoothed[kept]),
        "uncertain": _find_stretches(flags, times[start:stop]),
        "raw": _encode_thousandths(raw[kept]) if changed else None,
    }


def _find_stretches(flags: np.ndarray, times: np.ndarray) -> list[list[float]]:
    """Stretches [start, end] of flagged points; borders lie half-way to the next point, as those of gaps do."""
    changes = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    if len(changes) > 2 * MAX_STRETCHES:
        size = -(-len(flags) // (2 * MAX_STRETCHES))
        blocks = [flags[first : first + size] for first in range(0, len(flags), size)]
        return _find_stretches(np.concatenate([np.full(len(part), part.mean() >= 0.5) for part in blocks]), times)
    borders = np.concatenate([[times[0]], (times[:-1] + times[1:]) / 2, [times[-1]]])
    return [[round(float(borders[first]), 3), round(float(borders[last]), 3)] for first, last in changes.reshape(-1, 2)]


def _spread(values: np.ndarray, points: np.ndarray, size: int) -> np.ndarray:
    """Set the rows of ``values`` at their points; NaN elsewhere."""
    spread = np.full((size, values.shape[1]), np.nan)
    spread[points] = values
    return spread


def select_points(values: np.ndarray, max_points: int) -> np.ndarray:
    """Select the points of curves that show their extremes and gaps.

    Args:
        values: (points, curves), NaN where a curve has none.
        max_points: About so many are kept where there are more.

    Returns:
        Indices of the points, ascending, the first and the last among them.
    """
    count = len(values)
    if count <= max_points:
        return np.arange(count)
    stretches = max(1, max_points // 4)
    while True:
        kept = _select_extremes(values, np.linspace(0, count, stretches + 1).astype(int))
        if len(kept) <= max_points or stretches == 1:
            return kept
        stretches = max(1, stretches * max_points // (len(kept) + stretches))


def _select_extremes(values: np.ndarray, borders: np.ndarray) -> np.ndarray:
    """Ends, extremes of each curve, and first and last gap in each stretch between two borders."""
    missing = np.isnan(values).any(axis=1)
    kept = {0, len(values) - 1}
    for first, last in zip(borders[:-1], borders[1:], strict=True):
        part, gaps = values[first:last], np.flatnonzero(missing[first:last])
        if len(gaps):
            # A gap between two points stays a gap, and begins and ends where it did.
            kept |= {first + gap for gap in (gaps[0], gaps[-1])}
        if len(gaps) < len(part):
            kept |= set((first + np.nanargmin(np.where(missing[first:last, None], np.inf, part), axis=0)).tolist())
            kept |= set((first + np.nanargmax(np.where(missing[first:last, None], -np.inf, part), axis=0)).tolist())
    return np.array(sorted(kept))


def _find_leading_peaks(values: np.ndarray) -> np.ndarray:
    """The point at which each class (a column) is strongest, of those in which it leads."""
    usable = np.flatnonzero(~np.isnan(values).any(axis=1))
    leading = values[usable].argmax(axis=1)
    peaks = [usable[leading == column][values[usable[leading == column], column].argmax()] for column in set(leading)]
    return np.array(sorted(peaks), dtype=np.int64)


def _encode_thousandths(values: np.ndarray) -> list[list[int | None]]:
    """For each class its values (points, classes) in thousandths, None for NaN."""
    return [[None if math.isnan(value) else round(1000 * value) for value in column] for column in values.T.tolist()]
