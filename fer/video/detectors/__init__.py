"""Detectors: where the faces of a frame are.

To add one: write a class after ``fer.video.detectors.base.Detector`` in a file of its own, enter it below, and describe
its keys in ``fer/config/extraction.py`` and its values in ``conf/extraction/``.
"""

from typing import Any

from fer.video.detectors.base import Detector, Face
from fer.video.detectors.haar import HaarDetector
from fer.video.detectors.whole_image import WholeImageDetector
from fer.video.detectors.yunet import YuNetDetector

DETECTORS: dict[str, type[Detector]] = {"haar": HaarDetector, "yunet": YuNetDetector, "none": WholeImageDetector}


def make_detector(kind: str, **options: Any) -> Detector:
    """Make a detector.

    Args:
        kind: One of DETECTORS.
        **options: What that detector is made with, such as ``min_size`` (pixels) or ``weights``.

    Returns:
        A detector for one thread.

    Raises:
        ModelError: The weights cannot be used.
        ValueError: There is no such kind.

    Examples:
        >>> faces = make_detector("haar", min_size=40).detect(cv2.imread("frame.jpg"))
    """
    if kind not in DETECTORS:
        raise ValueError(f"no detector {kind!r}; there are {', '.join(DETECTORS)}")
    return DETECTORS[kind](**options)


__all__ = ["DETECTORS", "Detector", "Face", "HaarDetector", "WholeImageDetector", "YuNetDetector", "make_detector"]
