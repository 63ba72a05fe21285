"""YuNet, a small network, and the file of its weights."""

import hashlib
import logging
from pathlib import Path
from typing import ClassVar

import cv2
import httpx2
import numpy as np
from typing_extensions import override

from fer.core.io import atomic_write, compute_sha256
from fer.errors import ModelError, shorten_error
from fer.video.detectors.base import Detector, Face, sort_by_area

WEIGHTS_URL = (
    "https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/face_detection_yunet_2023mar.onnx"
)
WEIGHTS_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
MAX_BYTES = 4 << 20  # the file has 233 kB, so that more is something else
TIMEOUT_S = 20.0  # without an answer
REMEDY = "give a file (extraction.detector.weights=FILE) or choose extraction.detector.kind=haar"
log = logging.getLogger(__name__)


class YuNetDetector(Detector):
    """YuNet, a network of 75,856 weights with eye points, run by OpenCV.

    Wu, Peng and Yu 2023, "YuNet: A tiny millisecond-level face detector". Frames are shrunk before, until their longer
    side has ``long_side`` pixels, but only so far that a face of ``min_size`` pixels keeps 12.

    Args:
        weights: The network as ONNX, see ``find_weights``.
        min_score: Faces with a lower score are left out, 0 to 1.
        min_size: Smallest face, pixels of the frame.
        long_side: Longer side of the frames that the network sees, pixels.

    Raises:
        ModelError: The file is no YuNet.
    """

    margin: ClassVar[float] = 0.01  # 1,372 of 1,500 faces; quartiles -0.09 and 0.11
    core_fraction: ClassVar[float] = 0.5  # it takes about as long as all the rest
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

    @override
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


def find_weights(weights: str | Path | None, cache: Path, url: str = WEIGHTS_URL, sha256: str = WEIGHTS_SHA256) -> Path:
    """Find the network's file, and download it if need be.

    Args:
        weights: A file, which is taken as it is and needs no network; None for the download.
        cache: Directory that keeps the downloaded file. Its SHA-256 is checked each time that it is used.
        url: Where the file is downloaded from.
        sha256: What the downloaded file must have, in hexadecimal.

    Returns:
        The ONNX file.

    Raises:
        ModelError: There is no such file, the server cannot be reached or sends something else, or the cache cannot be
            written. Nothing is left in the cache then.
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
        with atomic_write(path) as temporary:
            temporary.write_bytes(_download(url, sha256))
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise ModelError(
            f"the detector's weights cannot be fetched from {url} ({shorten_error(error)}); {REMEDY}"
        ) from None
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
