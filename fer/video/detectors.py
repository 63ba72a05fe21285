"""Where the faces of a frame are."""

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import cv2
import httpx2
import numpy as np
from cv2.data import haarcascades

from fer.core.io import atomic_write, compute_sha256
from fer.errors import ModelError

log = logging.getLogger(__name__)
WEIGHTS_URL = (
    "https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/face_detection_yunet_2023mar.onnx"
)
WEIGHTS_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
MAX_BYTES = 4 << 20  # bytes; the file has 233 kB, so that more is something else
TIMEOUT_S = 20.0  # seconds without an answer
REMEDY = "give a file (extraction.detector.weights=FILE) or choose extraction.detector.kind=haar"


@dataclass(frozen=True, eq=False)
class Face:
    """A face's box in pixels of its frame, beyond whose edges it may reach.

    ``score``: the detector's own measure, higher is surer. ``landmarks``: (5, 2) float64 pixels of right eye, left
    eye, nose tip, right and left corner of the mouth, in the person's own sense of right; None where the detector
    gives none.
    """

    x: float
    y: float
    width: float
    height: float
    score: float
    landmarks: np.ndarray | None = None

    @property
    def area(self) -> float:
        return self.width * self.height


class Detector(Protocol):
    """Finds faces. Serves one thread at a time.

    ``margin`` frames its faces as FER2013 framed the training faces (see ``fer.video.crop.crop_face``): the median over
    faces of FERPlus by ``python -m benchmarks.framing``.
    """

    margin: ClassVar[float]

    def detect(self, bgr: np.ndarray) -> list[Face]:
        """Faces of a frame (H, W, 3) uint8 BGR, the largest first."""
        ...


class HaarDetector:
    """OpenCV's Haar cascade of upright frontal faces (Viola and Jones 2001).

    The score is the sum of the cascade's last stage over its threshold.
    """

    margin: ClassVar[float] = 0.02  # 1,138 of 1,500 faces; quartiles -0.04 and 0.11

    def __init__(self, min_score: float = 0.0, min_size: int = 24) -> None:
        self.min_score, self.min_size = min_score, min_size
        self._cascade = cv2.CascadeClassifier(haarcascades + "haarcascade_frontalface_default.xml")

    def detect(self, bgr: np.ndarray) -> list[Face]:
        gray = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
        boxes, _, scores = self._cascade.detectMultiScale3(
            gray, scaleFactor=1.2, minNeighbors=3, minSize=(self.min_size, self.min_size), outputRejectLevels=True
        )
        return sort_by_area(
            Face(float(x), float(y), float(width), float(height), float(score))
            for (x, y, width, height), score in zip(boxes, scores, strict=True)
            if score >= self.min_score
        )


class YuNetDetector:
    """YuNet, a network of 75,856 weights with eye points (Wu, Peng and Yu 2023, "YuNet: A tiny millisecond-level
    face detector"), run by OpenCV.

    Frames are shrunk before, until their longer side has ``long_side`` pixels, but only so far that a face of
    ``min_size`` pixels keeps 12. Raises ModelError for a file that is no YuNet.
    """

    margin: ClassVar[float] = 0.01  # 1,372 of 1,500 faces; quartiles -0.09 and 0.11
    _MIN_SCALED_FACE: ClassVar[int] = 12  # pixels
    _NMS_THRESHOLD: ClassVar[float] = 0.3  # of two boxes that overlap more, the surer one stays

    def __init__(self, weights: Path, min_score: float = 0.7, min_size: int = 24, long_side: int = 320) -> None:
        self.min_size, self.long_side = min_size, long_side
        self._size = (32, 32)
        try:
            # Read here, because OpenCV opens no path with letters outside of ASCII on Windows.
            content = np.frombuffer(weights.read_bytes(), np.uint8)
            self._network = cv2.FaceDetectorYN.create(
                "onnx", content, np.empty(0, np.uint8), self._size, min_score, self._NMS_THRESHOLD
            )
            # A network with other outputs fails only now.
            self._network.detect(np.zeros((*self._size, 3), np.uint8))
        except OSError as error:
            raise ModelError(f"extraction.detector.weights={weights}: cannot be read ({error.strerror})") from None
        except cv2.error:
            raise ModelError(
                f"extraction.detector.weights={weights}: is not YuNet as ONNX; take OpenCV zoo's "
                "face_detection_yunet_2023mar.onnx"
            ) from None

    def detect(self, bgr: np.ndarray) -> list[Face]:
        height, width = bgr.shape[:2]
        scale = min(1.0, max(self.long_side / max(width, height), self._MIN_SCALED_FACE / self.min_size))
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        if size != (width, height):
            bgr = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
        if size != self._size:
            self._network.setInputSize(size)
            self._size = size
        rows = self._network.detect(bgr)[1]
        # None, not an empty table, says that there is no face.
        detections = np.empty((0, 15)) if rows is None else np.asarray(rows, np.float64)
        detections[:, :14] *= np.tile((width / size[0], height / size[1]), 7)
        return sort_by_area(
            Face(float(x), float(y), float(w), float(h), float(score), np.array(points).reshape(5, 2))
            for x, y, w, h, *points, score in detections
            if min(w, h) >= self.min_size
        )


