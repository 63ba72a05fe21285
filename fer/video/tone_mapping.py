"""From HDR video (PQ and HLG, ITU-R BT.2100) to what a screen of ordinary brightness shows.

Light is reckoned in units of reference white, 203 cd/m² (BT.2408). Up to half of it everything is kept, as far as skin
is lit in most scenes; above, a curve without a corner comes ever nearer to white. It works on the largest of red, green
and blue, so that colours keep their hue.
"""

from functools import cache

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorTrc

REFERENCE_WHITE, HLG_PEAK = 203.0, 1000.0  # cd/m²
KNEE = 0.5
SCREEN_GAMMA = 2.4  # BT.1886
_LEVELS = 65536
_LUMINANCE_2020 = np.array([[0.2627, 0.6780, 0.0593]], np.float32)
_TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    np.float32,
)


def is_hdr(frame: VideoFrame) -> bool:
    """Whether the stream says that its levels are those of PQ or HLG."""
    return frame.color_trc in (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)


def map_tones(rgba: np.ndarray, curve: int) -> np.ndarray:
    """Convert a picture to the range of an ordinary screen.

    Args:
        rgba: (H, W, 4) uint16, levels of BT.2020 colours.
        curve: The transfer characteristics of the frame, PQ's or HLG's.

    Returns:
        (H, W, 4) uint8 BGRA of BT.709 colours.
    """
    light = np.take(_compute_light(curve), rgba[..., :3])
    if curve == ColorTrc.ARIB_STD_B67:
        # The picture is made for a screen of 1000 cd/m², whose system gamma is 1.2.
        light *= cv2.transform(light, _LUMINANCE_2020)[..., None] ** 0.2 * np.float32(HLG_PEAK / REFERENCE_WHITE)
    light = np.maximum(cv2.transform(light, _TO_709), 0)
    largest = np.maximum(np.maximum(light[..., :1], light[..., 1:2]), light[..., 2:])
    above = np.maximum(largest - KNEE, 0)
    mapped = np.minimum(largest, KNEE) + (1 - KNEE) * above / (above + 1 - KNEE)
    light *= mapped / np.maximum(largest, np.finfo(np.float32).tiny)
    # Roots spread the dark levels over the table.
    bgr = np.take(_build_screen_levels(), (np.sqrt(light[..., ::-1]) * (_LEVELS - 1)).astype(np.uint16))
    return np.concatenate([bgr, (rgba[..., 3:] >> 8).astype(np.uint8)], axis=-1)


@cache
def _compute_light(curve: int) -> np.ndarray:
    """Light of each 16-bit level: in units of reference white for PQ, of the peak before the camera for HLG."""
    level = np.arange(_LEVELS) / (_LEVELS - 1)
    if curve == ColorTrc.SMPTE2084:
        root = level ** (1 / 78.84375)
        light = 10_000 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
        return (light / REFERENCE_WHITE).astype(np.float32)
    return np.where(level <= 0.5, level**2 / 3, (np.exp((level - 0.55991073) / 0.17883277) + 0.28466892) / 12).astype(
        np.float32
    )


@cache
def _build_screen_levels() -> np.ndarray:
    """The 8-bit level that gives the light whose root is a 16-bit number."""
    light = (np.arange(_LEVELS) / (_LEVELS - 1)) ** 2
    return np.rint(255 * light ** (1 / SCREEN_GAMMA)).astype(np.uint8)
