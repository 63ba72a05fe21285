"""What of an image file keeps its reader busy beside the pixels: pieces without end, which Pillow takes one by one."""

import io
from typing import BinaryIO

# Pillow needs up to 100 µs for a piece, however small.
MAX_PIECES = 10_000
# The least that the pixels of a PNG come in.
_MIN_PIXELS_BYTES = 1 << 12
_PNG, _PNG_START = b"\x89PNG", 8
_PLAIN = (b"P1", b"P2", b"P3")
_BLOCK = 1 << 20


def has_too_many_pieces(file: BinaryIO) -> bool:
    """Whether a PNG has more chunks, or a plain PBM, PGM or PPM more comments, than any encoder writes.

    Args:
        file: The file, which is left anywhere.
    """
    file.seek(0)
    start = file.read(4)
    if start == _PNG:
        return has_too_many_chunks(file, MAX_PIECES)
    return start[:2] in _PLAIN and _has_too_many_comments(file)


def has_too_many_chunks(file: BinaryIO, max_pieces: int) -> bool:
    """Whether a PNG has more chunks than that beside its pixels, or pixels in smaller ones than encoders write."""
    size = file.seek(0, io.SEEK_END)
    place, others, pixels = _PNG_START, 0, 0
    while others <= max_pieces and pixels <= max_pieces + size // _MIN_PIXELS_BYTES:
        file.seek(place)
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return False
        has_pixels = head[4:] in (b"IDAT", b"fdAT")
        others, pixels = others + (not has_pixels), pixels + has_pixels
        place += 12 + int.from_bytes(head[:4], "big")
    return True


def _has_too_many_comments(file: BinaryIO) -> bool:
    """Pillow takes time that grows with the square of their number."""
    count = 0
    while count <= MAX_PIECES and (block := file.read(_BLOCK)):
        count += block.count(b"#")
    return count > MAX_PIECES
