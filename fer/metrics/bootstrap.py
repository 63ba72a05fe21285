"""Bootstrap: intervals of metrics, and classifiers compared on the same images, which are drawn together for all."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from fer.metrics.classification import average_present_classes, compute_f1

RESAMPLES, SEED = 2000, 0
# Samples for metrics that are no function of the confusion matrix: what costs a pass over all images each.
IMAGE_RESAMPLES = 1000
# Those of BootstrapMetrics, in the order of tables and pages.
PAIRED_METRICS = ("accuracy", "balanced_accuracy", "macro_f1")
INTERVAL = (2.5, 97.5)  # per cent
# Faces of one person a moment apart look alike, so a track's faces of so many seconds are drawn together.
SEGMENT_S = 5.0
# How many numbers are drawn at a time bounds the memory; the samples of segments depend on it.
MAX_CELLS_PER_DRAW, MAX_CLUSTERS_PER_DRAW = 1 << 24, 1 << 22
MAX_WEIGHTS_PER_DRAW = 1 << 19


@dataclass(frozen=True)
class BootstrapMetrics:
    """Metrics (1 + RESAMPLES, classifiers): in the first row of the images themselves, then of bootstrap samples."""

    accuracy: np.ndarray
    balanced_accuracy: np.ndarray
    macro_f1: np.ndarray


@dataclass(frozen=True)
class PairedDifference:
    """Differences of a metric, (comparisons,), with 95 % intervals and two-sided p-values."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray


def extract_predictions(table: pd.DataFrame, key: str) -> pd.DataFrame:
    """Extract the predicted class of each image from a table of probabilities.

    Args:
        table: A row an image, with ``key``, label and p_<emotion>.
        key: The column that identifies an image.

    Returns:
        ``key``, ``label`` and ``predicted``, a row for each pair of key and label.
    """
    columns = [name for name in table.columns if name.startswith("p_")]
    predicted = np.array([name.removeprefix("p_") for name in columns])[table[columns].to_numpy().argmax(1)]
    return table[[key, "label"]].assign(predicted=predicted).drop_duplicates([key, "label"])


def resample_metrics(labels: np.ndarray, predicted: np.ndarray) -> BootstrapMetrics:
    """Compute accuracy and macro-F1 of classifiers on bootstrap samples of the same images, the same at every call.

    Images that agree in label and all predictions are one cell: drawing images with replacement is drawing the cells'
    counts from a multinomial distribution. Balanced accuracy and macro-F1 are means over the classes that have images
    in a sample.

    Args:
        labels: (N,) names of the true classes.
        predicted: (N, K) names of the classes that K classifiers predict.
    """
    names = np.column_stack([labels, predicted])
    codes, classes = pd.factorize(names.ravel(), sort=True)
    cells, counts = np.unique(codes.reshape(names.shape), axis=0, return_counts=True)
    one_hot = np.eye(len(classes), dtype=np.float32)
    label, predictions = cells[:, 0], cells[:, 1:].T
    accuracy, balanced_accuracy, macro_f1 = [], [], []
    for times in _iter_bootstrap_counts(counts):
        true = (times @ one_hot[label])[:, None].astype(float)
        correct = np.stack([times @ (one_hot[label] * (label == cls)[:, None]) for cls in predictions], 1).astype(float)
        positive = np.stack([times @ one_hot[cls] for cls in predictions], 1).astype(float)
        accuracy.append(correct.sum(-1) / len(labels))
        balanced_accuracy.append(average_present_classes(correct / np.maximum(true, 1), true))
        macro_f1.append(average_present_classes(compute_f1(correct, true, positive), true))
    return BootstrapMetrics(*map(np.concatenate, (accuracy, balanced_accuracy, macro_f1)))


