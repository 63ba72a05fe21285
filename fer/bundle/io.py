"""Writing and loading bundles: all that leaves a run, and all that is needed to predict."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import timm
import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from fer.bundle.clip_io import build_clip_network, fits_description, fits_head, select_encoder
from fer.bundle.clip_schema import dump_temporal
from fer.bundle.head_schema import dump_head
from fer.bundle.metadata import (
    CLIP_FORMAT_VERSION,
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
from fer.models.clip_network import ClipNetwork
from fer.models.fitted_heads import create_head, get_fitted_head
from fer.models.network import FaceNetwork
from fer.models.weights_header import fits_layout, parse_header

# A network of another image size may have larger tables of positions than its weights.
MAX_GROWTH = 4
__all__ = ["Bundle", "FaceFormat", "build_description", "load_bundle", "save_bundle"]


@dataclass(frozen=True)
class Bundle:
    """A network in evaluation mode, and the metadata of its bundle."""

    network: FaceNetwork | ClipNetwork
    description: BundleDescription


def build_description(
    network: FaceNetwork | ClipNetwork,
    classes: tuple[str, ...],
    faces: FaceFormat,
    temperature: float,
    extra: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the content of bundle.yaml.

    Args:
        network: The trained network, whose architecture, image size and normalisation are stated.
        classes: Names of the network's outputs, in order.
        faces: Native form of the training faces.
        temperature: What logits are divided by before the softmax.
        extra: Further entries: metrics, fingerprint of the data, hash of run.yaml.
    """
    return {
        "format": CLIP_FORMAT_VERSION if isinstance(network, ClipNetwork) else FORMAT_VERSION,
        "architecture": network.name,
        "classes": list(classes),
        "image_size": network.image_size,
        "normalisation": {
            "mean": [round(float(value), 6) for value in network.mean.flatten()],
            "std": [round(float(value), 6) for value in network.std.flatten()],
        },
        **({"flip": True} if network.flip else {}),
        **({"affect": True} if network.affect else {}),
        **({"temporal": dump_temporal(network.format)} if isinstance(network, ClipNetwork) else {}),
        **({"head": dump_head(head.format)} if (head := get_fitted_head(network.body)) else {}),
        "faces": asdict(faces),
        "temperature": float(temperature),
        **extra,
    }


def save_bundle(folder: Path, network: FaceNetwork | ClipNetwork, description: Mapping[str, Any]) -> str:
    """Write the weights and the description of a network.

    The description comes last: a directory without it is not a bundle.

    Args:
        folder: Directory of the bundle; it is created where it does not exist.
        network: The network, on any device.
        description: What ``build_description`` returned.

    Returns:
        SHA-256 of the file of weights, which the description repeats.
    """
    tensors = {key: value.detach().cpu().contiguous() for key, value in network.body.state_dict().items()}
    with atomic_write(folder / WEIGHTS_FILE) as tmp_path:
        save_file(tensors, tmp_path)
    digest = compute_sha256(folder / WEIGHTS_FILE)
    text = yaml.safe_dump({**description, "weights_sha256": digest}, sort_keys=False, allow_unicode=True)
    write_text(folder / DESCRIPTION_FILE, text)
    return digest


def load_bundle(model_uri: str) -> Bundle:
    """Load a bundle with PyTorch, on the CPU.

    Args:
        model_uri: Directory of the bundle or of its run, ``pretrained`` or ``latest``.

    Raises:
        ModelError: There is no bundle, it cannot be read, or its weights were changed.

    Examples:
        >>> bundle = load_bundle("outputs/train/2026-01-31/12-00-00-demo")
        >>> bundle.description.classes
        ('anger', 'disgust', 'fear', 'happiness', 'neutral', 'sadness', 'surprise')
    """
    return open_bundle(read_description(model_uri))


def open_bundle(description: BundleDescription) -> Bundle:
    """Load the network that a description is of, on the CPU.

    Raises:
        ModelError: It cannot be loaded, or there are several.
    """
    if description.members:
        raise ModelError(
            f"{description.folder}: is an ensemble of {len(description.members)} networks, and this takes one; name a "
            f"member of it, such as {description.members[0].description.folder}"
        )
    _check_weights_fit(description)
    try:
        network = build_clip_network(description) if description.temporal else _build_face_network(description)
    except ValueError as error:
        raise build_unreadable_error(description.folder / DESCRIPTION_FILE, error) from None
    try:
        network.body.load_state_dict(load_file(description.folder / WEIGHTS_FILE))
        if head := get_fitted_head(network.body):
            head.check_arrays()
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise ModelError(f"{description.folder / WEIGHTS_FILE}: cannot be loaded ({shorten_error(error)})") from None
    return Bundle(network.eval(), description)


def require_face_network(bundle: Bundle, purpose: str) -> FaceNetwork:
    """Return the network of a bundle of single faces.

    Args:
        bundle: The bundle.
        purpose: What it is needed for, for the message.

    Raises:
        ModelError: It is one of clips.
    """
    if isinstance(bundle.network, FaceNetwork):
        return bundle.network
    raise ModelError(
        f"{bundle.description.folder}: is a model of clips, and {purpose} is for models of single faces; name one of "
        "these"
    )


def _build_face_network(description: BundleDescription) -> FaceNetwork:
    """The network that a bundle of single faces describes, with random weights. Raises ModelError and ValueError."""
    network = FaceNetwork(
        description.architecture,
        len(description.classes),
        description.image_size,
        0.0,
        flip=description.flip,
        affect=description.affect,
        head=None if description.head is None else create_head(description.head, len(description.classes)),
    )
    network.set_normalisation(description.mean, description.std)
    return network


def _check_weights_fit(description: BundleDescription) -> None:
    """Refuse weights of another architecture by their header: that may be of many gigabytes. Raises ModelError."""
    path, name = description.folder / WEIGHTS_FILE, description.architecture
    try:
        shapes = parse_header(path)
        if description.temporal is not None:
            if not fits_description(shapes, description):
                raise ValueError("they are not those of the network that is described")
            if description.temporal.kind == "video3d":
                return
        elif description.head and not fits_head(shapes, description.head, len(description.classes)):
            raise ValueError("they are not those of the head that is described")
        if description.temporal or description.head:
            shapes = select_encoder(shapes)
        fits = fits_layout(shapes, name)
        if fits is False or (fits is None and _is_larger(name, MAX_GROWTH * sum(map(math.prod, shapes.values())))):
            raise ValueError(f"they are not those of {name}")
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be loaded ({shorten_error(error)})") from None


class _TooManyWeightsError(Exception):
    """An architecture has more weights than were counted up to."""


def _is_larger(name: str, count: int) -> bool:
    """Whether an architecture has more than so many weights; none of them takes memory."""
    if not timm.is_model(name):
        return False
    total = 0

    def add(_: torch.nn.Module, __: str, parameter: torch.nn.Parameter) -> None:
        nonlocal total
        total += parameter.numel()
        if total > count:
            raise _TooManyWeightsError

    handle = torch.nn.modules.module.register_module_parameter_registration_hook(add)
    try:
        with torch.device("meta"):
            timm.create_model(name)
    except _TooManyWeightsError:
        return True
    except Exception:
        # Some cannot be built on the meta device; what is wrong with them is told where they are built.
        return False
    finally:
        handle.remove()
    return False
