"""What a bundle says about itself, read without the network and without PyTorch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fer.core.io import sha256_file
from fer.errors import ModelError, first_line

WEIGHTS = "weights.safetensors"
DESCRIPTION = "bundle.yaml"
FORMAT = 1


@dataclass(frozen=True)
class Faces:
    """What the training faces were: ``side`` their native width and height in pixels, ``colour`` or gray."""

    side: int
    colour: bool


@dataclass(frozen=True)
class Description:
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
    faces: Faces
    temperature: float
    weights_sha256: str


def read_description(model_uri: str) -> Description:
    """The description of a bundle in its directory or that of its run.

    Raises ModelError, also when the weights are not those that it describes.
    """
    folder = Path(model_uri).expanduser()
    if (folder / "bundle" / DESCRIPTION).is_file():
        folder = folder / "bundle"
    path = folder / DESCRIPTION
    if not path.is_file():
        raise ModelError(f"model_uri={model_uri}: neither a run directory with a bundle nor a bundle directory")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}; this program reads format {FORMAT}")
        description = Description(
            folder=folder,
            sha256=sha256_file(path),
            content=content,
            architecture=str(content["architecture"]),
            classes=tuple(str(name) for name in content["classes"]),
            image_size=int(content["image_size"]),
            mean=tuple(float(value) for value in content["normalisation"]["mean"]),
            std=tuple(float(value) for value in content["normalisation"]["std"]),
            faces=Faces(int(content["faces"]["side"]), bool(content["faces"]["colour"])),
            temperature=float(content["temperature"]),
            weights_sha256=str(content["weights_sha256"]),
        )
        if not 0 < description.temperature < math.inf:
            raise ValueError("the temperature must be above 0")
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise unreadable(path, error) from None
    try:
        if sha256_file(folder / WEIGHTS) != description.weights_sha256:
            raise ModelError(f"{folder / WEIGHTS}: is not the file that {DESCRIPTION} describes; restore the bundle")
    except OSError as error:
        raise ModelError(f"{folder / WEIGHTS}: cannot be loaded ({first_line(error)})") from None
    return description


def unreadable(path: Path, error: Exception) -> ModelError:
    return ModelError(f"{path}: cannot be read as a bundle ({type(error).__name__}: {first_line(error)})")
