"""The stage extract of infer.py: from videos to rows and face crops."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fer.config import Extraction
from fer.core.io import atomic_write, compute_sha256
from fer.core.prefetch import map_in_threads, prefetch, take_together
from fer.core.run_layout import CROPS_DIR
from fer.infer.chunk_store import ChunkStore
from fer.infer.context import list_track_ids, read_context, set_track_ids
from fer.infer.sampled_frames import open_sampled_frames
from fer.infer.shares import list_numbers
from fer.infer.video_stores import BatchedImage, open_video_stores
from fer.runs.detector_choice import build_detector
from fer.video.crop import crop_face
from fer.video.detectors import DETECTORS, Detector, Face
from fer.video.media import Media
from fer.video.quality import FaceQuality, QualityThresholds, find_rejection_reason, measure_quality
from fer.video.reader import Frame, ImageInfo, VideoError

# Sampled frames of one chunk, and images of a batch: what a kill loses at most, and what stays in memory at a time.
CHUNK_FRAMES = 128
# Frames that wait to be classified: a batch of faces or two.
PREFETCH_FRAMES = 32
# Frames whose faces are found one after the other, before their crops are cut: that takes a twentieth less of all.
DETECTED_FRAMES, DETECTED_BYTES = 8, 8_000_000
CROPS, FRAMES = CROPS_DIR, "frames"
# Values of `extraction.save` with which crops are kept.
KEEPING_CROPS = ("crops", "dataset")


@dataclass(frozen=True)
class SampledFrame:
    """A sampled frame of the video ``name``, number ``video`` of the run, that belongs to the chunk of this index.

    One that is finished and only looked at again as context has the track ids of its usable faces, and no chunk (-1).
    An image has a batch instead of a chunk: the number of the first image of it.
    """

    video: int
    name: str
    chunk_index: int
    frame: Frame
    track_ids: Sequence[int] | None = None
    batch: int | None = None


@dataclass(frozen=True)
class FrameFaces:
    """Sampled frames of one chunk: one as it is extracted, or all of a chunk that was extracted earlier.

    Attributes:
        video: Number of the video in the run.
        chunk_index: Number of the chunk in the video.
        rows: A row each face, or one that says why a frame has none.
        crops: (side, side, 3) uint8 RGB of the rows that are ok.
        is_context: These frames are finished; windows of later ones reach back to them.
        batch: Number of the first image of the batch, where this is an image of one.
    """

    video: int
    chunk_index: int
    rows: list[dict[str, Any]]
    crops: list[np.ndarray]
    is_context: bool = False
    batch: int | None = None


@dataclass(frozen=True)
class VideoEnd:
    """One video was read to its end, or to the damage that ``record["problem"]`` names; of an image with its batch."""

    video: int
    record: dict[str, Any]
    batch: int | None = None


FetchMedia = Callable[[Media], AbstractContextManager[None]]


class FaceExtractor:
    """Finds the faces of sampled frames.

    Args:
        config: Section `extraction`, with a detector of ``pin_detector``.
        run_directory: The run, whose finished chunks are not done again.
        threads: Threads that detect.
        save_crops: Keep the crops as files whatever the configuration says.
        fetch_media: Has the file of a video on this machine for as long as it is read.
        context_s: Of a video that a killed run has begun, so many seconds before the first unfinished frame are looked
            at again, as context.
        batch_images: Have images written many at a time; otherwise each has a folder of its own, as a video has.
    """

    def __init__(
        self,
        config: Extraction,
        run_directory: Path,
        threads: int,
        save_crops: bool,
        fetch_media: FetchMedia,
        context_s: float = 0.0,
        batch_images: bool = True,
    ) -> None:
        self.config, self.context_s, self.batch_images = config, context_s, batch_images
        self.fetch_media = fetch_media
        self.run_directory = run_directory
        # A frame a thread scales better than all threads on one frame.
        cv2.setNumThreads(1)
        self.detectors = [build_detector(config) for _ in range(threads)]
        margin = getattr(config.detector, "margin", None)
        self.margin = self.detectors[0].margin if margin is None else margin
        self.align = getattr(config.detector, "align", False)
        self.thresholds = QualityThresholds(**config.quality.model_dump())
        self.save_crops = save_crops or config.save in KEEPING_CROPS

    def extract(self, media: Sequence[Media]) -> Iterator[FrameFaces | VideoEnd]:
        """Extract what is not done yet, video after video.

        Decoding, detection and all that follows run at the same time, each in its threads. On few cores detection and
        what follows share one: with more threads than cores they would take turns with the slowest stage.
        """
        frames: Iterator[SampledFrame | VideoEnd] = self.iter_sampled_frames(media)
        if len(self.detectors) > 1:
            found = self.detect_faces(prefetch(frames, 2))
        else:
            found = take_together(self.detect_faces(frames), _are_enough)
        blocks = prefetch(_group_images(self.to_rows(found)), PREFETCH_FRAMES)
        return chain.from_iterable(blocks)

    def iter_sampled_frames(self, media: Sequence[Media]) -> Iterator[SampledFrame | VideoEnd]:
        """The sampled frames behind the last one that each video's finished chunks hold."""
        batch, size = None, 0
        stores = open_video_stores(self.run_directory, list_numbers(self.config, len(media)))
        for number, store in stores.items():
            if isinstance(store, BatchedImage) or store.completion_record() is not None:
                continue
            if batch is None or size == CHUNK_FRAMES:
                batch, size = number, 0
            # What an earlier version has begun goes on in a folder of its own.
            is_batched = self.batch_images and media[number].kind == "image" and not store.has_rows()
            batch = yield from self._iter_unfinished_video(number, media[number], store, batch if is_batched else None)
            size += 1

    def _iter_unfinished_video(
        self, number: int, item: Media, store: ChunkStore, batch: int | None
    ) -> Generator[SampledFrame | VideoEnd, None, int | None]:
        """The frames that are not done yet, and the end. Returns the batch, None where this is no image after all."""
        chunk_count, last, problems = len(store.list_chunks()), -1, list[str]()
        if chunk_count:
            finished = store.read(["frame", "status", "reason"])
            last = int(finished["frame"].max())
            problems = finished.loc[finished["status"] == "decode_error", "reason"].tolist()
        record: dict[str, Any] = {
            "video": item.name,
            "path": item.remote or str(item.path),
            "problem": "".join(problems[-1:]),
            "detector": self.config.detector.kind,
        }
        try:
            with self.fetch_media(item):
                if self.config.save == "dataset":
                    record["sha256"] = _hash_file(item.path)
                context = list_track_ids(read_context(store, self.context_s)) if self.context_s else {}
                position = 0
                after = min(context, default=last + 1) - 1
                with open_sampled_frames(self.config, item.path, batch is not None, after) as (info, frames):
                    batch = batch if isinstance(info, ImageInfo) else None
                    record |= {key: value for key, value in vars(info).items() if key != "path"}
                    for frame in frames:
                        if frame.index <= last:
                            # The last item of a video that ends early was counted before it was cut off.
                            if frame.index in context:
                                yield SampledFrame(number, item.name, -1, frame, context[frame.index])
                            continue
                        record["problem"] = frame.problem or record["problem"]
                        chunk_index = chunk_count + position // CHUNK_FRAMES
                        yield SampledFrame(number, item.name, chunk_index, frame, batch=batch)
                        position += 1
        except VideoError as error:
            record["problem"] = error.reason
        yield VideoEnd(number, record, batch)
        return batch

    def detect_faces(
        self, items: Iterator[SampledFrame | VideoEnd]
    ) -> Iterator[tuple[SampledFrame | VideoEnd, list[Face]]]:
        """The items in their order, each frame with its faces, the largest first."""

        def detect(detector: Detector, item: SampledFrame | VideoEnd) -> tuple[SampledFrame | VideoEnd, list[Face]]:
            bgr = None if isinstance(item, VideoEnd) else item.frame.bgr
            return item, [] if bgr is None else detector.detect(bgr)

        return map_in_threads(items, [partial(detect, detector) for detector in self.detectors])

    def to_rows(self, items: Iterator[tuple[SampledFrame | VideoEnd, list[Face]]]) -> Iterator[FrameFaces | VideoEnd]:
        """The items in their order, each frame with its rows and crops."""
        for item, faces in items:
            if isinstance(item, VideoEnd):
                yield item
            else:
                pairs = list(self.build_rows(item, faces))
                rows, crops = [row for row, _ in pairs], [crop for _, crop in pairs if crop is not None]
                if item.track_ids is not None:
                    set_track_ids(rows, item.track_ids)
                yield FrameFaces(item.video, item.chunk_index, rows, crops, item.track_ids is not None, item.batch)

    def build_rows(
        self, sampled: SampledFrame, faces: list[Face]
    ) -> Iterator[tuple[dict[str, Any], np.ndarray | None]]:
        """A row for each face of a frame, with its crop where it is fit to be classified; one row where there is none.

        The images that the configuration keeps are written here.
        """
        frame = sampled.frame
        row: dict[str, Any] = {"video": sampled.name, "frame": frame.index, "time_s": frame.time_s, "reason": ""}
        if frame.bgr is None:
            yield {**row, "status": "decode_error", "reason": frame.problem}, None
            return
        # Covered ones are written later: that takes the frames around each.
        if self.config.save == "frames" and self.config.blur == "none":
            _write_image(self.run_directory / FRAMES / f"{sampled.video:05d}" / f"{frame.index:08d}.jpg", frame.bgr)
        row["faces"] = len(faces)
        if self.config.faces == "largest":
            faces = faces[:1]
        if not faces:
            yield {**row, "status": "no_face", "reason": "no face was found"}, None
        for index, face in enumerate(faces):
            crop = crop_face(frame.bgr, face, self.margin, self.align)
            quality = measure_quality(crop, face)
            reason = find_rejection_reason(quality, face.score, self.thresholds)
            if self.save_crops and not reason:
                _write_image(build_crop_path(self.run_directory, sampled.video, frame.index, index), crop[..., ::-1])
            yield {**row, **_build_face_columns(face, quality, reason)}, None if reason else crop


