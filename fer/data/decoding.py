"""Decode images to pixels, bounded and checked."""

import numpy as np

from fer.core.image_decoding import decode_image, read_image_header


def read_header(data: bytes | np.ndarray) -> tuple[int, bool]:
    """Read an image's header without decoding it.

    Args:
        data: Encoded bytes, or decoded pixels (H, W) or (H, W, 3).

    Returns:
        The longer side in pixels, and whether the image has colour.

    Raises:
        DataError: The bytes are no image, or one of too many pixels.
    """
    if isinstance(data, np.ndarray):
        return max(data.shape[:2]), data.ndim == 3
    header = read_image_header(data)
    return max(header.width, header.height), header.colour


def decode(data: bytes | np.ndarray) -> np.ndarray:
    """Decode an image.

    Args:
        data: Encoded bytes, or pixels, which are returned as they are.

    Returns:
        (H, W) uint8 if gray, (H, W, 3) uint8 RGB if coloured.

    Raises:
        DataError: The bytes are no image, are damaged, or are one of too many pixels.
    """
    return data if isinstance(data, np.ndarray) else decode_image(data)
