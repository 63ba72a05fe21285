"""From a frame and a box to the image of one face."""

import math

import cv2
import numpy as np

from fer.video.detectors import Face

MAX_SIDE = 256  # pixels a side; more is of no use to any model here and fills the memory
# Pixels a side: no frame of a video has a larger square, but that of a long strip would not fit into the memory.
_LARGEST_SQUARE = 1 << 14


def crop_face(bgr: np.ndarray, face: Face, margin: float, align: bool = False) -> np.ndarray:
    """Cut out the square around a face's box.

    Where the square reaches beyond the frame, the frame's edge is repeated. Squares above 256 pixels are divided by
    the least whole number that brings them to 256 or below, by averaging.

    Args:
        bgr: The frame, (H, W, 3) uint8.
        face: The face.
        margin: The square's side is the box's longer one times 1 + ``margin``.
        align: Turn the square about its middle until the eyes are level; this does nothing to faces without landmarks.

    Returns:
        (side, side, 3) uint8 RGB.
    """
    side = max(1, round(max(face.width, face.height) * (1.0 + margin)))
    middle = (face.x + 0.5 * face.width, face.y + 0.5 * face.height)
    factor = math.ceil(side / MAX_SIDE)
    size = round(side / factor)
    if not align or face.landmarks is None:
        crop = _crop_shrunk_square(bgr, middle, size, factor)
    else:
        angle = compute_roll(face.landmarks)
        turn = math.radians(angle)
        # The upright square that holds the turned one: it is shrunk first, since turning does not average over areas.
        patch = _crop_shrunk_square(bgr, middle, math.ceil(size * (abs(math.cos(turn)) + abs(math.sin(turn)))), factor)
        centre = 0.5 * (len(patch) - 1)
        matrix = np.asarray(cv2.getRotationMatrix2D((centre, centre), angle, 1.0), np.float64)
        matrix[:, 2] += 0.5 * (size - 1) - centre
        crop = cv2.warpAffine(patch, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.cvtColor(crop, cv2.COLOR_BGR2RGB)


def compute_roll(landmarks: np.ndarray) -> float:
    """Roll of a head.

    Args:
        landmarks: (5, 2) as those of ``Face``.

    Returns:
        How far the line from the right to the left eye is turned clockwise in the image, degrees.
    """
    across, down = landmarks[1] - landmarks[0]
    return math.degrees(math.atan2(down, across))


def _crop_shrunk_square(bgr: np.ndarray, middle: tuple[float, float], size: int, factor: int) -> np.ndarray:
    """(size, size, 3) of the square around ``middle`` (x, y) with ``size`` times ``factor`` pixels a side."""
    if size * factor > _LARGEST_SQUARE:
        height, width = (max(1, round(pixels / factor)) for pixels in bgr.shape[:2])
        shrunk = cv2.resize(bgr, (width, height), interpolation=cv2.INTER_AREA)
        return _crop_square(shrunk, (middle[0] / factor, middle[1] / factor), size)
    patch = _crop_square(bgr, middle, size * factor)
    return patch if factor == 1 else cv2.resize(patch, (size, size), interpolation=cv2.INTER_AREA)


def _crop_square(bgr: np.ndarray, middle: tuple[float, float], side: int) -> np.ndarray:
    """(side, side, 3) around ``middle`` (x, y), the frame's edge repeated beyond it."""
    height, width = bgr.shape[:2]
    left, top = round(middle[0] - 0.5 * side), round(middle[1] - 0.5 * side)
    if left >= 0 and top >= 0 and left + side <= width and top + side <= height:
        return bgr[top : top + side, left : left + side]
    # All that is left of the frame, one row and column at least: a box may lie outside of it.
    inside = bgr[min(max(top, 0), height - 1) : max(top + side, 1), min(max(left, 0), width - 1) : max(left + side, 1)]
    above, before = min(max(-top, 0), side - len(inside)), min(max(-left, 0), side - inside.shape[1])
    below, behind = side - len(inside) - above, side - inside.shape[1] - before
    return cv2.copyMakeBorder(inside, above, below, before, behind, cv2.BORDER_REPLICATE)
