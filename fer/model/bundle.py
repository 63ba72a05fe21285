"""The bundle: all that leaves a run, and all that is needed to predict."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from fer.errors import ModelError
from fer.files import sha256_file, write_text, written_beside
from fer.model.network import FaceNetwork, first_line

WEIGHTS = "weights.safetensors"
DESCRIPTION = "bundle.yaml"
FORMAT = 1


@dataclass(frozen=True)
class Faces:
    """What the training faces were: ``side`` their native width and height in pixels, ``colour`` or gray."""

    side: int
    colour: bool


@dataclass(frozen=True)
class Bundle:
    """A network that is ready to predict, with its temperature, its faces and its description (bundle.yaml)."""

    network: FaceNetwork
    classes: tuple[str, ...]
    faces: Faces
    temperature: float
    description: Mapping[str, Any]


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
    folder = Path(model_uri).expanduser()
    if (folder / "bundle" / DESCRIPTION).is_file():
        folder = folder / "bundle"
    if not (folder / DESCRIPTION).is_file():
        raise ModelError(f"model_uri={model_uri}: neither a run directory with a bundle nor a bundle directory")
    try:
        description = yaml.safe_load((folder / DESCRIPTION).read_text(encoding="utf-8"))
        if description["format"] != FORMAT:
            raise ValueError(f"format {description['format']}; this program reads format {FORMAT}")
        classes = tuple(str(name) for name in description["classes"])
        faces = Faces(int(description["faces"]["side"]), bool(description["faces"]["colour"]))
        temperature = float(description["temperature"])
        if not 0 < temperature < math.inf:
            raise ValueError("the temperature must be above 0")
        network = FaceNetwork(str(description["architecture"]), len(classes), int(description["image_size"]), 0.0)
        network.set_normalisation(**description["normalisation"])
        expected = description["weights_sha256"]
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{folder / DESCRIPTION}: cannot be read as a bundle ({type(error).__name__}: {first_line(error)})"
        ) from None
    try:
        if sha256_file(folder / WEIGHTS) != expected:
            raise ModelError(f"{folder / WEIGHTS}: is not the file that bundle.yaml describes; restore the bundle")
        network.body.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ModelError(f"{folder / WEIGHTS}: cannot be loaded ({first_line(error)})") from None
    return Bundle(network.eval(), classes, faces, temperature, description)
