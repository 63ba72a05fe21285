"""How well valence and arousal are predicted."""

from typing import Any

import numpy as np

from fer.emotions import AFFECT
from fer.metrics.bootstrap import compute_interval, iter_image_weights


def compute_concordance(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Compute Lin's concordance correlation coefficient (Lin 1989, Biometrics 45), the field's figure for affect.

    Args:
        truth: (N,) true values.
        predicted: (N,) predicted ones.
        weights: (R, N) how often each counts; None counts each once.

    Returns:
        (R,) coefficients, or one; 1 for equal values, 0 where truth or prediction never changes.
    """
    weights = np.ones((1, len(truth))) if weights is None else weights
    total = weights.sum(1)
    mean_t, mean_p = weights @ truth / total, weights @ predicted / total
    variance_t = weights @ truth**2 / total - mean_t**2
    variance_p = weights @ predicted**2 / total - mean_p**2
    covariance = weights @ (truth * predicted) / total - mean_t * mean_p
    spread = variance_t + variance_p + (mean_t - mean_p) ** 2
    # Rounding leaves a little where values never change.
    return np.where(spread > 1e-12, 2 * covariance / np.maximum(spread, 1e-12), 0.0)


def summarize_affect(truth: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """Summarize both dimensions over the images whose truth is known.

    Args:
        truth: (N, 2), NaN where it is not known.
        predicted: (N, 2).

    Returns:
        For each of AFFECT: ``samples``, ``ccc`` and ``rmse``, each with its 95 % bootstrap interval; empty where fewer
        than two images have a truth.
    """
    summary: dict[str, Any] = {}
    for column, name in enumerate(AFFECT):
        known = np.isfinite(truth[:, column])
        if known.sum() < 2:
            continue
        t, p = truth[known, column].astype(float), predicted[known, column].astype(float)
        blocks = [
            (compute_concordance(t, p, weights), np.sqrt(weights @ (t - p) ** 2 / weights.sum(1)))
            for weights in (counts.astype(float) for counts in iter_image_weights(len(t)))
        ]
        # The first row is the images themselves.
        ccc, rmse = (np.concatenate(values) for values in zip(*blocks, strict=True))
        summary[name] = {
            "samples": int(known.sum()),
            "ccc": compute_interval(ccc[0], ccc[1:]),
            "rmse": compute_interval(rmse[0], rmse[1:]),
        }
    return summary
