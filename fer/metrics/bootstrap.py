"""Paired bootstrap: classifiers compared on the same images, which are drawn together for all of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from fer.metrics.classification import average_present_classes, compute_f1

RESAMPLES, SEED = 2000, 0
INTERVAL = (2.5, 97.5)  # per cent
# Faces of one person a moment apart look alike. What is drawn together is a track's faces of so many seconds.
SEGMENT_S = 5.0
# Numbers drawn at a time bound the memory where there are many images. Samples of clusters depend on it.
MAX_CELLS_PER_DRAW, MAX_CLUSTERS_PER_DRAW = 1 << 24, 1 << 22


@dataclass(frozen=True)
class BootstrapMetrics:
    """Figures (1 + RESAMPLES, classifiers): first those of the images themselves, then those of bootstrap samples."""

    accuracy: np.ndarray
    macro_f1: np.ndarray


@dataclass(frozen=True)
class PairedDifference:
    """Figures less others, with 95 % intervals and two-sided p-values; an entry a comparison."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray


def extract_predictions(table: pd.DataFrame, key: str) -> pd.DataFrame:
    """``key``, label and the most probable emotion (``predicted``) of each image; a picture counts once.

    ``table`` has a row an image with ``key``, label and p_<emotion>.
    """
    columns = [name for name in table.columns if name.startswith("p_")]
    predicted = np.array([name.removeprefix("p_") for name in columns])[table[columns].to_numpy().argmax(1)]
    return table[[key, "label"]].assign(predicted=predicted).drop_duplicates([key, "label"])


def resample_metrics(labels: np.ndarray, predicted: np.ndarray) -> BootstrapMetrics:
    """Accuracy and macro-F1 of K classifiers on bootstrap samples of the same N images; the same at every call.

    ``labels`` (N,) and ``predicted`` (N, K) are names of classes. Macro-F1 is the mean over the classes that have
    images in a sample. Images that agree in label and all decisions are one cell: drawing images with replacement
    is drawing the cells' counts from a multinomial distribution.
    """
    names = np.column_stack([labels, predicted])
    codes, classes = pd.factorize(names.ravel(), sort=True)
    cells, counts = np.unique(codes.reshape(names.shape), axis=0, return_counts=True)
    one_hot = np.eye(len(classes), dtype=np.float32)
    label, decided = cells[:, 0], cells[:, 1:].T
    accuracy, macro_f1 = [], []
    for times in _iter_bootstrap_counts(counts):
        true = (times @ one_hot[label])[:, None].astype(float)
        right = np.stack([times @ (one_hot[label] * (label == column)[:, None]) for column in decided], 1).astype(float)
        chosen = np.stack([times @ one_hot[column] for column in decided], 1).astype(float)
        accuracy.append(right.sum(-1) / len(labels))
        macro_f1.append(average_present_classes(compute_f1(right, true, chosen), true))
    return BootstrapMetrics(np.concatenate(accuracy), np.concatenate(macro_f1))


