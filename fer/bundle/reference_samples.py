"""Sample images in a bundle, and the trained network's answers to them.

Wherever a bundle is served, its samples show whether the answers are still those of the run. They are drawn, so that
no image of the training data leaves with the model.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer.bundle.metadata import SAMPLES_FILE
from fer.bundle.predictor import ClipPredictor, Predictor
from fer.core.archive import ArchiveLimits, open_zip
from fer.core.io import atomic_write
from fer.errors import ModelError, shorten_error

# How far a probability may be from the run's: runtimes sum in different orders.
TOLERANCE = 1e-4
# A bundle has a few dozen samples, as large as its training faces.
MAX_SAMPLES, MAX_SAMPLES_BYTES = 256, 128 << 20
LIMITS = ArchiveLimits(8, MAX_SAMPLES_BYTES, 200)


@dataclass(frozen=True)
class ReferenceSamples:
    """Sample images and the probabilities that the run's network gave them.

    Args:
        images: (N, H, W, 3) uint8 RGB; of a model of clips (N, T, H, W, 3), frames that follow each other in the
            distance of the model's windows.
        probabilities: (N, classes) float32, or (N, T, classes).
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
        shape, probabilities = samples.images.shape, samples.probabilities
        if len(shape) not in (4, 5) or samples.images.dtype != np.uint8 or not samples.images.size:
            raise ValueError(f"pictures of the form {samples.images.shape} {samples.images.dtype}")
        if math.prod(shape[:-3]) > MAX_SAMPLES:
            raise ValueError(f"more than {MAX_SAMPLES} pictures")
        if probabilities.shape[:-1] != shape[:-3] or probabilities.dtype.kind != "f":
            raise ValueError(f"probabilities of the form {probabilities.shape} {probabilities.dtype}")
    except Exception as error:
        # Damaged files raise whatever the damaged part is read by.
        raise ModelError(f"{path}: cannot be read ({shorten_error(error)}); restore the bundle") from None
    return samples


def compute_answers(predictor: Predictor, images: np.ndarray) -> np.ndarray:
    """Return a predictor's probabilities of sample images, shaped as those of ``ReferenceSamples``."""
    if images.ndim == 4:
        return predictor.predict(list(images))
    if not isinstance(predictor, ClipPredictor):
        raise ValueError("the samples are clips, and the model is one of single faces")
    times = np.arange(images.shape[1]) * predictor.format.step_s
    return np.stack([predictor.predict_sequence(list(clip), times) for clip in images])


def compute_disagreement(predictor: Predictor, samples: ReferenceSamples) -> float:
    """Return the largest absolute difference of a probability from the run's; infinite where the classes do not fit."""
    try:
        predicted = compute_answers(predictor, samples.images)
    except ValueError:
        return float("inf")
    if predicted.shape != samples.probabilities.shape or not np.isfinite(predicted).all():
        return float("inf")
    return float(np.abs(predicted - samples.probabilities).max())
