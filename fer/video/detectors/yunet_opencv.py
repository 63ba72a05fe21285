"""YuNet computed by OpenCV, which takes any file that is one."""

import cv2
import numpy as np


class OpenCvYuNet:
    """YuNet in OpenCV.

    Args:
        content: The network as ONNX.
        min_score: Boxes with a lower score are left out, 0 to 1.
        nms_threshold: Of two boxes that overlap more, the surer one stays.

    Raises:
        ValueError: It is no YuNet.
    """

    def __init__(self, content: bytes, min_score: float, nms_threshold: float) -> None:
        self._size = (32, 32)
        try:
            # From memory, because OpenCV opens no path with letters outside of ASCII on Windows.
            self._network = cv2.FaceDetectorYN.create(
                "onnx",
                np.frombuffer(content, np.uint8),
                np.empty(0, np.uint8),
                self._size,
                min_score,
                nms_threshold,
            )
            # A network with other outputs fails only now.
            self._network.detect(np.zeros((*self._size, 3), np.uint8))
        except cv2.error:
            raise ValueError("OpenCV cannot compute it") from None

    def find_boxes(self, bgr: np.ndarray) -> np.ndarray:
        """Look at a frame (H, W, 3) uint8; see ``fer.video.detectors.yunet_onnx.OnnxYuNet.find_boxes``."""
        size = (bgr.shape[1], bgr.shape[0])
        if size != self._size:
            self._network.setInputSize(size)
            self._size = size
        rows = self._network.detect(bgr)[1]
        # None, not an empty table, says that there is no face.
        return np.empty((0, 15)) if rows is None else np.asarray(rows, np.float64)
