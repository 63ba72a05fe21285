"""No detection: the image is the face."""

from typing import ClassVar

import numpy as np
from typing_extensions import override

from fer.video.detectors.base import Detector, Face


class WholeImageDetector(Detector):
    """Takes the whole image for the face: for images that are cropped already."""

    margin: ClassVar[float] = 0.0
    core_fraction: ClassVar[float] = 0.0

    @override
    def detect(self, bgr: np.ndarray) -> list[Face]:
        height, width = bgr.shape[:2]
        return [Face(0.0, 0.0, float(width), float(height), score=1.0)]
