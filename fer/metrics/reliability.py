"""Reliability: how often a classifier is right, by how sure it says it is."""

from dataclasses import dataclass

import numpy as np

from fer.metrics.scores import BINS, assign_bins


@dataclass(frozen=True)
class Reliability:
    """Images by the confidence of their prediction, in BINS bins of equal width.

    Attributes:
        images: (BINS,) numbers of images.
        confidence: (BINS,) mean confidence, NaN in a bin without images.
        accuracy: (BINS,) share of right predictions, likewise.
    """

    images: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


def compute_reliability(probabilities: np.ndarray, labels: np.ndarray) -> Reliability:
    """Compute how reliable confidences are.

    Args:
        probabilities: (N, C).
        labels: (N,) indices of the classes.
    """
    confidence = probabilities.max(1).astype(np.float64)
    bins = assign_bins(confidence)
    images = np.bincount(bins, minlength=BINS)
    sums = [np.bincount(bins, values, BINS) for values in (confidence, probabilities.argmax(1) == labels)]
    means = [np.divide(total, images, out=np.full(BINS, np.nan), where=images > 0) for total in sums]
    return Reliability(images, *means)
