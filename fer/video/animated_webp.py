"""Animated WebP, which FFmpeg cannot decode: Pillow does, and the file's own table tells the times."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

# Browsers show a frame so long where the file asks for 10 ms or less.
_SHORTEST_MS, _INSTEAD_MS = 10, 100


@dataclass(frozen=True)
class WebpTimes:
    """When the frames of an animation begin, and when the last one ends; seconds."""

    starts: list[float]
    end_s: float


def is_animated_webp(path: Path) -> bool:
    """Whether the content is an animated WebP."""
    with path.open("rb") as file:
        start = file.read(21)
    return start[:4] == b"RIFF" and start[8:16] == b"WEBPVP8X" and len(start) > 20 and bool(start[20] & 0b10)


def read_webp_times(path: Path) -> WebpTimes:
    """Read the times of an animated WebP.

    Args:
        path: The file.

    Returns:
        The times of the frames that the file holds.
    """
    content = path.read_bytes()
    position, now_ms, starts = 12, 0, []
    while position + 8 <= len(content):
        size = int.from_bytes(content[position + 4 : position + 8], "little")
        if content[position : position + 4] == b"ANMF":
            starts.append(now_ms / 1000)
            duration_ms = int.from_bytes(content[position + 20 : position + 23], "little")
            now_ms += duration_ms if duration_ms > _SHORTEST_MS else _INSTEAD_MS
        position += 8 + size + size % 2
    return WebpTimes(starts, now_ms / 1000)


def iter_webp_frames(path: Path) -> Iterator[tuple[float, np.ndarray | None]]:
    """(time in seconds, (height, width, 3) uint8 BGR) of each frame; None for one that is damaged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = Image.open(path)
    with image:
        for number, time_s in enumerate(read_webp_times(path).starts):
            try:
                image.seek(number)
                yield time_s, cv2.cvtColor(np.asarray(image.convert("RGB")), cv2.COLOR_RGB2BGR)
            except (OSError, EOFError, ValueError, SyntaxError):
                yield time_s, None
