"""What every detector is and returns."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np


@dataclass(frozen=True, eq=False)
class Face:
    """A face's box in pixels of its frame, beyond whose edges it may reach.

    Attributes:
        x: Left edge.
        y: Top edge.
        width: Width of the box.
        height: Height of the box.
        score: The detector's own measure, higher is surer.
        landmarks: (5, 2) float64 pixels of right eye, left eye, nose tip, right and left corner of the mouth, in the
            person's own sense of right; None where the detector gives none.
    """

    x: float
    y: float
    width: float
    height: float
    score: float
    landmarks: np.ndarray | None = None

    @property
    def area(self) -> float:
        """Pixels of the box."""
        return self.width * self.height


class Detector(Protocol):
    """Finds faces. Serves one thread at a time.

    Attributes:
        margin: Added to the box's side as a fraction, it frames faces as FER2013 framed the training faces (see
            ``fer.video.crop.crop_face``): the median over faces of FERPlus by ``python -m benchmarks.framing``.
        core_fraction: Of the cores, those that its threads need to keep up with decoding and classification.
    """

    margin: ClassVar[float]
    core_fraction: ClassVar[float]

    def detect(self, bgr: np.ndarray) -> list[Face]:
        """Find the faces of a frame.

        Args:
            bgr: (H, W, 3) uint8.

        Returns:
            The faces, the largest first.
        """
        ...


def sort_by_area(faces: Iterable[Face]) -> list[Face]:
    """By falling area; equal ones from left to right and from the top, so that the order never depends on threads."""
    return sorted(faces, key=lambda face: (-face.area, face.x, face.y))
