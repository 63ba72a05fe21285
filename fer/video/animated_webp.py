"""Animated WebP, which FFmpeg cannot decode: Pillow does, and the file's own table tells the times."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from fer.core.image_decoding import HEAD_BYTES, is_animated_webp_head
from fer.core.transparency import lay_on_white

# Browsers show a frame so long where the file asks for 10 ms or less.
_SHORTEST_MS, _INSTEAD_MS = 10, 100


@dataclass(frozen=True)
class WebpAnimation:
    """An animated WebP.

    Attributes:
        content: The file, as far as it is whole.
        width: Pixels of the canvas.
        height: Pixels of the canvas.
        starts: When each frame begins, seconds.
        end_s: When the last one ends, seconds.
        is_cut: Whether the file was broken off.
    """

    content: bytes
    width: int
    height: int
    starts: list[float]
    end_s: float
    is_cut: bool


def is_animated_webp(path: Path) -> bool:
    """Whether the content is an animated WebP."""
    with path.open("rb") as file:
        return is_animated_webp_head(file.read(HEAD_BYTES))


def read_webp(path: Path) -> WebpAnimation:
    """Read an animated WebP without decoding its frames."""
    content = path.read_bytes()
    width, height = (int.from_bytes(content[place : place + 3], "little") + 1 for place in (24, 27))
    declared = 8 + int.from_bytes(content[4:8], "little")
    position, now_ms, starts = 12, 0, []
    while position + 8 <= min(len(content), declared):
        size = int.from_bytes(content[position + 4 : position + 8], "little")
        if position + 8 + size > len(content):
            break
        if content[position : position + 4] == b"ANMF":
            starts.append(now_ms / 1000)
            duration_ms = int.from_bytes(content[position + 20 : position + 23], "little")
            now_ms += duration_ms if duration_ms > _SHORTEST_MS else _INSTEAD_MS
        position += 8 + size + size % 2
    # Pillow decodes nothing of a file that is shorter than its head says.
    whole = content[:4] + (position - 8).to_bytes(4, "little") + content[8:position]
    return WebpAnimation(whole, width, height, starts, now_ms / 1000, position < declared)


def decode_webp(animation: WebpAnimation) -> Iterator[np.ndarray | None]:
    """(height, width, 3) uint8 BGR of each frame in turn, on white; None from the first one on that is damaged."""
    decoded = 0
    try:
        with Image.open(io.BytesIO(animation.content), formats=["WEBP"]) as image:
            for number in range(len(animation.starts)):
                image.seek(number)
                layers = np.asarray(image.convert("RGBA"))
                bgr = cv2.cvtColor(lay_on_white(layers[..., :3], layers[..., 3]), cv2.COLOR_RGB2BGR)
                decoded += 1
                yield bgr
    except (OSError, EOFError, ValueError, SyntaxError):
        yield from [None] * (len(animation.starts) - decoded)
