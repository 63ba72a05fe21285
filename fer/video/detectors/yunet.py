"""YuNet, a small network, and the file of its weights."""

import hashlib
import logging
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import ClassVar, Literal

import cv2
import httpx2
import numpy as np
from typing_extensions import override

from fer.core.io import atomic_write, compute_sha256
from fer.errors import ModelError, shorten_error
from fer.video.detectors.base import Detector, Face, sort_by_area
from fer.video.detectors.yunet_opencv import OpenCvYuNet

WEIGHTS_URL = (
    "https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/face_detection_yunet_2023mar.onnx"
)
WEIGHTS_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
MAX_BYTES = 4 << 20  # the file has 233 kB, so that more is something else
TIMEOUT_S = 20.0  # without an answer
ZOO_FILE = WEIGHTS_URL.rpartition("/")[2]
REMEDY = "give a file (extraction.detector.weights=FILE) or choose extraction.detector.kind=haar"
log = logging.getLogger(__name__)


class YuNetDetector(Detector):
    """YuNet, a network of 75,856 weights with eye points.

    Wu, Peng and Yu 2023, "YuNet: A tiny millisecond-level face detector". It looks at a frame that is reduced to
    ``max_side``. Where it finds nothing it looks once more, at a frame that is reduced only so far that a face of
    ``min_size`` pixels keeps 20, which `python -m benchmarks.detection` has shown to be enough.

    Args:
        weights: The network as ONNX, see ``find_weights``.
        min_score: Faces with a lower score are left out, 0 to 1.
        min_size: Smallest face, pixels of the frame.
        max_side: Longer side of the reduced frame, pixels; None looks at the whole frame.
        every_face: Look at the larger frame at once, so that none is overlooked beside a larger face.
        runtime: What computes it: ``onnx`` takes less than half of the time of ``opencv`` and finds the same boxes;
            ``auto`` is that of ``choose_runtime``.

    Raises:
        ModelError: The file is no YuNet, or none that the runtime can compute.
    """

    margin: ClassVar[float] = 0.01  # 1,372 of 1,500 faces; quartiles -0.09 and 0.11
    core_fraction: ClassVar[float] = 0.5  # it takes about as long as all the rest
    _SURE_FACE: ClassVar[int] = 20  # pixels of the frame that the network sees
    _MIN_SIDE: ClassVar[int] = 64  # pixels; in strips of one cell of 32 OpenCV finds boxes without end
    _NMS_THRESHOLD: ClassVar[float] = 0.3  # of two boxes that overlap more, the surer one stays

    def __init__(
        self,
        weights: Path,
        min_score: float = 0.7,
        min_size: int = 24,
        max_side: int | None = 320,
        every_face: bool = False,
        runtime: Literal["auto", "onnx", "opencv"] = "auto",
    ) -> None:
        self.min_size, self.max_side, self.every_face = min_size, max_side, every_face
        runtime = choose_runtime(weights) if runtime == "auto" else runtime
        try:
            content = weights.read_bytes()
            if runtime == "onnx":
                # It takes a while to import.
                from fer.video.detectors.yunet_onnx import OnnxYuNet

                self._network: OnnxYuNet | OpenCvYuNet = OnnxYuNet(content, min_score, self._NMS_THRESHOLD)
            else:
                self._network = OpenCvYuNet(content, min_score, self._NMS_THRESHOLD)
        except OSError as error:
            raise ModelError(f"extraction.detector.weights={weights}: cannot be read ({error.strerror})") from None
        except ValueError as error:
            remedy = f"take OpenCV zoo's {ZOO_FILE}"
            if runtime == "onnx":
                raise ModelError(
                    f"extraction.detector.weights={weights}: is not YuNet as ONNX Runtime can have it ({error}); "
                    f"{remedy}, or extraction.detector.runtime=opencv"
                ) from None
            raise ModelError(f"extraction.detector.weights={weights}: is not YuNet as ONNX; {remedy}") from None

    @override
    def detect(self, bgr: np.ndarray) -> list[Face]:
        faces: list[Face] = []
        for scale in self._choose_scales(max(bgr.shape[:2])):
            if faces := self._detect_reduced(bgr, scale):
                break
        return faces

    def _choose_scales(self, side: int) -> tuple[float, ...]:
        """Factors on a frame whose longer side has so many pixels, one for each time that it is looked at."""
        if self.max_side is None:
            return (1.0,)
        first = min(1.0, self.max_side / side)
        second = max(first, min(1.0, self._SURE_FACE / self.min_size))
        return (second,) if self.every_face or second == first else (first, second)

    def _detect_reduced(self, bgr: np.ndarray, scale: float) -> list[Face]:
        height, width = bgr.shape[:2]
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        if size != (width, height):
            bgr = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
        padded = (max(size[0], self._MIN_SIDE), max(size[1], self._MIN_SIDE))
        if padded != size:
            bgr = cv2.copyMakeBorder(bgr, 0, padded[1] - size[1], 0, padded[0] - size[0], cv2.BORDER_CONSTANT)
        detections = self._network.find_boxes(bgr)
        detections[:, 0:14:2] *= width / size[0]
        detections[:, 1:14:2] *= height / size[1]
        return sort_by_area(
            Face(x, y, w, h, score, np.array(points).reshape(5, 2))
            for x, y, w, h, *points, score in detections.tolist()
            if min(w, h) >= self.min_size
        )


