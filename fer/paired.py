"""Paired bootstrap: classifiers compared on the same images, which are drawn together for all of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fer.scores import f1_scores, mean_of_present

RESAMPLES, SEED = 2000, 0
INTERVAL = (2.5, 97.5)  # per cent
MOST_AT_A_TIME = 1 << 24  # numbers: bounds the memory where there are many images


@dataclass(frozen=True)
class Resampled:
    """Figures (1 + RESAMPLES, classifiers): first those of the images themselves, then those of bootstrap samples."""

    accuracy: np.ndarray
    macro_f1: np.ndarray


@dataclass(frozen=True)
class Difference:
    """Figures less others, with 95 % intervals and two-sided p-values; an entry a comparison."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray


def decisions(table: pd.DataFrame, key: str) -> pd.DataFrame:
    """``key``, label and the most probable emotion (``predicted``) of each image; a picture counts once.

    ``table`` has a row an image with ``key``, label and p_<emotion>.
    """
    columns = [name for name in table.columns if name.startswith("p_")]
    predicted = np.array([name.removeprefix("p_") for name in columns])[table[columns].to_numpy().argmax(1)]
    return table[[key, "label"]].assign(predicted=predicted).drop_duplicates([key, "label"])


def resample(labels: np.ndarray, predicted: np.ndarray) -> Resampled:
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
    for times in drawn(counts):
        true = (times @ one_hot[label])[:, None].astype(float)
        right = np.stack([times @ (one_hot[label] * (label == column)[:, None]) for column in decided], 1).astype(float)
        chosen = np.stack([times @ one_hot[column] for column in decided], 1).astype(float)
        accuracy.append(right.sum(-1) / len(labels))
        macro_f1.append(mean_of_present(f1_scores(right, true, chosen), true))
    return Resampled(np.concatenate(accuracy), np.concatenate(macro_f1))


def drawn(counts: np.ndarray) -> Iterator[np.ndarray]:
    """``counts`` (cells,) themselves and those of RESAMPLES bootstrap samples, in parts of (…, cells)."""
    random = np.random.default_rng(SEED)
    step = max(1, MOST_AT_A_TIME // len(counts))
    yield counts[None].astype(np.float32)
    for first in range(0, RESAMPLES, step):
        size = min(step, RESAMPLES - first)
        # Single precision holds whole numbers below 16 million exactly.
        yield random.multinomial(counts.sum(), counts / counts.sum(), size=size).astype(np.float32)


def difference(one: np.ndarray, others: np.ndarray) -> Difference:
    """``one`` (1 + RESAMPLES,) less each of ``others`` (1 + RESAMPLES, M), as Resampled has them.

    p is twice the share of samples in which the difference has the other sign or none (at most 1); the sample at hand
    counts as one of them, so p is never zero.
    """
    differences = one[:, None] - others
    low, high = np.percentile(differences[1:], INTERVAL, axis=0)
    against = np.minimum((differences[1:] <= 0).sum(0), (differences[1:] >= 0).sum(0))
    p = np.minimum(1, 2 * (1 + against) / (1 + RESAMPLES))
    return Difference(differences[0], low, high, p)
