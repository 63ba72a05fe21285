"""The metadata of a bundle, read without its network and without PyTorch."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer.bundle.calibration import parse_calibration, parse_confidence_rule, parse_set_thresholds
from fer.bundle.clip_schema import parse_temporal
from fer.bundle.head_schema import parse_head
from fer.bundle.locate import DESCRIPTION_FILE, RESTORE_PRETRAINED, is_shipped, locate_model
from fer.bundle.schema import (
    MAX_SIDE,
    MIN_IMAGE_SIZE,
    parse_channels,
    parse_classes,
    parse_digest,
    parse_flag,
    parse_integer,
    parse_number,
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
from fer.models.head_format import HeadFormat

# The files of a bundle, beside DESCRIPTION_FILE.
WEIGHTS_FILE = "weights.safetensors"
MODEL_CARD_FILE = "model_card.md"
SAMPLES_FILE = "samples.npz"
# The exported network, in the directory that the model was loaded from.
ONNX_DIR, NETWORK_FILE = "onnx", "network.onnx"
# Those of a model of clips: what is computed of each frame, and what joins a window's frames.
ENCODER_FILE, HEAD_FILE = "encoder.onnx", "head.onnx"
FORMAT_VERSION = 1
# Of models of clips, and of several networks, which earlier versions of the program do not know.
CLIP_FORMAT_VERSION, ENSEMBLE_FORMAT = 2, 3
# The bundles of an ensemble's networks stand in directories of this one, named 0, 1 ….
MEMBERS_DIR = "members"
MIN_MEMBERS, MAX_MEMBERS = 2, 10
# How far the sum of the members' weights may be from 1.
WEIGHTS_TOLERANCE = 1e-6
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
class Member:
    """A network of an ensemble.

    Args:
        weight: What its probabilities count in the mean.
        description: Its bundle.
    """

    weight: float
    description: "BundleDescription"


@dataclass(frozen=True)
class BundleDescription:
    """The content of a bundle.yaml.

    Args:
        folder: Directory of the bundle.
        sha256: SHA-256 of bundle.yaml.
        content: The whole content, also what is not needed to predict.
        architecture: Name of the network in timm; of an ensemble a text for people.
        classes: Names of the network's outputs, in order.
        image_size: Side of the network's input, pixels; of an ensemble the largest.
        mean: Mean of each of the three channels of images in 0 to 1, for normalisation; empty for an ensemble.
        std: Standard deviation, likewise.
        faces: Native form of the training faces; of an ensemble the form that a face is brought to before its members
            bring it to theirs.
        calibration: How logits become probabilities; of an ensemble, how the logarithms of its mean do.
        confidence_rule: Below which confidence an answer is uncertain; None where the bundle does not say.
        set_thresholds: What prediction sets hold; None where the bundle does not say.
        weights_sha256: SHA-256 of the file of weights; of an ensemble, of what ``combine_digests`` takes.
        flip: Whether the network answers with the mean of an image and its mirror image.
        affect: Whether valence and arousal are outputs, too.
        members: The networks of an ensemble; empty for a single network.
        temporal: The windows of a model of clips; None of one of single faces.
        head: What was fitted on the features of a frozen encoder; None of a network that was trained.
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
    members: tuple[Member, ...] = ()
    temporal: TemporalFormat | None = None
    head: HeadFormat | None = None

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
        content = read_yaml(path)
        if content["format"] == ENSEMBLE_FORMAT:
            return parse_ensemble(content, _read_members(path, content), folder, compute_sha256(path))
        description = _parse_description(path, content)
    except (OSError, KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise build_unreadable_error(path, error) from None
    _verify_weights(description)
    return description


def _parse_description(path: Path, content: Any) -> BundleDescription:
    """Read the content of a network's bundle.yaml. Raises KeyError, TypeError, ValueError."""
    if content["format"] not in (FORMAT_VERSION, CLIP_FORMAT_VERSION):
        raise ValueError(
            f"format {content['format']}; this program reads the formats {FORMAT_VERSION} to {ENSEMBLE_FORMAT}"
        )
    normalisation = content["normalisation"]
    mean, std = (parse_channels(normalisation[name], name) for name in ("mean", "std"))
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ValueError("normalisation takes three means and three deviations above 0")
    return BundleDescription(
        folder=path.parent,
        sha256=compute_sha256(path),
        mean=mean,
        std=std,
        weights_sha256=parse_digest(content["weights_sha256"], "weights_sha256"),
        flip=parse_flag(content.get("flip", False), "flip"),
        temporal=parse_temporal(content["temporal"]) if content["format"] == CLIP_FORMAT_VERSION else None,
        head=parse_head(content["head"]) if "head" in content and content["format"] == FORMAT_VERSION else None,
        **_parse_common_fields(content),
    )


def _parse_common_fields(content: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a network and an ensemble state alike. Raises KeyError, TypeError, ValueError."""
    classes, faces = parse_classes(content["classes"]), content["faces"]
    return {
        "content": content,
        "architecture": parse_text(content["architecture"], "architecture"),
        "classes": classes,
        "image_size": parse_integer(content["image_size"], "image_size", MIN_IMAGE_SIZE, MAX_SIDE),
        "faces": FaceFormat(
            parse_integer(faces["side"], "faces.side", 1, MAX_SIDE), parse_flag(faces["colour"], "faces.colour")
        ),
        "calibration": parse_calibration(content, len(classes)),
        "confidence_rule": parse_confidence_rule(content),
        "set_thresholds": parse_set_thresholds(content),
        "affect": parse_flag(content.get("affect", False), "affect"),
    }


def _read_members(path: Path, content: Mapping[str, Any]) -> list[BundleDescription]:
    """Read the bundles of an ensemble, and verify that they are those that it describes.

    Raises:
        KeyError, TypeError, ValueError: The ensemble cannot be read.
        ModelError: A member cannot.
    """
    entries = content["members"]
    if not isinstance(entries, list) or not MIN_MEMBERS <= len(entries) <= MAX_MEMBERS:
        raise ValueError(f"members must be a list of {MIN_MEMBERS} to {MAX_MEMBERS}")
    members = []
    for number, entry in enumerate(entries):
        member = path.parent / MEMBERS_DIR / str(number) / DESCRIPTION_FILE
        digest = parse_digest(entry["bundle_sha256"], "bundle_sha256")
        if not member.is_file() or compute_sha256(member) != digest:
            raise ModelError(f"{member}: is not the file that {path} describes; restore the bundle")
        try:
            description = _parse_description(member, read_yaml(member))
        except (OSError, KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise build_unreadable_error(member, error) from None
        _verify_weights(description)
        members.append(description)
    return members


def parse_ensemble(
    content: Mapping[str, Any], members: Sequence[BundleDescription], folder: Path, sha256: str
) -> BundleDescription:
    """Return the description of an ensemble.

    Args:
        content: Content of its bundle.yaml.
        members: Its networks' bundles, in the order of the content.
        folder: Directory of the ensemble's bundle.
        sha256: SHA-256 of its bundle.yaml.

    Raises:
        KeyError, TypeError, ValueError: The content is none, or does not fit the members.
    """
    common = _parse_common_fields(content)
    weights = [parse_number(entry["weight"], "weight", 0, 1) for entry in content["members"]]
    if abs(sum(weights) - 1) > WEIGHTS_TOLERANCE:
        raise ValueError("the weights of the members must have the sum 1")
    if any(set(member.classes) != set(common["classes"]) for member in members):
        raise ValueError("a member has other classes")
    if common["affect"] and not all(member.affect for member in members):
        raise ValueError("a member has not learnt valence and arousal")
    digest = combine_digests(weights, [member.weights_sha256 for member in members])
    if parse_digest(content["weights_sha256"], "weights_sha256") != digest:
        raise ValueError("weights_sha256 is not that of the members")
    return BundleDescription(
        folder=folder,
        sha256=sha256,
        mean=(),
        std=(),
        weights_sha256=digest,
        flip=all(member.flip for member in members),
        members=tuple(Member(weight, member) for weight, member in zip(weights, members, strict=True)),
        **common,
    )


def combine_digests(weights: Sequence[float], digests: Sequence[str]) -> str:
    """Return the SHA-256 over the members' weights in the mean, and the hashes of their files of weights."""
    lines = (f"{weight!r} {digest}\n" for weight, digest in zip(weights, digests, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


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
