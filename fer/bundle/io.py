"""The bundle: all that leaves a run, and all that is needed to predict."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from fer.bundle.metadata import DESCRIPTION, FORMAT, WEIGHTS, Description, Faces, read_description, unreadable
from fer.core.io import sha256_file, write_text, written_beside
from fer.errors import ModelError, first_line
from fer.models.network import FaceNetwork

__all__ = ["Bundle", "Faces", "describe", "load_bundle", "save_bundle"]


@dataclass(frozen=True)
class Bundle:
    """A network that is ready to predict, and what its bundle says about it."""

    network: FaceNetwork
    description: Description


def describe(
    network: FaceNetwork, classes: tuple[str, ...], faces: Faces, temperature: float, extra: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of bundle.yaml; ``extra`` holds metrics, data fingerprint and the hash of run.yaml."""
    return {
        "format": FORMAT,
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
    with written_beside(folder / WEIGHTS) as beside:
        save_file(tensors, beside)
    digest = sha256_file(folder / WEIGHTS)
    text = yaml.safe_dump({**description, "weights_sha256": digest}, sort_keys=False, allow_unicode=True)
    write_text(folder / DESCRIPTION, text)
    return digest


def load_bundle(model_uri: str) -> Bundle:
    """Load a bundle from its directory or that of its run. Raises ModelError, also when the weights were changed."""
    found = read_description(model_uri)
    try:
        network = FaceNetwork(found.architecture, len(found.classes), found.image_size, 0.0)
        network.set_normalisation(found.mean, found.std)
    except ValueError as error:
        raise unreadable(found.folder / DESCRIPTION, error) from None
    try:
        network.body.load_state_dict(load_file(found.folder / WEIGHTS))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ModelError(f"{found.folder / WEIGHTS}: cannot be loaded ({first_line(error)})") from None
    return Bundle(network.eval(), found)
