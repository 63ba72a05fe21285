"""Attribution maps as pictures: laid over the face in two colours, which the colour-blind can tell apart too."""

import cv2
import numpy as np

# RGB: what spoke for the class, and what spoke against it.
FOR, AGAINST = np.array([255.0, 122.0, 0.0]), np.array([0.0, 140.0, 255.0])
# Single pixels are noise, and no eye sees them; of the side of the picture.
_BLUR = 1 / 56
# The strongest pixels are cut off, so that one of them does not leave the rest in the dark.
_TOP_PERCENTILE = 99.0
_OPACITY = 0.75


def draw_overlay(picture: np.ndarray, attribution: np.ndarray, coarse: bool = False) -> np.ndarray:
    """Lay an attribution map over a picture, each scaled by itself.

    Args:
        picture: (side, side, 3) uint8 RGB, shown in gray.
        attribution: (side, side), positive for what spoke for the class.
        coarse: Whether it is a map without negative values that changes slowly, as Grad-CAM's: it is drawn from its
            least to its greatest value. Others are smoothed for the eye and drawn up to their strongest pixels.

    Returns:
        (side, side, 3) uint8 RGB.
    """
    values = attribution.astype(np.float64)
    if coarse:
        values -= values.min()
    else:
        values = np.asarray(cv2.GaussianBlur(values, (0, 0), max(values.shape[0] * _BLUR, 0.5)), np.float64)
    top = np.percentile(np.abs(values), _TOP_PERCENTILE)
    strength = np.clip(np.abs(values) / top, 0, 1)[..., None] * _OPACITY if top > 0 else np.zeros((*values.shape, 1))
    gray = np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, 2).astype(np.float64)
    colour = np.where(values[..., None] >= 0, FOR, AGAINST)
    return ((1 - strength) * gray + strength * colour).round().astype(np.uint8)