def _group_images(items: Iterable[FrameFaces | VideoEnd]) -> Iterator[list[FrameFaces | VideoEnd]]:
    """The items of some images at a time: from thread to thread each takes as long as it took to find its face."""
    group = list[FrameFaces | VideoEnd]()
    for item in items:
        group.append(item)
        if item.batch is None or len(group) == PREFETCH_FRAMES:
            yield group
            group = []
    if group:
        yield group


def count_detector_threads(config: Extraction, count: int) -> int:
    """Threads for detection, of ``count`` for all work."""
    return max(int(count * DETECTORS[config.detector.kind].core_fraction), 1)


def build_crop_path(run_directory: Path, video: int, frame: int, face_index: int) -> Path:
    """Where the crop of a frame's face (counted from the largest) is kept."""
    return run_directory / CROPS / f"{video:05d}" / f"{frame:08d}-{face_index}.png"


def _are_enough(found: Sequence[tuple[SampledFrame | VideoEnd, list[Face]]]) -> bool:
    """Whether so many frames are detected in a row, or so large ones, as may be."""
    frames = [item.frame.bgr for item, _ in found if isinstance(item, SampledFrame)]
    size = sum(bgr.nbytes for bgr in frames if bgr is not None)
    return len(found) >= DETECTED_FRAMES or size >= DETECTED_BYTES


def _build_face_columns(face: Face, quality: FaceQuality, reason: str) -> dict[str, Any]:
    return {
        "status": "low_quality" if reason else "ok",
        "reason": reason,
        "face_x": face.x,
        "face_y": face.y,
        "face_w": face.width,
        "face_h": face.height,
        "det_score": face.score,
        "sharpness": quality.sharpness,
        "brightness": quality.brightness,
        "yaw": quality.yaw,
        "pitch": quality.pitch,
        "roll": quality.roll,
    }


def _hash_file(path: Path) -> str:
    """SHA-256 of a file, "" of one that cannot be read: opening it says why."""
    try:
        return compute_sha256(path)
    except OSError:
        return ""


def _write_image(path: Path, bgr: np.ndarray) -> None:
    with atomic_write(path) as temporary:
        temporary.write_bytes(cv2.imencode(path.suffix, bgr)[1].tobytes())
