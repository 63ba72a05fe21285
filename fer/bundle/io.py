"""The bundle: all that leaves a run, and all that is needed to predict."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from fer.bundle.metadata import (
    DESCRIPTION_FILE,
    FORMAT_VERSION,
    WEIGHTS_FILE,
    BundleDescription,
    FaceFormat,
    build_unreadable_error,
    read_description,
)
from fer.core.io import atomic_write, compute_sha256, write_text
from fer.errors import ModelError, shorten_error
from fer.models.network import FaceNetwork

__all__ = ["Bundle", "FaceFormat", "build_description", "load_bundle", "save_bundle"]


@dataclass(frozen=True)
class Bundle:
    """A network that is ready to predict, and what its bundle says about it."""

    network: FaceNetwork
    description: BundleDescription


def build_description(
    network: FaceNetwork, classes: tuple[str, ...], faces: FaceFormat, temperature: float, extra: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of bundle.yaml; ``extra`` holds metrics, data fingerprint and the hash of run.yaml."""
    return {
        "format": FORMAT_VERSION,
        "architecture": network.name,
        "classes": list(classes),
        "image_size": network.image_size,
        "normalisation": {
            "mean": [round(float(value), 6) for value in network.mean.flatten()],
            "std": [round(float(value), 6) for value in network.std.flatten()],
        },
        "faces": asdict(faces),
        "temperature": float(temperature),
        **extra,
    }


def save_bundle(folder: Path, network: FaceNetwork, description: Mapping[str, Any]) -> str:
    """Write weights and description; returns the SHA-256 of the weights, which the description repeats.

    The description comes last: a bundle without it is not one.
    """
    tensors = {key: value.detach().cpu().contiguous() for key, value in network.body.state_dict().items()}
    with atomic_write(folder / WEIGHTS_FILE) as tmp_path:
        save_file(tensors, tmp_path)
    digest = compute_sha256(folder / WEIGHTS_FILE)
    text = yaml.safe_dump({**description, "weights_sha256": digest}, sort_keys=False, allow_unicode=True)
    write_text(folder / DESCRIPTION_FILE, text)
    return digest


def load_bundle(model_uri: str) -> Bundle:
    """Load a bundle from its directory or that of its run. Raises ModelError, also when the weights were changed."""
    description = read_description(model_uri)
    try:
        network = FaceNetwork(description.architecture, len(description.classes), description.image_size, 0.0)
        network.set_normalisation(description.mean, description.std)
    except ValueError as error:
        raise build_unreadable_error(description.folder / DESCRIPTION_FILE, error) from None
    try:
        network.body.load_state_dict(load_file(description.folder / WEIGHTS_FILE))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ModelError(f"{description.folder / WEIGHTS_FILE}: cannot be loaded ({shorten_error(error)})") from None
    return Bundle(network.eval(), description)
