"""YuNet computed by ONNX Runtime, in less than half of the processor time that OpenCV takes for it.

What comes after the network is written as OpenCV's FaceDetectorYN does it, so that both find the same boxes.
"""

from functools import lru_cache

import cv2
import numpy as np

from fer.core.onnx_session import start_onnx_session
from fer.video.detectors.yunet_graph import BOXES, INPUT, SCORES, STRIDES, build_graph

# How far scores, and places in cells, may be from OpenCV's; in the clips and faces of the tests they are 1e-5 apart.
TOLERANCE = 1e-3
_TOP_K = 5000  # so many boxes, the surest, are compared with each other; as OpenCV's FaceDetectorYN
_CELL = max(STRIDES)


class OnnxYuNet:
    """YuNet in ONNX Runtime, on one thread.

    Args:
        content: The network as ONNX, from anybody.
        min_score: Boxes with a lower score are left out, 0 to 1.
        nms_threshold: Of two boxes that overlap more, the surer one stays.

    Raises:
        ValueError: It is no YuNet, or is not computed as in OpenCV; the message says why.
    """

    def __init__(self, content: bytes, min_score: float, nms_threshold: float) -> None:
        self._min_score, self._nms_threshold = np.float32(min_score), nms_threshold
        self._session = start_onnx_session(build_checked_graph(content), threads=1)
        self._cells, self._shape = np.empty((0, 3), np.float32), (0, 0)

    def find_boxes(self, bgr: np.ndarray) -> np.ndarray:
        """Look at a frame.

        Args:
            bgr: (H, W, 3) uint8.

        Returns:
            (N, 15) float64: left edge, top edge, width, height, five points, pixels; and the score, the surest first.
        """
        height, width = (-(-side // _CELL) * _CELL for side in bgr.shape[:2])
        if (height, width) != bgr.shape[:2]:
            below, right = height - bgr.shape[0], width - bgr.shape[1]
            bgr = cv2.copyMakeBorder(bgr, 0, below, 0, right, cv2.BORDER_CONSTANT)
        if (height, width) != self._shape:
            self._cells, self._shape = _list_cells(height, width), (height, width)
        scores, boxes = self._session.run([SCORES, BOXES], {INPUT: bgr[None]})
        [sure] = np.nonzero(scores[0] >= self._min_score)
        rows = _place_boxes(boxes[0, sure], scores[0, sure], self._cells[sure])
        return self._leave_surest(rows).astype(np.float64)

    def _leave_surest(self, rows: np.ndarray) -> np.ndarray:
        """Leave the surest of boxes that overlap. OpenCV compares them in whole pixels, and one alone with nothing."""
        if len(rows) < 2:
            return rows
        whole = rows[:, :4].astype(np.int32).tolist()
        kept = cv2.dnn.NMSBoxes(whole, rows[:, 14].tolist(), float(self._min_score), self._nms_threshold, 1.0, _TOP_K)
        return rows[np.asarray(kept, np.intp)]


@lru_cache(maxsize=1)
def build_checked_graph(content: bytes) -> bytes:
    """Build the graph of a file, and compare what it computes with what OpenCV computes of the file itself.

    Args:
        content: A YuNet as ONNX, from anybody.

    Returns:
        See ``fer.video.detectors.yunet_graph.build_graph``.

    Raises:
        ValueError: It is none, or the answers differ.
    """
    model = build_graph(content)
    # Not square, and of several cells, so that nothing can be exchanged unnoticed.
    frame = np.random.default_rng(0).integers(0, 256, (2 * _CELL, 3 * _CELL, 3), np.uint8)
    try:
        ours = start_onnx_session(model, threads=1).run([SCORES, BOXES], {INPUT: frame[None]})
        theirs = _compute_in_opencv(content, frame)
        difference = np.max([np.abs(a - b).max() for a, b in zip(ours, theirs, strict=True)])
    except Exception as error:
        # The runtimes' errors have no common class.
        raise ValueError(f"it cannot be computed ({type(error).__name__})") from None
    if not difference <= TOLERANCE:
        raise ValueError(f"ONNX Runtime computes numbers that differ by {difference:.2g} from OpenCV's")
    return model


def _compute_in_opencv(content: bytes, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores and boxes of a frame, as ``build_graph`` has them, from the file as it is."""
    network = cv2.dnn.readNetFromONNX(np.frombuffer(content, np.uint8))
    network.setInput(cv2.dnn.blobFromImage(frame))

    def join(head: str) -> np.ndarray:
        maps = network.forward([f"{head}_{stride}" for stride in STRIDES])
        return np.concatenate([part.reshape(1, -1, part.shape[-1]) for part in maps], axis=1)

    scores = np.sqrt(np.clip(join("cls"), 0, 1) * np.clip(join("obj"), 0, 1))
    return scores[..., 0], np.concatenate([join("bbox"), join("kps")], axis=2)


def _list_cells(height: int, width: int) -> np.ndarray:
    """(cells, 3) float32 of column, row and stride of each cell of a frame's maps."""
    levels = []
    for stride in STRIDES:
        row, column = np.indices((height // stride, width // stride)).reshape(2, -1)
        levels.append(np.stack([column, row, np.full(len(row), stride)], axis=1))
    return np.concatenate(levels).astype(np.float32)


def _place_boxes(boxes: np.ndarray, scores: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """(N, 15) as ``find_boxes`` of boxes (N, 14) and scores (N), in their cells (N, 3)."""
    places, stride = cells[:, :2], cells[:, 2:]
    rows = np.empty((len(boxes), 15), np.float32)
    rows[:, 2:4] = np.exp(boxes[:, 2:4]) * stride
    rows[:, :2] = (places + boxes[:, :2]) * stride - rows[:, 2:4] / 2
    rows[:, 4:14] = (boxes[:, 4:] + np.tile(places, 5)) * stride
    rows[:, 14] = scores
    return rows
