"""From videos to rows and face crops: the first stage of infer.py."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fer.config import Extraction
from fer.core.io import written_beside
from fer.core.prefetch import ahead, mapped
from fer.infer.chunk_store import Parts
from fer.video.crop import crop_face
from fer.video.detectors import Detector, Face, find_weights, make_detector
from fer.video.media import Media
from fer.video.quality import Thresholds, measure, verdict
from fer.video.reader import Frame, Sampling, VideoError, VideoInfo, open_video, sampled_frames
from fer.video.sampling import All, EveryN, Interval

# Sampled frames of one piece: what a kill loses at most, and what stays in memory at a time.
PIECE_FRAMES = 128
# Seen frames that wait to be judged: a batch of faces or two.
WAITING_FRAMES = 32
SMALL_FRAME = 640 * 480  # pixels
CROPS, FRAMES = "crops", "frames"


@dataclass(frozen=True)
class Taken:
    """A sampled frame of a video, for the ``piece`` of that number."""

    video: int
    name: str
    piece: int
    frame: Frame


@dataclass(frozen=True)
class Seen:
    """A sampled frame: a row each face, or one that says why there is none, and the crops of the rows that are ok."""

    video: int
    piece: int
    rows: list[dict[str, Any]]
    crops: list[np.ndarray]


@dataclass(frozen=True)
class Ended:
    """One video was read to its end, or to the damage that ``facts["problem"]`` names."""

    video: int
    facts: dict[str, Any]


Present = Callable[[Media], AbstractContextManager[None]]


class VideoFaces:
    """Finds the faces of sampled frames as one configuration has it, in so many ``threads``."""

    def __init__(
        self, config: Extraction, run_directory: Path, threads: int, save_crops: bool, present: Present
    ) -> None:
        """``save_crops`` keeps the faces, ``present`` has the file of a video at hand for as long as it is read."""
        self.config = config
        self.present = present
        self.run_directory = run_directory
        # A frame a thread scales better than all threads on one frame.
        cv2.setNumThreads(1)
        self.detectors = [detector_of(config) for _ in range(threads)]
        margin = getattr(config.detector, "margin", None)
        self.margin = self.detectors[0].margin if margin is None else margin
        self.align = getattr(config.detector, "align", False)
        self.thresholds = Thresholds(**config.quality.model_dump())
        self.save_crops = save_crops or config.save == "crops"

    def seen(self, media: Sequence[Media]) -> Iterator[Seen | Ended]:
        """What is not done yet, video after video. Decoding, detection and all that follows run at the same time."""
        return ahead(self.in_rows(self.detected(ahead(self.taken(media), 2))), WAITING_FRAMES)

    def taken(self, media: Sequence[Media]) -> Iterator[Taken | Ended]:
        """The sampled frames behind the last one that each video's finished pieces hold."""
        for number, item in enumerate(media):
            parts = Parts.of(self.run_directory, number)
            if parts.ended() is not None:
                continue
            done, pieces = parts.read(["frame", "status", "reason"]), len(parts.files())
            last = -1 if done.empty else int(done["frame"].max())
            broken = [] if done.empty else list(done[done["status"] == "decode_error"]["reason"])
            facts: dict[str, Any] = {
                "video": item.name,
                "path": item.remote or str(item.path),
                "problem": "".join(broken[-1:]),
            }
            try:
                with self.present(item):
                    info = open_video(item.path)
                    facts |= {key: value for key, value in vars(info).items() if key != "path"}
                    for place, frame in enumerate(self.sampled(info, last)):
                        # The last item of a video that ends early was counted before it was cut off.
                        if frame.index <= last:
                            continue
                        facts["problem"] = frame.problem or facts["problem"]
                        yield Taken(number, item.name, pieces + place // PIECE_FRAMES, frame)
            except VideoError as error:
                facts["problem"] = error.reason
            yield Ended(number, facts)

    def sampled(self, info: VideoInfo, last: int = -1) -> Iterator[Frame]:
        """The wanted frames of a video behind the frame ``last``, decoded ahead."""
        # Small frames decode faster than their faces are found, and each thread more would cost the detector time.
        small = info.width * info.height <= SMALL_FRAME
        wanted = Later(sampling_of(self.config, info), last)
        return sampled_frames(info, wanted, threads=1 if small else None)

    def detected(self, items: Iterator[Taken | Ended]) -> Iterator[tuple[Taken | Ended, list[Face]]]:
        """The items, each frame with its faces, the largest first."""

        def finder(detector: Detector) -> Callable[[Taken | Ended], tuple[Taken | Ended, list[Face]]]:
            def find(item: Taken | Ended) -> tuple[Taken | Ended, list[Face]]:
                bgr = None if isinstance(item, Ended) else item.frame.bgr
                return item, [] if bgr is None else detector.detect(bgr)

            return find

        return mapped(items, [finder(detector) for detector in self.detectors])

    def in_rows(self, found: Iterator[tuple[Taken | Ended, list[Face]]]) -> Iterator[Seen | Ended]:
        for item, faces in found:
            if isinstance(item, Ended):
                yield item
            else:
                rows = list(self.rows_of(item, faces))
                crops = [crop for _, crop in rows if crop is not None]
                yield Seen(item.video, item.piece, [row for row, _ in rows], crops)

    def rows_of(self, taken: Taken, faces: list[Face]) -> Iterator[tuple[dict[str, Any], np.ndarray | None]]:
        """A row for each face of a frame, with its crop where it is fit to be judged; one row where there is none."""
        frame = taken.frame
        row: dict[str, Any] = {"video": taken.name, "frame": frame.index, "time_s": frame.time_s, "reason": ""}
        if frame.bgr is None:
            yield {**row, "status": "decode_error", "reason": frame.problem}, None
            return
        if self.config.save == "frames":
            write_picture(self.run_directory / FRAMES / f"{taken.video:05d}" / f"{frame.index:08d}.jpg", frame.bgr)
        if self.config.faces == "largest":
            faces = faces[:1]
        if not faces:
            yield {**row, "status": "no_face", "reason": "no face was found"}, None
        for place, face in enumerate(faces):
            crop = crop_face(frame.bgr, face, self.margin, self.align)
            quality = measure(crop, face)
            reason = verdict(quality, face.score, self.thresholds)
            if self.save_crops and not reason:
                write_picture(crop_path(self.run_directory, taken.video, frame.index, place), crop[..., ::-1])
            yield (
                {
                    **row,
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
            from fer.video.sampling import Scene

            return Scene(source)
        case _:
            return All()


def crop_path(run_directory: Path, video: int, frame: int, place: int) -> Path:
    """Where the crop of a frame's face (counted from the largest) is kept."""
    return run_directory / CROPS / f"{video:05d}" / f"{frame:08d}-{place}.png"


def write_picture(path: Path, bgr: np.ndarray) -> None:
    with written_beside(path) as beside:
        beside.write_bytes(cv2.imencode(path.suffix, bgr)[1].tobytes())