def _iter_bootstrap_counts(counts: np.ndarray) -> Iterator[np.ndarray]:
    """Yield ``counts`` (cells,) themselves and those of RESAMPLES bootstrap samples, in blocks of (…, cells)."""
    random = np.random.default_rng(SEED)
    step = max(1, MAX_CELLS_PER_DRAW // len(counts))
    yield counts[None].astype(np.float32)
    for first in range(0, RESAMPLES, step):
        size = min(step, RESAMPLES - first)
        # Single precision holds whole numbers below 16 million exactly.
        yield random.multinomial(counts.sum(), counts / counts.sum(), size=size).astype(np.float32)


def compute_paired_difference(one: np.ndarray, others: np.ndarray) -> PairedDifference:
    """Compare a classifier with others by a paired bootstrap.

    p is twice the fraction of samples in which the difference has the other sign or none (at most 1); the images
    themselves count as one of them, so p is never zero.

    Args:
        one: (1 + RESAMPLES,) metric of the classifier, as BootstrapMetrics has it.
        others: (1 + RESAMPLES, M) the same metric of M others.

    Returns:
        ``one`` less each of ``others``.
    """
    differences = one[:, None] - others
    low, high = np.percentile(differences[1:], INTERVAL, axis=0)
    against = np.minimum((differences[1:] <= 0).sum(0), (differences[1:] >= 0).sum(0))
    p = np.minimum(1, 2 * (1 + against) / (1 + RESAMPLES))
    return PairedDifference(differences[0], low, high, p)


@dataclass(frozen=True)
class TrackSegments:
    """Segments of tracks, which are what is drawn: faces of one person within SEGMENT_S.

    Attributes:
        row_segments: (faces,) the segment of each face.
        segment_videos: (segments,) the video of each segment, ascending from 0.
    """

    row_segments: np.ndarray
    segment_videos: np.ndarray

    @classmethod
    def from_faces(cls, faces: pd.DataFrame) -> "TrackSegments":
        """Divide the rows of an emotion table (video, track_id, time_s) into segments."""
        video = pd.factorize(faces["video"], sort=True)[0]
        track = faces["track_id"].fillna(-1).to_numpy("int64")
        window = np.floor(faces["time_s"].to_numpy(float) / SEGMENT_S).astype("int64")
        segments, row_segments = np.unique(np.column_stack([video, track, window]), axis=0, return_inverse=True)
        return cls(row_segments.reshape(-1), segments[:, 0])

    def count_codes(self, codes: np.ndarray, size: int) -> np.ndarray:
        """Count the codes of the faces in each segment.

        Args:
            codes: (faces,) from 0 to ``size`` - 1; a face with a negative one is left out.
            size: Number of codes.

        Returns:
            (segments, size).
        """
        known = codes >= 0
        cells = self.row_segments[known] * size + codes[known]
        return (
            np.bincount(cells, minlength=len(self.segment_videos) * size)
            .reshape(len(self.segment_videos), size)
            .astype(float)
        )

    def resample_sums(self, counts: np.ndarray) -> np.ndarray:
        """Sum ``counts`` (segments, K) over bootstrap samples, (RESAMPLES, K); the same samples at every call.

        Videos are drawn with replacement, and in each drawn video as many segments as it has: with one video only
        the segments, with single images only these. Drawing and counting is a multinomial distribution, and drawing
        from one video several times is one draw of so many times the number.
        """
        random = np.random.default_rng(SEED)
        videos = len(self._video_starts) - 1
        step = max(1, min(RESAMPLES, MAX_CLUSTERS_PER_DRAW // max(videos, 1)))
        return np.concatenate(
            [self._draw_sums(counts, min(step, RESAMPLES - first), random) for first in range(0, RESAMPLES, step)]
        )

    def _draw_sums(self, counts: np.ndarray, samples: int, random: np.random.Generator) -> np.ndarray:
        sizes = np.diff(self._video_starts)
        times = random.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=samples)
        single = sizes == 1
        # Rows of zeros for the others: leaving out columns of so many samples takes longer than to multiply them.
        sums = times.astype(float) @ np.where(single[:, None], counts[self._video_starts[:-1]], 0.0)
        for number in np.flatnonzero(~single):
            size = sizes[number]
            inside = random.multinomial(times[:, number] * size, np.full(size, 1 / size))
            sums += inside.astype(float) @ counts[self._video_starts[number] : self._video_starts[number + 1]]
        return sums

    @cached_property
    def _video_starts(self) -> np.ndarray:
        """The first segment of each video, and the end of the last one."""
        return np.searchsorted(self.segment_videos, np.arange(self.segment_videos.max(initial=-1) + 2))


def resample_confusion(confusion: np.ndarray, seed: int = 0) -> np.ndarray:
    """Draw bootstrap samples of the images in a confusion matrix.

    Drawing images with replacement and counting them is drawing the cells from a multinomial distribution.

    Args:
        confusion: (C, C) counts.
        seed: The same seed draws the same samples.

    Returns:
        (RESAMPLES, C, C) counts.
    """
    total = int(confusion.sum())
    drawn = np.random.default_rng(seed).multinomial(total, confusion.ravel() / total, size=RESAMPLES)
    return drawn.reshape(RESAMPLES, *confusion.shape)


def iter_image_weights(count: int) -> Iterator[np.ndarray]:
    """Yield how often each of ``count`` images is in a sample, (…, count) float32, the same at every call.

    First comes one row of ones, the images themselves; then IMAGE_RESAMPLES bootstrap samples, in blocks. Without
    images they are empty.
    """
    random = np.random.default_rng(SEED)
    yield np.ones((1, count), np.float32)
    step = max(1, MAX_WEIGHTS_PER_DRAW // max(count, 1))
    for first in range(0, IMAGE_RESAMPLES, step):
        size = min(step, IMAGE_RESAMPLES - first)
        drawn = random.integers(0, max(count, 1), (size, count), dtype=np.int64)
        drawn += np.arange(size)[:, None] * count
        yield np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count).astype(np.float32)


def compute_interval(value: float | np.ndarray, samples: np.ndarray | None) -> dict[str, float | None]:
    """Return a metric with its 95 % bootstrap interval.

    Args:
        value: The metric.
        samples: (RESAMPLES,) the metric of bootstrap samples, NaN where a sample has none; None gives no limits.

    Returns:
        ``value``, ``low`` and ``high``, all None where the metric is NaN.
    """
    if np.isnan(value):
        return {"value": None, "low": None, "high": None}
    if samples is None:
        return {"value": float(value), "low": None, "high": None}
    low, high = np.nanpercentile(samples, INTERVAL)
    return {"value": float(value), "low": float(low), "high": float(high)}
