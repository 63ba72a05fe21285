"""From a network's outputs to its bundle's answers."""

import numpy as np

from fer.bundle.metadata import BundleDescription
from fer.errors import ModelError


def compute_answers(description: BundleDescription, outputs: np.ndarray) -> np.ndarray:
    """Compute what a bundle answers: calibrated probabilities, and behind them valence and arousal if it has them.

    Args:
        description: The bundle.
        outputs: (N, outputs) of its network.

    Returns:
        (N, columns) float32.

    Raises:
        ModelError: An output is no number.
    """
    # The largest of them would name the first class.
    if not np.isfinite(outputs).all():
        raise build_no_number_error(description)
    classes = len(description.classes)
    probabilities = description.calibration.compute_probabilities(outputs[:, :classes])
    if not description.affect:
        return probabilities
    return np.concatenate((probabilities, np.tanh(outputs[:, classes:])), axis=1, dtype=np.float32)


def build_no_number_error(description: BundleDescription) -> ModelError:
    """Return the error of a network whose answers are no numbers."""
    return ModelError(
        f"{description.folder}: gives no numbers as answers (NaN); its weights are damaged, or half precision is too "
        "little for it (inference.precision=32)"
    )
