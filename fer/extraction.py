"""From videos to rows and face crops: the first stage of infer.py."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from fer.config import Extraction
from fer.files import written_beside
from fer.parts import Parts
from fer.video.crop import crop_face
from fer.video.decode import Frame, Sampling, VideoError, VideoInfo, open_video, sampled_frames
from fer.video.detect import Detector, Face, make_detector
from fer.video.media import Media
from fer.video.quality import Thresholds, measure, verdict
from fer.video.sampling import All, EveryN, Interval
from fer.video.track import FaceTracker
from fer.video.yunet import find_weights

# Sampled frames of one piece: what a kill loses at most, and what stays in memory at a time.
PIECE_FRAMES = 128
ROW_COLUMNS = (
    *("video", "frame", "time_s", "track_id", "status", "reason", "face_x", "face_y", "face_w", "face_h"),
    *("det_score", "sharpness", "brightness"),
)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Piece:
    """Some sampled frames of one video: a row each face or faceless frame, and the crops of the rows that are ok."""

    video: int
    number: int
    rows: pd.DataFrame
    crops: list[np.ndarray]


@dataclass(frozen=True)
class Ended:
    """One video was read to its end, or to the damage that ``facts["problem"]`` names."""

    video: int
    facts: dict[str, Any]


class VideoFaces:
    """Finds the faces of sampled frames as one configuration has it."""

    def __init__(self, config: Extraction, run_directory: Path) -> None:
        self.config = config
        self.run_directory = run_directory
        self.detector = detector_of(config)
        margin = getattr(config.detector, "margin", None)
        self.margin = self.detector.margin if margin is None else margin
        self.align = getattr(config.detector, "align", False)
        self.thresholds = Thresholds(**config.quality.model_dump())
        # Crops are what prediction goes on with where it is not done at once.
        self.save_crops = config.save == "crops" or "predict" not in config.stages

    def pieces(self, media: Sequence[Media]) -> Iterator[Piece | Ended]:
        """What is not done yet, video after video."""
        for number, item in enumerate(media):
            if Parts.of(self.run_directory, number).ended() is None:
                yield from self.pieces_of(number, item)

    def pieces_of(self, number: int, item: Media) -> Iterator[Piece | Ended]:
        """One video, from behind the last frame that its finished pieces hold."""
        parts = Parts.of(self.run_directory, number)
        done, piece = parts.read(), len(parts.files())
        tracker = FaceTracker(self.config.max_missed)
        last = followed(tracker, done)
        broken = [] if done.empty else list(done[done["status"] == "decode_error"]["reason"])
        facts: dict[str, Any] = {"video": item.name, "path": str(item.path), "problem": "".join(broken[-1:])}
        try:
            info = open_video(item.path)
            facts |= {key: value for key, value in vars(info).items() if key != "path"}
            rows: list[dict[str, Any]] = []
            crops: list[np.ndarray] = []
            frames = 0
            for frame in sampled_frames(info, Later(sampling_of(self.config, info), last)):
                if frame.index <= last:
                    continue
                if frame.problem:
                    facts["problem"] = frame.problem
                found = list(self.rows_of(number, item.name, frame, tracker))
                rows += [row for row, _ in found]
                crops += [crop for _, crop in found if crop is not None]
                frames += 1
                if frames == PIECE_FRAMES:
                    yield Piece(number, piece, table(rows), crops)
                    rows, crops, frames, piece = [], [], 0, piece + 1
            if rows:
                yield Piece(number, piece, table(rows), crops)
        except VideoError as error:
            facts["problem"] = error.reason
        yield Ended(number, facts)

    def rows_of(
        self, number: int, name: str, frame: Frame, tracker: FaceTracker
    ) -> Iterator[tuple[dict[str, Any], np.ndarray | None]]:
        """A row for each face of a frame, with its crop where it is fit to be judged; one row where there is none."""
        row: dict[str, Any] = {"video": name, "frame": frame.index, "time_s": frame.time_s, "reason": ""}
        if frame.bgr is None:
            yield {**row, "status": "decode_error", "reason": frame.problem}, None
            return
        if self.config.save == "frames":
            write_picture(self.run_directory / "frames" / f"{number:05d}" / f"{frame.index:08d}.jpg", frame.bgr)
        faces = self.detector.detect(frame.bgr)
        if self.config.faces == "largest":
            faces = faces[:1]
        ids = tracker.update(faces)
        if not faces:
            yield {**row, "status": "no_face", "reason": "no face was found"}, None
        for place, (face, track_id) in enumerate(zip(faces, ids, strict=True)):
            crop = crop_face(frame.bgr, face, self.margin, self.align)
            quality = measure(crop, face)
            reason = verdict(quality, face.score, self.thresholds)
            if self.save_crops and not reason:
                write_picture(crop_path(self.run_directory, number, frame.index, place), crop[..., ::-1])
            yield (
                {
                    **row,
                    "track_id": track_id,
                    "status": "low_quality" if reason else "ok",
                    "reason": reason,
                    "face_x": face.x,
                    "face_y": face.y,
                    "face_w": face.width,
                    "face_h": face.height,
                    "det_score": face.score,
                    "sharpness": quality.sharpness,
                    "brightness": quality.brightness,
                },
                None if reason else crop,
            )


@dataclass(frozen=True)
class Later:
    """The frames that ``sampling`` wants behind the frame ``last``; the others are only counted."""

    sampling: Sampling
    last: int

    def wanted(self, index: int, time_s: float) -> bool:
        # The inner sampling must see every frame: what it wants depends on those before.
        return self.sampling.wanted(index, time_s) and index > self.last


def followed(tracker: FaceTracker, done: pd.DataFrame) -> int:
    """Lead a tracker through the frames of finished pieces; the last frame's index, -1 where there are none."""
    if done.empty:
        return -1
    for _, rows in done[done["status"] != "decode_error"].groupby("frame", sort=True):
        boxes = rows[rows["status"] != "no_face"][["face_x", "face_y", "face_w", "face_h", "det_score"]]
        tracker.update([Face(x, y, width, height, score) for x, y, width, height, score in boxes.to_numpy(float)])
    return int(done["frame"].max())


def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows with the columns and types that every piece has."""
    frame = pd.DataFrame(rows, columns=list(ROW_COLUMNS))
    numbers = ROW_COLUMNS[6:]
    return frame.astype({"track_id": "Int64", "frame": "int64", **dict.fromkeys(numbers, "float64")})


def detector_of(config: Extraction) -> Detector:
    """The detector, its weights at hand. Raises UserError."""
    chosen = config.detector.model_dump(exclude={"margin", "align"})
    if config.detector.kind == "yunet":
        chosen["weights"] = find_weights(config.detector.weights, Path(config.cache_dir))
    return make_detector(**chosen)


def sampling_of(config: Extraction, source: Path | VideoInfo) -> Sampling:
    """Which frames of a video are wanted."""
    match config.sampling:
        case "interval":
            return Interval(config.fps)
        case "every_n":
            return EveryN(config.every_n)
        case "scene":
            # PySceneDetect is slow to start.
            from fer.video.scenes import Scene

            return Scene(source)
        case _:
            return All()


def crop_path(run_directory: Path, video: int, frame: int, place: int) -> Path:
    """Where the crop of a frame's face (counted from the largest) is kept."""
    return run_directory / "crops" / f"{video:05d}" / f"{frame:08d}-{place}.png"


def write_picture(path: Path, bgr: np.ndarray) -> None:
    with written_beside(path) as beside:
        beside.write_bytes(cv2.imencode(path.suffix, bgr)[1].tobytes())
