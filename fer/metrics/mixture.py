"""Several classifiers as one: the weighted mean of their probabilities, and the weights that fit labels best."""

import numpy as np

from fer.metrics.scores import LEAST_PROBABILITY

# The log-loss of the weights found is above the least one by no more than this, or the steps end.
MAX_GAP, MAX_STEPS = 1e-6, 20_000


def compute_mixture(probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute the weighted mean of several classifiers' probabilities.

    Args:
        probabilities: (M, N, C) of M classifiers.
        weights: (M,) from 0, summing to 1.

    Returns:
        (N, C) float64.
    """
    return np.einsum("m,mnc->nc", np.asarray(weights, np.float64), probabilities.astype(np.float64))


def fit_mixture_weights(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Find the weights of the mean that has the least log-loss.

    The log-loss is convex in the weights. Each step of expectation maximisation lowers it, and the logarithm of the
    largest mean ratio of a classifier's probability to that of the mean bounds what is left to gain (T. M. Cover, An
    algorithm for maximizing expected log investment return, IEEE Transactions on Information Theory 30, 1984).

    Args:
        probabilities: (M, N, C) of M classifiers, for validation images.
        labels: (N,) indices of the classes.

    Returns:
        (M,) from 0, summing to 1.

    Examples:
        >>> good, bad = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[0.1, 0.9], [0.8, 0.2]])
        >>> fit_mixture_weights(np.stack([good, bad]), np.array([0, 1])).round(3).tolist()
        [1.0, 0.0]
    """
    count = len(probabilities)
    truths = probabilities[:, np.arange(len(labels)), labels].astype(np.float64).clip(LEAST_PROBABILITY, 1)
    weights = np.full(count, 1 / count)
    for _ in range(MAX_STEPS):
        ratios = (truths / (weights @ truths)).mean(1)
        if np.log(ratios.max()) <= MAX_GAP:
            break
        weights = weights * ratios
        weights /= weights.sum()
    return weights
