"""Small images (faces) as data URIs, so that a page carries them itself."""

import base64
from dataclasses import dataclass

import cv2
import numpy as np

# Images are shown about 72 CSS pixels wide; twice that is what a dense screen can use. Larger ones would
# only make the page heavy.
_MAX_SIDE = 144


@dataclass(frozen=True)
class CaptionedImage:
    """An image with its caption. ``image``: (H, W) gray or (H, W, 3) RGB, uint8."""

    image: np.ndarray
    caption: str


def png_data_uri(image: np.ndarray) -> str:
    """Encode an image as ``data:image/png;base64,…``, shrunk to at most 144 pixels a side.

    ``image``: (H, W) gray or (H, W, 3) RGB, uint8. An RGB image without colour is stored as gray, a third of
    the size. Raises ValueError for any other shape or type.
    """
    _, png = cv2.imencode(".png", _shrink(image))
    return "data:image/png;base64," + base64.b64encode(png.tobytes()).decode("ascii")


def jpeg_data_uri(image: np.ndarray) -> str:
    """Encode an image as ``data:image/jpeg;base64,…``, a fifth of the size of PNG; otherwise as ``png_data_uri``."""
    _, jpeg = cv2.imencode(".jpg", _shrink(image), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode("ascii")


def _shrink(image: np.ndarray) -> np.ndarray:
    """Gray (H, W) or BGR (H, W, 3) of at most 144 pixels a side. Raises ValueError."""
    shape_fits = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    if image.dtype != np.uint8 or not shape_fits or image.size == 0:
        raise ValueError(f"a picture is (H, W) or (H, W, 3) of uint8, not {image.shape} of {image.dtype}")
    if image.ndim == 3:
        is_gray = bool((image == image[..., :1]).all())
        image = image[..., 0] if is_gray else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    image = np.ascontiguousarray(image)
    height, width = image.shape[:2]
    scale = _MAX_SIDE / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    return image
