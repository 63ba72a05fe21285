"""Weights in a .safetensors file, known by its header alone: without PyTorch, and without reading a tensor."""

import hashlib
import math
from pathlib import Path
from typing import Any

from fer.core.documents import parse_json
from fer.errors import ModelError, shorten_error
from fer.models.layouts import CLASSIFIERS, LAYOUTS

# Of the largest networks of timm it has some hundred kilobytes.
MAX_HEADER_BYTES = 4 << 20
SIZE_BYTES = 8


def check_weights_header(path: Path, architecture: str) -> None:
    """Check that a file is whole and, as far as the architecture's layout is known, that it holds its weights.

    Args:
        path: A .safetensors file.
        architecture: Name of an architecture of timm.

    Raises:
        ModelError: It is damaged, or of another architecture.
    """
    shapes = read_shapes(path)
    layout = LAYOUTS.get(architecture.split(".")[0])
    if layout is None or compute_layout(shapes) == layout:
        return
    found = compute_layout(shapes)
    others = [name for name, digest in LAYOUTS.items() if digest == found]
    remedy = (
        f"they are those of {others[0]}; use model.name={others[0]}" if others else "choose the matching model.name"
    )
    raise ModelError(
        f"model.weights={path}: not weights of {architecture} (their tensors have other names or shapes); {remedy}, or "
        "other weights"
    )


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Read names and shapes of a file's tensors.

    Raises:
        ModelError: The header cannot be read, or the file is shorter or longer than it says.
    """
    try:
        return parse_header(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"model.weights={path}: cannot be read as weights ({shorten_error(error)})") from None


def parse_header(path: Path) -> dict[str, tuple[int, ...]]:
    """Do what ``read_shapes`` does, without a name in the message. Raises OSError and ValueError."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(SIZE_BYTES), "little")
        if size > min(MAX_HEADER_BYTES, path.stat().st_size - SIZE_BYTES):
            raise ValueError("it has no header")
        header: Any = parse_json(file.read(size).decode())
    try:
        header.pop("__metadata__", None)
        shapes = {name: tuple(map(int, tensor["shape"])) for name, tensor in header.items()}
        end = max((int(tensor["data_offsets"][1]) for tensor in header.values()), default=0)
    except (TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise ValueError(shorten_error(error)) from None
    # A header may not promise more than is there: networks are built by it.
    if any(side < 0 for shape in shapes.values() for side in shape) or sum(map(math.prod, shapes.values())) > end:
        raise ValueError("its header names shapes of more numbers than it holds")
    if (rest := path.stat().st_size - SIZE_BYTES - size) != end:
        raise ValueError(f"{rest} bytes of tensors, where its header names {end}")
    return shapes


def fits_layout(shapes: dict[str, tuple[int, ...]], architecture: str) -> bool | None:
    """Whether a file's tensors are those of an architecture; None where its layout is not known."""
    layout = LAYOUTS.get(architecture.split(".")[0])
    return None if layout is None else compute_layout(shapes) == layout


def compute_layout(shapes: dict[str, tuple[int, ...]]) -> str:
    """Return a digest of the names and shapes of all tensors but the classifier's, of which there are any number."""
    lines = sorted(f"{name} {list(shape)}" for name, shape in shapes.items() if name not in CLASSIFIERS)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
