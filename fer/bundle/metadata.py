"""The metadata of a bundle, read without its network and without PyTorch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fer.core.io import compute_sha256
from fer.core.run_layout import BUNDLE_DIR
from fer.errors import ModelError, shorten_error

# The files of a bundle.
WEIGHTS_FILE = "weights.safetensors"
DESCRIPTION_FILE = "bundle.yaml"
MODEL_CARD_FILE = "model_card.md"
SAMPLES_FILE = "samples.npz"
# The exported network, in the directory that the model was loaded from.
ONNX_DIR, NETWORK_FILE = "onnx", "network.onnx"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class FaceFormat:
    """Native form of the training faces.

    Args:
        side: Width and height, pixels.
        colour: Whether they had colour, or were gray.
    """

    side: int
    colour: bool


@dataclass(frozen=True)
class BundleDescription:
    """The content of a bundle.yaml.

    Args:
        folder: Directory of the bundle.
        sha256: SHA-256 of bundle.yaml.
        content: The whole content, also what is not needed to predict.
        architecture: Name of the network in timm.
        classes: Names of the network's outputs, in order.
        image_size: Side of the network's input, pixels.
        mean: Mean of each of the three channels of images in 0 to 1, for normalisation.
        std: Standard deviation, likewise.
        faces: Native form of the training faces.
        temperature: What logits are divided by before the softmax.
        weights_sha256: SHA-256 of the file of weights.
        flip: Whether the network answers with the mean of an image and its mirror image.
    """

    folder: Path
    sha256: str
    content: Mapping[str, Any]
    architecture: str
    classes: tuple[str, ...]
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    faces: FaceFormat
    temperature: float
    weights_sha256: str
    flip: bool = False


def read_description(model_uri: str) -> BundleDescription:
    """Read the description of a bundle, and verify that the weights are those that it describes.

    Args:
        model_uri: Directory of the bundle or of its run.

    Raises:
        ModelError: There is no bundle, it cannot be read, or its weights were changed.
    """
    folder = Path(model_uri).expanduser()
    if (folder / BUNDLE_DIR / DESCRIPTION_FILE).is_file():
        folder = folder / BUNDLE_DIR
    path = folder / DESCRIPTION_FILE
    if not path.is_file():
        raise ModelError(f"model_uri={model_uri}: neither a run directory with a bundle nor a bundle directory")
    try:
        description = _parse_description(path)
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise build_unreadable_error(path, error) from None
    _verify_weights(description)
    return description


def _parse_description(path: Path) -> BundleDescription:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if content["format"] != FORMAT_VERSION:
        raise ValueError(f"format {content['format']}; this program reads format {FORMAT_VERSION}")
    description = BundleDescription(
        folder=path.parent,
        sha256=compute_sha256(path),
        content=content,
        architecture=str(content["architecture"]),
        classes=tuple(str(name) for name in content["classes"]),
        image_size=int(content["image_size"]),
        mean=tuple(float(value) for value in content["normalisation"]["mean"]),
        std=tuple(float(value) for value in content["normalisation"]["std"]),
        faces=FaceFormat(int(content["faces"]["side"]), bool(content["faces"]["colour"])),
        temperature=float(content["temperature"]),
        weights_sha256=str(content["weights_sha256"]),
        flip=bool(content.get("flip", False)),
    )
    if not 0 < description.temperature < math.inf:
        raise ValueError("the temperature must be above 0")
    return description


def _verify_weights(description: BundleDescription) -> None:
    path = description.folder / WEIGHTS_FILE
    try:
        digest = compute_sha256(path)
    except OSError as error:
        raise ModelError(f"{path}: cannot be loaded ({shorten_error(error)})") from None
    if digest != description.weights_sha256:
        raise ModelError(f"{path}: is not the file that {DESCRIPTION_FILE} describes; restore the bundle")


def build_unreadable_error(path: Path, error: Exception) -> ModelError:
    """Return the ModelError for a bundle.yaml that cannot be used."""
    return ModelError(f"{path}: cannot be read as a bundle ({type(error).__name__}: {shorten_error(error)})")