def choose_runtime(weights: Path) -> Literal["onnx", "opencv"]:
    """Choose what computes YuNet.

    Args:
        weights: The network as ONNX, see ``find_weights``.

    Returns:
        ``onnx`` where ONNX Runtime computes of this file what OpenCV does; ``opencv`` for quantised and older YuNets,
        and for what is none, of which OpenCV says so.
    """
    # It takes a while to import.
    from fer.video.detectors.yunet_onnx import build_checked_graph

    try:
        build_checked_graph(weights.read_bytes())
    except (OSError, ValueError) as error:
        log.debug("%s: is left to OpenCV (%s)", weights, shorten_error(error))
        return "opencv"
    return "onnx"


def find_weights(
    weights: str | Path | None,
    cache: Path,
    url: str = WEIGHTS_URL,
    sha256: str = WEIGHTS_SHA256,
    max_seconds: float | None = None,
) -> Path:
    """Find the network's file, and download it if need be.

    Args:
        weights: A file, which is taken as it is and needs no network; None for the download.
        cache: Directory that keeps the downloaded file. Its SHA-256 is checked each time that it is used.
        url: Where the file is downloaded from.
        sha256: What the downloaded file must have, in hexadecimal.
        max_seconds: How long a download may take; None waits for as long as the server goes on answering.

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
    if cached := find_cached_weights(cache, url, sha256):
        return cached
    path = cache / url.rpartition("/")[2]
    log.info("Downloading %s to %s", url, path)
    try:
        with atomic_write(path) as temporary:
            temporary.write_bytes(_download_within(max_seconds, url, sha256))
    except TimeoutError:
        raise ModelError(
            f"the detector's weights cannot be fetched from {url} (not within {max_seconds:g} seconds); {REMEDY}"
        ) from None
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


def find_cached_weights(cache: Path, url: str = WEIGHTS_URL, sha256: str = WEIGHTS_SHA256) -> Path | None:
    """The file that ``find_weights`` would take from the cache, None where it would download it."""
    path = cache / url.rpartition("/")[2]
    return path if path.is_file() and compute_sha256(path) == sha256 else None


def _download_within(max_seconds: float | None, url: str, sha256: str) -> bytes:
    """The bytes of ``_download``. Raises TimeoutError, and what that raises."""
    if max_seconds is None:
        return _download(url, sha256)
    # In a thread that can be left alone: looking up a server's name takes as long as it takes.
    answer = Future[bytes]()

    def download() -> None:
        try:
            answer.set_result(_download(url, sha256))
        except BaseException as error:
            answer.set_exception(error)

    Thread(target=download, daemon=True).start()
    return answer.result(max_seconds)


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
