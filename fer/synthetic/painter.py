"""Rasterises shapes: crisp fills with anti-aliased edges, and blurred light and shade."""

from collections.abc import Sequence

import cv2
import numpy as np

from fer.synthetic.geometry import Projection, Shape

_SHIFT = 4  # fractional bits of the coordinates handed to OpenCV
_COARSE = 4  # shade is blurred anyway: it is painted at a quarter of the canvas's resolution
NEUTRAL_SHADE = 128  # grey of a shade layer that leaves the image as it is


def _project_to_pixels(shapes: Sequence[Shape], projection: Projection) -> np.ndarray:
    """All contours' points, one after the other, as OpenCV's fixed-point coordinates."""
    flat = np.concatenate([shape.contours.reshape(-1, 2) for shape in shapes])
    # OpenCV puts integer coordinates on pixel centres.
    return np.rint((projection(flat) - 0.5) * (1 << _SHIFT)).astype(np.int32)


def paint(canvas: np.ndarray, projection: Projection, shapes: Sequence[Shape]) -> None:
    """Fill ``shapes`` into ``canvas`` (height, width, 3) uint8 in place, later ones over earlier ones."""
    if not shapes:
        return
    pixels = _project_to_pixels(shapes, projection)  # one projection for all: the cost is numpy's call, not the points
    start = 0
    for shape in shapes:
        stop = start + shape.contours.size // 2
        contours = pixels[start:stop].reshape(-1, shape.contours.shape[-2], 2)
        start = stop
        for contour in contours:  # one at a time: overlapping contours of one call would cancel out
            cv2.fillPoly(canvas, [contour], shape.colour, cv2.LINE_AA, _SHIFT)


def paint_shade(
    canvas: np.ndarray, projection: Projection, outline: Shape, shades: Sequence[Shape], softness: float
) -> None:
    """Multiply ``canvas`` in place by blurred ``shades``, inside ``outline`` only.

    A shade's colour is a gain a channel in units of NEUTRAL_SHADE; ``softness`` is the blur's standard
    deviation in pixels of the canvas.
    """
    height, width = canvas.shape[:2]
    coarse = Projection(projection.matrix / _COARSE, (projection.origin[0] / _COARSE, projection.origin[1] / _COARSE))
    layer = np.full((-(-height // _COARSE), -(-width // _COARSE), 3), NEUTRAL_SHADE, np.uint8)
    paint(layer, coarse, shades)
    layer = cv2.GaussianBlur(layer, (0, 0), softness / _COARSE)
    layer = cv2.resize(layer, (width, height), interpolation=cv2.INTER_LINEAR)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [_project_to_pixels([outline], projection)], 255, cv2.LINE_AA, _SHIFT)
    shaded = cv2.multiply(canvas, layer, scale=1.0 / NEUTRAL_SHADE)
    cv2.copyTo(shaded, mask, canvas)
