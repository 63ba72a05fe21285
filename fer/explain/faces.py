"""From image files to the faces that are explained."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from fer.config import Extraction
from fer.core.image import to_bgr
from fer.data.decoding import decode
from fer.errors import DataError, UserError
from fer.runs.detector_choice import build_detector, pin_detector
from fer.video.crop import crop_face
from fer.video.detectors import Detector
from fer.video.media import Media, find_media
from fer.video.probe import VideoError, open_video

# Pictures of at most so many pixels a side are taken for faces that are cropped already, as data sets have them.
CROPPED_SIDE = 128
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CutFace:
    """A face of an image file.

    Attributes:
        name: What tells it from all others.
        path: The file.
        image: The face, (H, W) or (H, W, 3) uint8 RGB.
        box: x, y, width and height in the image, pixels; None where the whole image is the face.
        note: Why the whole image is taken although a face was looked for; empty otherwise.
    """

    name: str
    path: Path
    image: np.ndarray
    box: tuple[float, float, float, float] | None
    note: str = ""


class FaceCutter:
    """Finds and cuts out the faces of images, as infer.py does.

    Args:
        config: Section `extraction`: the detector, its margin, and whether the largest face or all are wanted.
        whole: Whether every image is a face as it is.

    """

    def __init__(self, config: Extraction, whole: bool) -> None:
        self.config = config
        self.whole = whole or config.detector.kind == "none"

    @cached_property
    def _detection(self) -> tuple[Detector, float, bool]:
        """The detector, margin and alignment; made, or its weights fetched, for the first image that needs them."""
        # The log warns where auto finds no weights of YuNet.
        pinned, _ = pin_detector(self.config)
        detector, margin = build_detector(pinned), getattr(pinned.detector, "margin", None)
        align = bool(getattr(pinned.detector, "align", False))
        return detector, detector.margin if margin is None else margin, align

    def cut(self, name: str, path: Path) -> list[CutFace]:
        """Cut out the faces of an image; the whole image where none is found, or where it is small.

        Args:
            name: The image's name.
            path: Its file.

        Raises:
            DataError: The file is no image that can be read.
            ModelError: The detector's weights cannot be had.
        """
        try:
            image = decode(path.read_bytes())
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from None
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        if self.whole or max(image.shape[:2]) <= CROPPED_SIDE:
            return [CutFace(name, path, image, None)]
        bgr = to_bgr(image)
        detector, margin, align = self._detection
        found = sorted(detector.detect(bgr), key=lambda face: -face.width * face.height)
        if not found:
            log.warning("%s: no face was found; the whole image is explained", name)
            return [CutFace(name, path, image, None, "no face was found, so this is the whole image")]
        found = found if self.config.faces == "all" else found[:1]
        return [
            CutFace(
                name if len(found) == 1 else f"{name} (face {number})",
                path,
                crop_face(bgr, face, margin, align),
                (face.x, face.y, face.width, face.height),
            )
            for number, face in enumerate(found, 1)
        ]


def cut_faces(inputs: Sequence[str], config: Extraction, whole: bool) -> list[CutFace]:
    """Cut out the faces of all images that a user names.

    Args:
        inputs: Files, directories and globs.
        config: Section `extraction`.
        whole: Whether every image is a face as it is.

    Raises:
        UserError: An input gives nothing, cannot be read or is a video.
    """
    media = find_media(inputs)
    video = next((item for item in media if item.kind == "video"), None)
    if video is not None:
        raise UserError(_refuse_video(video))
    # As in infer.py, where what is named may be worth a download of the detector.
    cutter = FaceCutter(config.model_copy(update={"input": tuple(inputs)}), whole)
    return [face for item in media for face in cutter.cut(item.name, item.path)]


def _refuse_video(item: Media) -> str:
    """Why a file cannot be explained whose name and content are not those of an image."""
    try:
        open_video(item.path)
    except VideoError:
        return f"{item.name}: is no image that can be read; name pictures of faces"
    return f"{item.name}: is a video; explain its strongest moments with infer.py extraction.explain=true"
