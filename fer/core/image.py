"""Bringing faces to the colour and the resolution of the training faces."""

import cv2
import numpy as np


def to_gray(image: np.ndarray) -> np.ndarray:
    """Convert an image (H, W) or (H, W, 3) uint8 RGB to gray, (H, W) uint8."""
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def to_bgr(image: np.ndarray) -> np.ndarray:
    """Convert an image (H, W) or (H, W, 3) uint8 RGB to OpenCV's order of channels, (H, W, 3)."""
    return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR if image.ndim == 2 else cv2.COLOR_RGB2BGR)


def squeeze_gray(image: np.ndarray) -> np.ndarray:
    """Return an image of the store, (H, W, 1 or 3), as (H, W) or (H, W, 3)."""
    return np.asarray(image[..., 0] if image.shape[-1] == 1 else image)


def to_native(image: np.ndarray, side: int, colour: bool) -> np.ndarray:
    """Convert a face to the native form of the training faces.

    Shrinking averages over areas, as a camera of lower resolution would; enlarging is bilinear.

    Args:
        image: (H, W) or (H, W, 3) uint8 RGB.
        side: Native width and height, pixels.
        colour: Whether the training faces are coloured.

    Returns:
        (side, side, 3 if colour else 1) uint8.
    """
    if not colour:
        image = to_gray(image)
    elif image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    if image.shape[:2] != (side, side):
        shrinks = max(image.shape[:2]) > side
        image = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return image.reshape(side, side, -1)
