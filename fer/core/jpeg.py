"""Whether the whole of a JPEG is there. libjpeg fills what is missing with gray, and says so to nobody."""

import io
import re

import numpy as np
from PIL import Image

END = b"\xff\xd9"
# Entropy-coded bits that begin with a one, where libjpeg itself goes on with zeros at the end of the file; with all
# restart markers, since a file may be cut off before one.
_FILLER = b"".join(b"\xd5" * 64 + bytes((0xFF, 0xD0 + number)) for number in range(8)) + b"\xd5" * 64
_REDUCTION = 8
# Fewer zeros at the end may be part of the picture.
_MIN_PADDING = 8
_START_OF_SCAN = 0xDA
# Neither a byte of the data that happens to be FF, nor a filler, nor a restart marker.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def complete_jpeg(data: bytes) -> bytes | None:
    """Give a JPEG the end marker that it may lack.

    Nothing is missing if the picture does not depend on what follows the data: it is decoded with two continuations.
    Where the end marker is there, small versions of both are compared, which takes a fraction of the time.

    Args:
        data: The bytes of the file, with or without zeros behind them.

    Returns:
        The bytes of the whole file; None where part of the picture is missing.
    """
    end = data.rstrip(b"\0")
    if len(data) - len(end) < _MIN_PADDING and not end.endswith(END):
        end = data
    has_end = end.endswith(END)
    stem = end[:-2] if has_end else end[:-1] if end.endswith(b"\xff") else end
    try:
        first, second = (_decode(stem + rest + END, has_end) for rest in (b"", _FILLER))
    except Exception:
        return None  # what Pillow finds wrong with a damaged file ends in errors of many kinds
    if not np.array_equal(first, second) or (not has_end and _lacks_scans(stem)):
        return None
    return stem + END


def _decode(data: bytes, reduced: bool) -> np.ndarray:
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        # What a progressive JPEG lacks are details, which a small version does not show.
        if reduced and not image.info.get("progressive"):
            image.draft(image.mode, (max(image.width // _REDUCTION, 1), max(image.height // _REDUCTION, 1)))
        return np.asarray(image)


def _lacks_scans(data: bytes) -> bool:
    """Whether a JPEG without its end marker was cut off between two scans, or in the tables before one."""
    place, expected = 2, set[tuple[int, int]]()
    seen = set[tuple[int, int]]()
    while place + 4 <= len(data):
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        segment, place = data[place + 4 : place + 2 + length], place + 2 + length
        if marker == 0xD9:
            return False
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            progressive = marker in (0xC2, 0xCA)
            expected = {(segment[6 + 3 * n], k) for n in range(segment[5]) for k in range(64 if progressive else 1)}
        if marker == _START_OF_SCAN:
            components, (first, last, bits) = segment[1 : 1 + 2 * segment[0] : 2], segment[-3:]
            if not bits & 15:  # no lower bits will follow
                seen |= {(component, k) for component in components for k in range(first, last + 1)}
            place = _find_end_of_scan(data, place)
            if place == len(data):
                return not expected <= seen
    return True


def is_jpeg_stream(data: bytes) -> bool:
    """Whether one picture follows the other, as in a raw stream of Motion JPEG; not in a photograph with a preview.

    Args:
        data: How the file begins, its first picture and what stands behind it.
    """
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == 0xD9:
            return data.startswith(b"\xff\xd8\xff", place + 2)
        # Photographs of several pictures, from phones and 3D cameras, begin with a list of them.
        if marker == 0xE2 and data.startswith(b"MPF\0", place + 4):
            return False
        place += 2 + length
        if marker == _START_OF_SCAN:
            place = _find_end_of_scan(data, place)
    return False


def _find_end_of_scan(data: bytes, place: int) -> int:
    """The place of the first marker behind a scan's data, or the end."""
    found = _MARKER.search(data, place)
    return found.start() if found else len(data)
