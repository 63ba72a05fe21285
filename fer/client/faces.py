"""What is sent of files: the faces that are found in videos and pictures on this machine, or the pictures as they are.

OpenCV and FFmpeg are imported where they are needed: pictures as they are need neither.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fer.core.image_decoding import IMAGE_SUFFIXES
from fer.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from fer.config import Extraction
    from fer.video.detectors import Detector, Face
    from fer.video.media import Media

DetectorKind = Literal["auto", "haar", "yunet"]
# What the server takes as it is; everything else is decoded here and sent as PNG.
SENT_AS_IT_IS = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Item:
    """A row of the table, and what is sent for it.

    Args:
        row: Columns that are known before the answer.
        picture: The face; None where there is none.
        is_first: Whether it is the first of its frame or picture, which progress counts.
    """

    row: dict[str, Any]
    picture: Path | bytes | None
    is_first: bool = True


def list_pictures(inputs: Sequence[str]) -> list[Path]:
    """List the pictures that are named, one by one or by a folder, in order of name below it. Raises DataError."""
    paths: dict[Path, None] = {}
    for text in inputs:
        path = Path(text).expanduser()
        if path.is_dir():
            below = sorted(file for file in path.rglob("*") if file.suffix.lower() in SENT_AS_IT_IS and file.is_file())
            found = [file for file in below if not file.name.startswith(".")]
            if not found:
                raise DataError(f"{text}: no picture there ({', '.join(SENT_AS_IT_IS)})")
            paths |= dict.fromkeys(found)
        elif not path.is_file():
            raise DataError(f"{text}: there is no such file or directory")
        elif path.suffix.lower() not in SENT_AS_IT_IS:
            known = path.suffix.lower() in IMAGE_SUFFIXES
            raise DataError(
                f"{text}: --whole sends {', '.join(SENT_AS_IT_IS)} as they are"
                + ("; convert it, or leave --whole out" if known else ", and this is no such picture")
            )
        else:
            paths[path] = None
    return list(paths)


def iter_pictures(paths: Sequence[Path]) -> Iterator[Item]:
    """Yield pictures that are faces already."""
    for path in paths:
        yield Item({"video": str(path), "frame": 0, "time_s": 0.0}, path)


class FaceSource:
    """Finds the faces of videos and pictures as infer.py does, by the same detectors, cut out in the same way.

    Args:
        fps: Frames a second of a video.
        detector: What finds faces; `auto` is YuNet where its file is at hand or can be downloaded, otherwise Haar.
        every_face: All faces of a frame instead of the largest.

    Raises:
        ModelError: The detector's file cannot be had.
    """

    def __init__(self, fps: float, detector: DetectorKind, every_face: bool) -> None:
        from fer.config.compose import load_overrides
        from fer.runs.detector_choice import build_detector, pin_detector

        faces = "all" if every_face else "largest"
        config = load_overrides(
            [f"extraction={detector}", f"extraction.fps={fps}", f"extraction.faces={faces}"], "infer"
        )
        self.config: Extraction = pin_detector(config.extraction, is_drawn=False)[0]
        self.detector: Detector = build_detector(self.config)
        margin = getattr(self.config.detector, "margin", None)
        self.margin = self.detector.margin if margin is None else margin
        self.align = getattr(self.config.detector, "align", False)

    def estimate_frames(self, media: Sequence["Media"]) -> int:
        """About how many frames will be looked at, for the time that is left."""
        from fer.video.reader import VideoError, open_video
        from fer.video.sampling import SAMPLING

        estimate, total = SAMPLING["interval"].estimate, 0.0
        for item in media:
            try:
                total += 1 if item.kind == "image" else estimate(self.config, open_video(item.path))
            except VideoError:
                continue
        return round(total)

    def iter_faces(self, media: Sequence["Media"]) -> Iterator[Item]:
        """Yield an item for each face, and one without a picture for each frame that has none."""
        from fer.video.reader import VideoError, iter_frames
        from fer.video.sampling import SAMPLING

        for item in media:
            try:
                sampler = SAMPLING["interval"].make(self.config, item.path)
                for frame in iter_frames(item.path, sampler):
                    row = {"video": item.name, "frame": frame.index, "time_s": frame.time_s}
                    if frame.bgr is None:
                        yield Item({**row, "status": "decode_error", "reason": frame.problem}, None)
                    else:
                        yield from self._iter_frame_faces(row, frame.bgr)
            except VideoError as error:
                yield Item({"video": item.name, "status": "decode_error", "reason": error.reason}, None)

    def _iter_frame_faces(self, row: dict[str, Any], bgr: "np.ndarray") -> Iterator[Item]:
        faces = self.detector.detect(bgr)
        if not faces:
            yield Item({**row, "status": "no_face", "reason": "no face was found"}, None)
        for number, face in enumerate(faces if self.config.faces == "all" else faces[:1]):
            box = {"face_x": face.x, "face_y": face.y, "face_w": face.width, "face_h": face.height}
            yield Item({**row, **box, "det_score": face.score}, self._encode(bgr, face), is_first=number == 0)

    def _encode(self, bgr: "np.ndarray", face: "Face") -> bytes:
        """The face as PNG, which loses nothing: the server sees what infer.py would."""
        import cv2

        from fer.video.crop import crop_face

        return cv2.imencode(".png", crop_face(bgr, face, self.margin, self.align)[..., ::-1])[1].tobytes()
