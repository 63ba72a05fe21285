"""Smoothing over time: the probabilities of the emotion table along each track."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import pandas as pd

from fer.core.tables import TIME_TOLERANCE_S
from fer.emotions import AFFECT, list_emotions

SmoothingKind = Literal["none", "exponential", "median", "gaussian"]
# Beyond so many standard deviations a Gaussian weight (below 0.0004) counts as none.
GAUSSIAN_REACH = 4.0


def smooth(table: pd.DataFrame, kind: SmoothingKind, window_s: float, max_gap_s: float) -> pd.DataFrame:
    """Smooth each track of each video by itself over ``time_s``.

    Args:
        table: The emotion table.
        kind: One of SMOOTHERS; none repeats the probabilities.
        window_s: Time constant (exponential), width of the centred window (median) or standard deviation (gaussian),
            seconds.
        max_gap_s: After a longer stretch without a usable face the smoothing starts again, seconds.

    Returns:
        The table with s_<emotion>, which sum to 1, smoothed_emotion and, where the model has them, smoothed_valence and
        smoothed_arousal; they are empty where the status is not `ok`.

    Examples:
        >>> smooth(pd.read_parquet("predictions.parquet"), "median", window_s=2.0, max_gap_s=3.0)
    """
    emotions = list_emotions(table)
    probabilities = table[[f"p_{name}" for name in emotions]].to_numpy(float)
    times = table["time_s"].to_numpy(float)
    affect = [name for name in AFFECT if name in table]
    smoothed, smoothed_affect = np.full(probabilities.shape, np.nan), table[affect].to_numpy(float, copy=True)
    usable = (table["status"] == "ok").to_numpy()
    if usable.any():
        tracks = table[usable].groupby(["video", "track_id"], dropna=False).ngroup().to_numpy()
        smoothed[usable] = smooth_tracks(tracks, times[usable], probabilities[usable], kind, window_s, max_gap_s)
        for rows in _find_segments(tracks, times[usable], max_gap_s) if affect else ():
            rows = np.flatnonzero(usable)[rows]
            smoothed_affect[rows] = _smooth_affect(kind, times[rows], smoothed_affect[rows], window_s)
    leading = np.full(len(table), None, object)
    if emotions:
        leading[usable] = np.array(emotions, object)[smoothed[usable].argmax(axis=1)]
    return table.assign(
        **{f"s_{name}": smoothed[:, column] for column, name in enumerate(emotions)},
        smoothed_emotion=pd.Series(leading, index=table.index, dtype="str"),
        **{f"smoothed_{name}": smoothed_affect[:, column] for column, name in enumerate(affect)},
    )


def smooth_tracks(
    tracks: np.ndarray,
    times: np.ndarray,
    probabilities: np.ndarray,
    kind: SmoothingKind,
    window_s: float,
    max_gap_s: float,
) -> np.ndarray:
    """Smooth the probabilities of usable faces, as ``smooth`` does those of a table.

    Args:
        tracks: (N,) whole number of the track of each, 1 face at least.
        times: (N,) seconds.
        probabilities: (N, classes).
        kind: One of SMOOTHERS.
        window_s: See ``smooth``.
        max_gap_s: See ``smooth``.

    Returns:
        (N, classes).
    """
    smoothed = np.empty(probabilities.shape)
    for rows in _find_segments(tracks, times, max_gap_s):
        smoothed[rows] = SMOOTHERS[kind](times[rows], probabilities[rows], window_s)
    return smoothed


def _smooth_affect(kind: SmoothingKind, times: np.ndarray, values: np.ndarray, window_s: float) -> np.ndarray:
    """Smooth valence and arousal (N, 2) as probabilities are, each as a pair that sums to 1."""
    shares = [np.stack(((1 + column) / 2, (1 - column) / 2), axis=1) for column in values.T]
    return np.stack([2 * SMOOTHERS[kind](times, pair, window_s)[:, 0] - 1 for pair in shares], axis=1)


def _find_segments(tracks: np.ndarray, times: np.ndarray, max_gap_s: float) -> list[np.ndarray]:
    """Row numbers of each unbroken stretch of one track, in the order of time."""
    order = np.lexsort((times, tracks))
    gaps = np.diff(times[order]) > max_gap_s + TIME_TOLERANCE_S
    return np.split(order, np.flatnonzero(gaps | (np.diff(tracks[order]) != 0)) + 1)


def _smooth_none(times: np.ndarray, probabilities: np.ndarray, window_s: float) -> np.ndarray:
    return probabilities


def _smooth_exponential(times: np.ndarray, probabilities: np.ndarray, window_s: float) -> np.ndarray:
    """Exponential mean with a time constant: a value's weight falls to 1/e within ``window_s``; looks back only."""
    smoothed = probabilities.copy()
    for row, decay in enumerate(np.exp(-np.diff(times) / window_s), start=1):
        smoothed[row] = decay * smoothed[row - 1] + (1 - decay) * probabilities[row]
    return smoothed


def _smooth_median(times: np.ndarray, probabilities: np.ndarray, window_s: float) -> np.ndarray:
    """Median of each class over a centred window, both ends included, brought to a sum of 1."""
    clock = pd.to_timedelta(np.round(times * 1e6).astype(np.int64), unit="us")
    window = pd.Timedelta(seconds=window_s + 2 * TIME_TOLERANCE_S)
    rolling = pd.DataFrame(probabilities, index=clock).rolling(window, center=True, closed="both", min_periods=1)
    medians = rolling.median().to_numpy()
    total = medians.sum(axis=1, keepdims=True)
    # Three certain but different faces have the median 0 in every class.
    return np.where(total > 0, medians / np.where(total > 0, total, 1), probabilities)


def _smooth_gaussian(times: np.ndarray, probabilities: np.ndarray, window_s: float) -> np.ndarray:
    """Mean with Gaussian weights of the distance in time (Nadaraya-Watson), for any spacing of the samples."""
    total = probabilities.copy()
    weights = np.ones((len(times), 1))
    for step in range(1, len(times)):
        distance = (times[step:] - times[:-step]) / window_s
        if distance.min() > GAUSSIAN_REACH:
            break
        weight = np.where(distance <= GAUSSIAN_REACH, np.exp(-(distance**2) / 2), 0.0)[:, None]
        total[step:] += weight * probabilities[:-step]
        total[:-step] += weight * probabilities[step:]
        weights[step:] += weight
        weights[:-step] += weight
    return total / weights


SMOOTHERS: dict[SmoothingKind, Callable[[np.ndarray, np.ndarray, float], np.ndarray]] = {
    "none": _smooth_none,
    "exponential": _smooth_exponential,
    "median": _smooth_median,
    "gaussian": _smooth_gaussian,
}
