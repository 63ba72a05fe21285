"""What lies behind a transparent picture: white, as in most viewers and on most pages."""

import numpy as np

WHITE = 255


def lay_on_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Lay a picture on a white background.

    Args:
        colour: (H, W) or (H, W, C) uint8, not multiplied by its opacity.
        alpha: (H, W) uint8, the opacity.

    Returns:
        The picture as it is seen, of the shape of ``colour``.
    """
    if (alpha == 255).all():
        return np.ascontiguousarray(colour)
    opacity = alpha.astype(np.uint16).reshape(*alpha.shape, *[1] * (colour.ndim - 2))
    # 255 · 255 and half of 255 are just within 16 bits.
    return ((colour * opacity + WHITE * (255 - opacity) + 127) // 255).astype(np.uint8)
