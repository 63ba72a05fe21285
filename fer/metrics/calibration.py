"""Temperature scaling: one number that makes confidences honest without changing any decision."""

import numpy as np
from scipy.special import log_softmax, softmax

TEMPERATURE_RANGE = (0.05, 20.0)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature that minimises the log-loss of validation logits (N, C) and labels (N,) (arXiv:1706.04599)."""
    # Slow to import, and only training needs it.
    from scipy.optimize import minimize_scalar

    wide = logits.astype(np.float64)

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(wide / np.exp(log_temperature), axis=1)
        return float(-scaled[np.arange(len(labels)), labels].mean())

    result = minimize_scalar(loss, bounds=tuple(np.log(TEMPERATURE_RANGE)), method="bounded")
    return float(np.exp(result.x))


def compute_probabilities(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Class probabilities (N, C) float32 of logits (N, C), computed in float64."""
    return softmax(logits.astype(np.float64) / temperature, axis=1).astype(np.float32)