def _iter_bootstrap_counts(counts: np.ndarray) -> Iterator[np.ndarray]:
    """``counts`` (cells,) themselves and those of RESAMPLES bootstrap samples, in parts of (…, cells)."""
    random = np.random.default_rng(SEED)
    step = max(1, MAX_CELLS_PER_DRAW // len(counts))
    yield counts[None].astype(np.float32)
    for first in range(0, RESAMPLES, step):
        size = min(step, RESAMPLES - first)
        # Single precision holds whole numbers below 16 million exactly.
        yield random.multinomial(counts.sum(), counts / counts.sum(), size=size).astype(np.float32)


def compute_paired_difference(one: np.ndarray, others: np.ndarray) -> PairedDifference:
    """``one`` (1 + RESAMPLES,) less each of ``others`` (1 + RESAMPLES, M), as Resampled has them.

    p is twice the share of samples in which the difference has the other sign or none (at most 1); the sample at hand
    counts as one of them, so p is never zero.
    """
    differences = one[:, None] - others
    low, high = np.percentile(differences[1:], INTERVAL, axis=0)
    against = np.minimum((differences[1:] <= 0).sum(0), (differences[1:] >= 0).sum(0))
    p = np.minimum(1, 2 * (1 + against) / (1 + RESAMPLES))
    return PairedDifference(differences[0], low, high, p)


@dataclass(frozen=True)
class TrackSegments:
    """What is drawn. ``of_row`` (rows,): the stretch of each face; ``video`` (stretches,): ascending numbers from 0."""

    row_segments: np.ndarray
    segment_videos: np.ndarray

    @classmethod
    def from_faces(cls, faces: pd.DataFrame) -> "TrackSegments":
        """The stretches of rows of the emotion table (video, track_id, time_s)."""
        video = pd.factorize(faces["video"], sort=True)[0]
        track = faces["track_id"].fillna(-1).to_numpy("int64")
        window = np.floor(faces["time_s"].to_numpy(float) / SEGMENT_S).astype("int64")
        segments, of_row = np.unique(np.column_stack([video, track, window]), axis=0, return_inverse=True)
        return cls(of_row.reshape(-1), segments[:, 0])

    def count_codes(self, codes: np.ndarray, size: int) -> np.ndarray:
        """How often each stretch has each of the codes 0 to ``size`` - 1, (stretches, size); negative ones are none."""
        known = codes >= 0
        cells = self.row_segments[known] * size + codes[known]
        return (
            np.bincount(cells, minlength=len(self.segment_videos) * size)
            .reshape(len(self.segment_videos), size)
            .astype(float)
        )

    def resample_sums(self, counts: np.ndarray) -> np.ndarray:
        """Sums (RESAMPLES, K) of ``counts`` (stretches, K) over bootstrap samples; the same ones at every call.

        Videos are drawn with replacement, and in each drawn video as many stretches as it has: with one video only
        the stretches, with single images only these. Drawing and counting is a multinomial distribution, and drawing
        from one video several times is one draw of so many times the number.
        """
        random = np.random.default_rng(SEED)
        videos = len(self.video_starts) - 1
        at_a_time = max(1, min(RESAMPLES, MAX_CLUSTERS_PER_DRAW // max(videos, 1)))
        return np.concatenate(
            [
                self.draw_sums(counts, min(at_a_time, RESAMPLES - first), random)
                for first in range(0, RESAMPLES, at_a_time)
            ]
        )

    def draw_sums(self, counts: np.ndarray, samples: int, random: np.random.Generator) -> np.ndarray:
        sizes = np.diff(self.video_starts)
        times = random.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=samples)
        single = sizes == 1
        sums = times[:, single].astype(float) @ counts[self.video_starts[:-1][single]]
        for number in np.flatnonzero(~single):
            size = sizes[number]
            inside = random.multinomial(times[:, number] * size, np.full(size, 1 / size))
            sums += inside.astype(float) @ counts[self.video_starts[number] : self.video_starts[number + 1]]
        return sums

    @cached_property
    def video_starts(self) -> np.ndarray:
        """The first stretch of each video, and behind the last one."""
        return np.searchsorted(self.segment_videos, np.arange(self.segment_videos.max(initial=-1) + 2))


def resample_confusion(confusion: np.ndarray, seed: int = 0) -> np.ndarray:
    """Confusion matrices (RESAMPLES, C, C) of bootstrap samples of the same images.

    Drawing images with replacement and counting them is drawing the cells from a multinomial distribution.
    """
    total = int(confusion.sum())
    drawn = np.random.default_rng(seed).multinomial(total, confusion.ravel() / total, size=RESAMPLES)
    return drawn.reshape(RESAMPLES, *confusion.shape)


def compute_interval(value: float | np.ndarray, samples: np.ndarray | None) -> dict[str, float | None]:
    """A metric and its 95 % bootstrap interval; None for all three where it is NaN, and for limits without samples."""
    if np.isnan(value):
        return {"value": None, "low": None, "high": None}
    if samples is None:
        return {"value": float(value), "low": None, "high": None}
    low, high = np.nanpercentile(samples, INTERVAL)
    return {"value": float(value), "low": float(low), "high": float(high)}


def compute_mean_interval(values: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Bootstrap interval of the mean over respondents, for each column of ``values`` (respondents, steps).

    Respondents are drawn with replacement among those who have a value in the step; two ends (steps,), NaN where
    fewer than two have. Drawing people and counting them is drawing counts from a multinomial distribution, so the
    means of all samples are one product of matrices.
    """
    low, high = np.full((2, values.shape[1]), np.nan)
    present = np.isfinite(values)
    patterns, pattern_of = np.unique(present, axis=1, return_inverse=True)
    for index, pattern in enumerate(patterns.T):
        count = int(pattern.sum())
        if count < 2:
            continue
        steps = np.flatnonzero(pattern_of.reshape(-1) == index)
        # The same people draw the same samples in every step and emotion.
        drawn = np.random.default_rng([seed, count]).multinomial(count, np.full(count, 1 / count), RESAMPLES)
        means = drawn @ values[np.ix_(pattern, steps)] / count
        low[steps], high[steps] = np.percentile(means, INTERVAL, axis=0)
    return low, high
