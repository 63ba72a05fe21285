"""The weights of YuNet: a file that is given, or OpenCV zoo's, downloaded once."""

import hashlib
import logging
from pathlib import Path

import httpx2

from fer.errors import ModelError
from fer.files import sha256_file, written_beside

log = logging.getLogger(__name__)

URL = "https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/face_detection_yunet_2023mar.onnx"
SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
LARGEST = 4 << 20  # bytes; the file has 233 kB, so that more is something else
TIMEOUT_S = 20.0  # seconds without an answer
REMEDY = "give a file (extraction.detector.weights=FILE) or choose extraction.detector.kind=haar"


def find_weights(weights: str | Path | None, cache: Path, url: str = URL, sha256: str = SHA256) -> Path:
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
    if path.is_file() and sha256_file(path) == sha256:
        return path
    log.info("Downloading %s to %s", url, path)
    try:
        with written_beside(path) as beside:
            beside.write_bytes(downloaded(url, sha256))
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"the detector's weights cannot be fetched from {url} ({reason}); {REMEDY}") from None
    except OSError as error:
        raise ModelError(
            f"the detector's weights cannot be written to {path} ({error.strerror}); "
            "set extraction.cache_dir to a directory that can be written"
        ) from None
    return path


def downloaded(url: str, sha256: str) -> bytes:
    """The bytes behind ``url``. Raises ModelError for others than expected, and what httpx2 raises."""
    content = bytearray()
    with httpx2.stream("GET", url, follow_redirects=True, timeout=TIMEOUT_S) as response:
        response.raise_for_status()
        for part in response.iter_bytes():
            content += part
            if len(content) > LARGEST:
                raise ModelError(f"{url}: is larger than {LARGEST >> 20} MiB, so it is not the detector; {REMEDY}")
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ModelError(f"{url}: has the SHA-256 {found} instead of {sha256}; try again, or {REMEDY}")
    return bytes(content)
