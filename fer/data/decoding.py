"""Decode images to pixels, bounded and checked."""

import io
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError

from fer.core.image import decode_image
from fer.errors import DataError

MAX_PIXELS = 64_000_000


def read_header(data: bytes | np.ndarray) -> tuple[int, bool]:
    """Read an image's header without decoding it.

    Args:
        data: Encoded bytes, or decoded pixels (H, W) or (H, W, 3).

    Returns:
        The longer side in pixels, and whether the image has colour.

    Raises:
        DataError: The bytes are no image, or one of more than 64 megapixels.
    """
    if isinstance(data, np.ndarray):
        return max(data.shape[:2]), data.ndim == 3
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                width, height = image.size
                colour = image.mode not in ("1", "L", "LA", "I", "I;16", "F")
    except UnidentifiedImageError:
        raise DataError("not an image") from None  # Pillow's own message holds a memory address
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"not an image ({str(error)[:80]})") from None
    if width * height > MAX_PIXELS:
        raise DataError(f"{width}×{height} pixels are too many")
    return max(width, height), colour


def decode(data: bytes | np.ndarray) -> np.ndarray:
    """Decode an image.

    Args:
        data: Encoded bytes, or pixels, which are returned as they are.

    Returns:
        (H, W) uint8 if gray, (H, W, 3) uint8 RGB if coloured.

    Raises:
        DataError: The bytes are no image, are damaged, or are one of more than 64 megapixels.
    """
    if isinstance(data, np.ndarray):
        return data
    read_header(data)
    pixels = decode_image(data)
    if pixels is None:
        raise DataError("the image is damaged")
    return pixels
