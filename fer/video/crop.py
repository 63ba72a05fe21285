"""From a frame and a box to the picture of one face."""

import math

import cv2
import numpy as np

from fer.video.detect import Face

LARGEST = 256  # pixels a side; more is of no use to any model here and fills the memory


def crop_face(bgr: np.ndarray, face: Face, margin: float, align: bool = False) -> np.ndarray:
    """The square around a face's box: (side, side, 3) uint8 RGB.

    ``bgr``: (H, W, 3) uint8. The side is the box's longer one times 1 + ``margin``; where the square reaches beyond
    the frame, the frame's edge is repeated. Faces above 256 pixels are shrunk to that by averaging over areas.
    ``align`` turns the square about its middle until the eyes are level; it does nothing to faces without landmarks.
    """
    side = max(1, round(max(face.width, face.height) * (1.0 + margin)))
    middle = (face.x + 0.5 * face.width, face.y + 0.5 * face.height)
    size = min(side, LARGEST)
    if not align or face.landmarks is None:
        crop = shrunk(square(bgr, middle, side), size)
    else:
        angle = roll(face.landmarks)
        turn = math.radians(angle)
        # The upright square that holds the turned one: it is shrunk first, since turning does not average over areas.
        around = math.ceil(side * (abs(math.cos(turn)) + abs(math.sin(turn))))
        patch = shrunk(square(bgr, middle, around), max(size, round(around * size / side)))
        centre = 0.5 * (len(patch) - 1)
        matrix = np.asarray(cv2.getRotationMatrix2D((centre, centre), angle, 1.0), np.float64)
        matrix[:, 2] += 0.5 * (size - 1) - centre
        crop = cv2.warpAffine(patch, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.cvtColor(crop, cv2.COLOR_BGR2RGB)


def roll(landmarks: np.ndarray) -> float:
    """How far the line from the right to the left eye is turned clockwise in the picture, degrees."""
    across, down = landmarks[1] - landmarks[0]
    return math.degrees(math.atan2(down, across))


def square(bgr: np.ndarray, middle: tuple[float, float], side: int) -> np.ndarray:
    """(side, side, 3) around ``middle`` (x, y), the frame's edge repeated beyond it."""
    height, width = bgr.shape[:2]
    left, top = round(middle[0] - 0.5 * side), round(middle[1] - 0.5 * side)
    if left >= 0 and top >= 0 and left + side <= width and top + side <= height:
        return bgr[top : top + side, left : left + side]
    rows = np.clip(np.arange(top, top + side), 0, height - 1)
    columns = np.clip(np.arange(left, left + side), 0, width - 1)
    return bgr[rows[:, None], columns]


def shrunk(picture: np.ndarray, size: int) -> np.ndarray:
    """The square picture at ``size`` pixels a side, which is not above its own."""
    return picture if len(picture) == size else cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