class WholeImageDetector:
    """Takes the whole image for the face: for pictures that are cropped already."""

    margin: ClassVar[float] = 0.0

    def detect(self, bgr: np.ndarray) -> list[Face]:
        height, width = bgr.shape[:2]
        return [Face(0.0, 0.0, float(width), float(height), score=1.0)]


def sort_by_area(faces: Iterable[Face]) -> list[Face]:
    """By falling area; equal ones from left to right and from the top, so that the order never depends on threads."""
    return sorted(faces, key=lambda face: (-face.area, face.x, face.y))


def make_detector(kind: str, min_score: float = 0.0, min_size: int = 24, weights: Path | None = None) -> Detector:
    """The detector of this ``kind``: haar, yunet (with ``weights``, see ``fer.video.detectors``) or none.

    ``min_score``, ``min_size`` (pixels of the frame): faces below are left out. Raises ModelError, and ValueError for
    another kind or for yunet without weights.
    """
    if kind == "haar":
        return HaarDetector(min_score, min_size)
    if kind == "yunet" and weights is not None:
        return YuNetDetector(weights, min_score, min_size)
    if kind == "none":
        return WholeImageDetector()
    raise ValueError(f"no detector {kind!r} with weights {weights}; there are haar, yunet (with weights) and none")


def find_weights(weights: str | Path | None, cache: Path, url: str = WEIGHTS_URL, sha256: str = WEIGHTS_SHA256) -> Path:
    """The ONNX file of YuNet: ``weights`` itself, or else ``url``'s file, kept in the directory ``cache``.

    A file that is given is taken as it is; a downloaded one must have this SHA-256, each time that it is used.
    Raises ModelError.
    """
    if weights is not None:
        path = Path(weights)
        if not path.is_file():
            raise ModelError(f"extraction.detector.weights={weights}: no such file")
        return path
    path = cache / url.rpartition("/")[2]
    if path.is_file() and compute_sha256(path) == sha256:
        return path
    log.info("Downloading %s to %s", url, path)
    try:
        with atomic_write(path) as beside:
            beside.write_bytes(_download(url, sha256))
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"the detector's weights cannot be fetched from {url} ({reason}); {REMEDY}") from None
    except OSError as error:
        raise ModelError(
            f"the detector's weights cannot be written to {path} ({error.strerror}); "
            "set extraction.cache_dir to a directory that can be written"
        ) from None
    return path


def _download(url: str, sha256: str) -> bytes:
    """The bytes behind ``url``. Raises ModelError for others than expected, and what httpx2 raises."""
    content = bytearray()
    with httpx2.stream("GET", url, follow_redirects=True, timeout=TIMEOUT_S) as response:
        response.raise_for_status()
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > MAX_BYTES:
                raise ModelError(f"{url}: is larger than {MAX_BYTES >> 20} MiB, so it is not the detector; {REMEDY}")
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise ModelError(f"{url}: has the SHA-256 {digest} instead of {sha256}; try again, or {REMEDY}")
    return bytes(content)
