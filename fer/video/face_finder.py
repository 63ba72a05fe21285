"""Finding faces in order to hide them: rather one too many than one too few."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from fer.video.detectors import Detector, Face, HaarDetector, YuNetDetector

# Longer side of the frame that is looked at, pixels: what bounds the time. Haar takes longer for the same pixels.
_MAX_SIDE, _HAAR_MAX_SIDE = 1280, 960
# Of the frame that is looked at; the face of somebody in the background of a room has more.
_MIN_SIZE = 16
# A face that is half hidden has less than the 0.7 by which faces are analysed.
_MIN_SCORE = 0.4


class FaceFinder:
    """Finds what could be a face. Serves one thread at a time.

    Args:
        weights: YuNet's file; None finds faces by Haar alone, which overlooks those that are turned.
        runtime: What computes YuNet, see ``YuNetDetector``.
    """

    def __init__(self, weights: Path | None, runtime: Literal["auto", "onnx", "opencv"] = "auto") -> None:
        # A frame a thread scales better than all threads on one frame.
        cv2.setNumThreads(1)
        self._haar: tuple[Detector, int] = HaarDetector(), _HAAR_MAX_SIDE
        yunet = weights and YuNetDetector(weights, _MIN_SCORE, _MIN_SIZE, max_side=None, runtime=runtime)
        self._first: tuple[Detector, int] = (yunet, _MAX_SIDE) if yunet else self._haar

    def find(self, bgr: np.ndarray) -> list[Face]:
        """Find the faces of a frame, (H, W, 3) uint8 BGR; the largest first."""
        return _detect_reduced(bgr, *self._first)

    def find_left(self, bgr: np.ndarray) -> list[Face]:
        """Find what either detector still takes for a face, in a frame whose faces are covered."""
        left = self.find(bgr)
        return left if self._first is self._haar else left + _detect_reduced(bgr, *self._haar)


def _detect_reduced(bgr: np.ndarray, detector: Detector, max_side: int) -> list[Face]:
    scale = max(1.0, max(bgr.shape[:2]) / max_side)
    if scale == 1.0:
        return detector.detect(bgr)
    height, width = bgr.shape[:2]
    size = max(round(width / scale), 1), max(round(height / scale), 1)
    faces = detector.detect(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA))
    return [
        replace(face, x=face.x * scale, y=face.y * scale, width=face.width * scale, height=face.height * scale)
        for face in faces
    ]
