"""Temperature scaling: one number that calibrates confidences without changing any prediction."""

import numpy as np
from scipy.special import log_softmax, softmax

TEMPERATURE_RANGE = (0.05, 20.0)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Fit the temperature that minimises the log-loss (arXiv:1706.04599).

    Args:
        logits: (N, C), of validation images.
        labels: (N,) indices of their classes.

    Returns:
        The temperature, within TEMPERATURE_RANGE.
    """
    # Slow to import, and only training needs it.
    from scipy.optimize import minimize_scalar

    logits = logits.astype(np.float64)

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return float(-scaled[np.arange(len(labels)), labels].mean())

    result = minimize_scalar(loss, bounds=tuple(np.log(TEMPERATURE_RANGE)), method="bounded")
    return float(np.exp(result.x))


def compute_probabilities(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Compute class probabilities (N, C) float32 of logits (N, C) at a temperature, in float64."""
    return softmax(logits.astype(np.float64) / temperature, axis=1).astype(np.float32)
