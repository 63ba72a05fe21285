"""The metadata of a bundle, read without its network and without PyTorch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer.bundle.calibration import parse_calibration, parse_confidence_rule, parse_set_thresholds
from fer.bundle.clip_schema import parse_temporal
from fer.bundle.locate import DESCRIPTION_FILE, RESTORE_PRETRAINED, is_shipped, locate_model
from fer.bundle.schema import (
    MAX_SIDE,
    MIN_IMAGE_SIZE,
    parse_channels,
    parse_classes,
    parse_digest,
    parse_flag,
    parse_integer,
    parse_text,
)
from fer.core.documents import read_yaml
from fer.core.io import compute_sha256
from fer.core.run_layout import BUNDLE_DIR
from fer.emotions import AFFECT
from fer.errors import ModelError, shorten_error
from fer.metrics.calibration import Calibration
from fer.metrics.uncertainty import ConfidenceRule, SetThresholds
from fer.models.clip_format import TemporalFormat

# The files of a bundle, beside DESCRIPTION_FILE.
WEIGHTS_FILE = "weights.safetensors"
MODEL_CARD_FILE = "model_card.md"
SAMPLES_FILE = "samples.npz"
# The exported network, in the directory that the model was loaded from.
ONNX_DIR, NETWORK_FILE = "onnx", "network.onnx"
# Those of a model of clips: what is computed of each frame, and what joins a window's frames.
ENCODER_FILE, HEAD_FILE = "encoder.onnx", "head.onnx"
FORMAT_VERSION = 1
# Of models of clips, which earlier versions of the program do not know.
CLIP_FORMAT_VERSION = 2
# What begins a file that Git LFS has not fetched.
LFS_POINTER = b"version https://git-lfs"


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
        calibration: How logits become probabilities.
        confidence_rule: Below which confidence an answer is uncertain; None where the bundle does not say.
        set_thresholds: What prediction sets hold; None where the bundle does not say.
        weights_sha256: SHA-256 of the file of weights.
        flip: Whether the network answers with the mean of an image and its mirror image.
        affect: Whether valence and arousal are outputs, too.
        temporal: The windows of a model of clips; None of one of single faces.
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
    calibration: Calibration
    confidence_rule: ConfidenceRule | None
    set_thresholds: SetThresholds | None
    weights_sha256: str
    flip: bool = False
    affect: bool = False
    temporal: TemporalFormat | None = None

    @property
    def onnx_files(self) -> tuple[str, ...]:
        """Names of the files of the exported network."""
        return (NETWORK_FILE,) if self.temporal is None else (ENCODER_FILE, HEAD_FILE)

    @property
    def columns(self) -> tuple[str, ...]:
        """What the model answers: the classes, and behind them valence and arousal where it has learnt them."""
        return (*self.classes, *(AFFECT if self.affect else ()))

    @property
    def temperature(self) -> float:
        """What logits are divided by before the softmax, where there is no vector scaling."""
        return self.calibration.temperature


def read_description(model_uri: str) -> BundleDescription:
    """Read the description of a bundle, and verify that the weights are those that it describes.

    Args:
        model_uri: Directory of the bundle or of its run, ``pretrained`` or ``latest``.

    Raises:
        ModelError: There is no bundle, it cannot be read, or its weights were changed.
        UserError: There is no training that ``latest`` could mean.
    """
    folder = locate_model(model_uri)
    if (folder / BUNDLE_DIR / DESCRIPTION_FILE).is_file():
        folder = folder / BUNDLE_DIR
    path = folder / DESCRIPTION_FILE
    if not folder.exists():
        raise ModelError(f"model_uri={model_uri}: there is no such directory, so no bundle in it")
    if not path.is_file():
        raise ModelError(f"model_uri={model_uri}: neither a run directory with a bundle nor a bundle directory")
    try:
        description = _parse_description(path)
    except (OSError, KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise build_unreadable_error(path, error) from None
    _verify_weights(description)
    return description


def _parse_description(path: Path) -> BundleDescription:
    content = read_yaml(path)
    if content["format"] not in (FORMAT_VERSION, CLIP_FORMAT_VERSION):
        raise ValueError(
            f"format {content['format']}; this program reads the formats {FORMAT_VERSION} and {CLIP_FORMAT_VERSION}"
        )
    classes, faces, normalisation = parse_classes(content["classes"]), content["faces"], content["normalisation"]
    mean, std = (parse_channels(normalisation[name], name) for name in ("mean", "std"))
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ValueError("normalisation takes three means and three deviations above 0")
    return BundleDescription(
        folder=path.parent,
        sha256=compute_sha256(path),
        content=content,
        architecture=parse_text(content["architecture"], "architecture"),
        classes=classes,
        image_size=parse_integer(content["image_size"], "image_size", MIN_IMAGE_SIZE, MAX_SIDE),
        mean=mean,
        std=std,
        faces=FaceFormat(
            parse_integer(faces["side"], "faces.side", 1, MAX_SIDE), parse_flag(faces["colour"], "faces.colour")
        ),
        calibration=parse_calibration(content, len(classes)),
        confidence_rule=parse_confidence_rule(content),
        set_thresholds=parse_set_thresholds(content),
        weights_sha256=parse_digest(content["weights_sha256"], "weights_sha256"),
        flip=parse_flag(content.get("flip", False), "flip"),
        affect=parse_flag(content.get("affect", False), "affect"),
        temporal=parse_temporal(content["temporal"]) if content["format"] == CLIP_FORMAT_VERSION else None,
    )


def _verify_weights(description: BundleDescription) -> None:
    path = description.folder / WEIGHTS_FILE
    try:
        digest = compute_sha256(path)
    except OSError as error:
        remedy = f"; {RESTORE_PRETRAINED}" if is_shipped(path) else ""
        raise ModelError(f"{path}: cannot be loaded ({shorten_error(error)}){remedy}") from None
    if digest == description.weights_sha256:
        return
    with path.open("rb") as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER:
            raise ModelError(f"{path}: is a pointer of Git LFS, not the weights; fetch them with git lfs pull")
    remedy = RESTORE_PRETRAINED if is_shipped(path) else "restore the bundle"
    raise ModelError(f"{path}: is not the file that {DESCRIPTION_FILE} describes; {remedy}")


def build_unreadable_error(path: Path, error: Exception) -> ModelError:
    """Return the ModelError for a bundle.yaml that cannot be used."""
    remedy = f"; {RESTORE_PRETRAINED}" if is_shipped(path) else ""
    return ModelError(f"{path}: cannot be read as a bundle ({type(error).__name__}: {shorten_error(error)}){remedy}")
