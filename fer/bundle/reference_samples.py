"""Sample images in a bundle, and the trained network's answers to them.

Wherever a bundle is served, its samples show whether the answers are still those of the run. They are drawn, so that
no image of the training data leaves with the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from fer.bundle.metadata import SAMPLES_FILE
from fer.core.archive import ArchiveLimits, open_zip
from fer.core.io import atomic_write
from fer.errors import ModelError, shorten_error

# How far a probability may be from the run's: runtimes sum in different orders.
TOLERANCE = 1e-4
# A bundle has a few dozen samples, as large as its training faces.
MAX_SAMPLES, MAX_SAMPLES_BYTES = 256, 128 << 20
LIMITS = ArchiveLimits(8, MAX_SAMPLES_BYTES, 200)


class _SupportsPredict(Protocol):
    """What ``Predictor`` is here."""

    def predict(self, images: Sequence[np.ndarray]) -> np.ndarray: ...


@dataclass(frozen=True)
class ReferenceSamples:
    """Sample images and the probabilities that the run's network gave them.

    Args:
        images: (N, H, W, 3) uint8 RGB.
        probabilities: (N, classes) float32.
    """

    images: np.ndarray
    probabilities: np.ndarray


def write_samples(bundle: Path, samples: ReferenceSamples) -> None:
    """Write the samples into a bundle's directory."""
    with atomic_write(bundle / SAMPLES_FILE) as tmp_path, tmp_path.open("wb") as file:
        np.savez(file, images=samples.images, probabilities=samples.probabilities)


def read_samples(bundle: Path) -> ReferenceSamples | None:
    """Return the samples of a bundle, None where it has none. Raises ModelError where they cannot be read."""
    path = bundle / SAMPLES_FILE
    if not path.is_file():
        return None
    try:
        # Refuses what would expand to more than is allowed; nothing is decompressed yet.
        open_zip(path, LIMITS).close()
        with np.load(path, allow_pickle=False) as content:
            samples = ReferenceSamples(content["images"], content["probabilities"])
        if samples.images.ndim != 4 or samples.images.dtype != np.uint8 or not len(samples.images):
            raise ValueError(f"pictures of the form {samples.images.shape} {samples.images.dtype}")
        if len(samples.images) > MAX_SAMPLES:
            raise ValueError(f"more than {MAX_SAMPLES} pictures")
        probabilities = samples.probabilities
        if probabilities.ndim != 2 or len(probabilities) != len(samples.images) or probabilities.dtype.kind != "f":
            raise ValueError(f"probabilities of the form {probabilities.shape} {probabilities.dtype}")
    except Exception as error:
        # Damaged files raise whatever the damaged part is read by.
        raise ModelError(f"{path}: cannot be read ({shorten_error(error)}); restore the bundle") from None
    return samples


def compute_disagreement(predictor: _SupportsPredict, samples: ReferenceSamples) -> float:
    """Return the largest absolute difference of a probability from the run's; infinite where the classes do not fit."""
    predicted = predictor.predict(list(samples.images))
    if predicted.shape != samples.probabilities.shape or not np.isfinite(predicted).all():
        return float("inf")
    return float(np.abs(predicted - samples.probabilities).max())
