"""A bundle in half precision: half the bytes, and what that changes."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from fer.bundle.metadata import DESCRIPTION_FILE, WEIGHTS_FILE, read_description
from fer.bundle.predictor import Predictor
from fer.core.io import atomic_write, compute_sha256, write_text
from fer.errors import ModelError, shorten_error


@dataclass(frozen=True)
class PrecisionDifference:
    """What half precision changes in the answers to some images.

    Args:
        images: How many they are.
        max_probability_difference: Largest absolute difference of a probability.
        changed_answers: Images of which another class is the most probable one.
        accuracy_full: Share of right answers with the weights as they were trained; None where there are no labels.
        accuracy_half: The same with the weights in half precision.
    """

    images: int
    max_probability_difference: float
    changed_answers: int
    accuracy_full: float | None
    accuracy_half: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as bundle.yaml holds them."""
        return asdict(self)


def write_half_bundle(bundle: Path, target: Path, **entries: Any) -> None:
    """Write weights and description of a bundle in half precision; the format stays, and every version reads it.

    Kernels and matrices are rounded to float16. Vectors, which are batch norm's weights and statistics and all biases,
    stay in float32: they are few, and variances reach beyond what float16 can hold.

    Args:
        bundle: Directory of the bundle.
        target: Directory of the new one.
        entries: Further entries of its bundle.yaml, or other values for those that it has.

    Raises:
        ModelError: The bundle cannot be read, or a weight is too large for float16.
    """
    description = read_description(str(bundle))
    try:
        tensors = load_file(description.folder / WEIGHTS_FILE)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{description.folder / WEIGHTS_FILE}: cannot be loaded ({shorten_error(error)})") from None
    halved = {name: _halve(name, tensor) for name, tensor in tensors.items()}
    with atomic_write(target / WEIGHTS_FILE) as tmp_path:
        # save_file would leave a file that its owner alone may read.
        tmp_path.write_bytes(save(halved))
    content = {
        **description.content,
        **entries,
        "weights_precision": "float16",
        "weights_sha256": compute_sha256(target / WEIGHTS_FILE),
    }
    write_text(target / DESCRIPTION_FILE, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _halve(name: str, tensor: torch.Tensor) -> torch.Tensor:
    if tensor.dim() < 2 or not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    if not half.isfinite().all():
        raise ModelError(f"{name}: holds a weight of {tensor.abs().max():.3g}, which float16 cannot")
    return half


def compare_precision(
    full: Predictor, half: Predictor, images: np.ndarray, labels: np.ndarray | None = None
) -> PrecisionDifference:
    """Compare the answers of a bundle in full and in half precision.

    Args:
        full: The bundle as it was trained.
        half: The bundle in half precision.
        images: (N, H, W, C) uint8.
        labels: (N,) indices of the classes, where they are known.
    """
    before, after = full.predict(list(images)), half.predict(list(images))
    accuracies: list[float | None] = [None, None]
    if labels is not None:
        accuracies = [float((probabilities.argmax(1) == labels).mean()) for probabilities in (before, after)]
    return PrecisionDifference(
        len(images),
        float(np.abs(before - after).max()),
        int((before.argmax(1) != after.argmax(1)).sum()),
        *accuracies,
    )
