"""What a bundle says about itself, read without the network and without PyTorch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fer.core.io import compute_sha256
from fer.errors import ModelError, shorten_error

WEIGHTS_FILE = "weights.safetensors"
DESCRIPTION_FILE = "bundle.yaml"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class FaceFormat:
    """What the training faces were: ``side`` their native width and height in pixels, ``colour`` or gray."""

    side: int
    colour: bool


@dataclass(frozen=True)
class BundleDescription:
    """bundle.yaml of the bundle in ``folder``: what is needed to predict, and all of it as ``content``.

    ``sha256`` is that of the file. ``mean`` and ``std`` normalise three channels of images in 0 to 1.
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


def read_description(model_uri: str) -> BundleDescription:
    """The description of a bundle in its directory or that of its run.

    Raises ModelError, also when the weights are not those that it describes.
    """
    folder = Path(model_uri).expanduser()
    if (folder / "bundle" / DESCRIPTION_FILE).is_file():
        folder = folder / "bundle"
    path = folder / DESCRIPTION_FILE
    if not path.is_file():
        raise ModelError(f"model_uri={model_uri}: neither a run directory with a bundle nor a bundle directory")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT_VERSION:
            raise ValueError(f"format {content['format']}; this program reads format {FORMAT_VERSION}")
        description = BundleDescription(
            folder=folder,
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
        )
        if not 0 < description.temperature < math.inf:
            raise ValueError("the temperature must be above 0")
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise build_unreadable_error(path, error) from None
    try:
        if compute_sha256(folder / WEIGHTS_FILE) != description.weights_sha256:
            raise ModelError(
                f"{folder / WEIGHTS_FILE}: is not the file that {DESCRIPTION_FILE} describes; restore the bundle"
            )
    except OSError as error:
        raise ModelError(f"{folder / WEIGHTS_FILE}: cannot be loaded ({shorten_error(error)})") from None
    return description


def build_unreadable_error(path: Path, error: Exception) -> ModelError:
    return ModelError(f"{path}: cannot be read as a bundle ({type(error).__name__}: {shorten_error(error)})")
