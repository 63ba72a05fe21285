"""From a video file to the face of each of its clips: found, tracked, cropped, and kept at one size."""

import math
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from fer.core.image import to_native
from fer.data.clips.media import ClipSpan
from fer.video.crop import crop_face
from fer.video.detectors import Detector
from fer.video.reader import DAMAGED, VideoError, iter_frames, open_video
from fer.video.sampling import IntervalSampler
from fer.video.tracker import FaceTracker

NO_FACE = "no face was found"
# So far a label may reach beyond the end of its video: who sets it rounds.
_END_SLACK_S = 0.5


@dataclass(frozen=True)
class ClipOptions:
    """How faces of clips are extracted.

    Attributes:
        fps: Frames a second that are looked at.
        min_frames: Clips whose face is seen in fewer frames are left out.
        max_side: Largest width and height of the faces that are kept, pixels.
        max_missed: A person keeps the id over so many frames without the face.
        detector: What makes the boxes what they are: kind, options and weights of the detector.
        make_detector: Makes one for a thread.
        margin: Added to the box's side, as a fraction; None takes the detector's own.
        align: Turn the faces until the eyes are level.
        threads: Videos that are read at the same time.
    """

    fps: float
    min_frames: int
    max_side: int
    max_missed: int
    detector: str
    make_detector: Callable[[], Detector]
    margin: float | None
    align: bool
    threads: int

    @property
    def identity(self) -> str:
        """What decides which pixels come out, beside the data and their size."""
        shown = (self.fps, self.min_frames, self.max_missed, self.detector, self.margin, self.align)
        return "/".join(map(str, shown))


@dataclass(frozen=True)
class ClipFrames:
    """The frames of one clip.

    Attributes:
        times: (T,) seconds since the clip's beginning.
        frames: Gives the T frames, (side, side, 3) uint8 RGB, as often as it is called.
        problem: Why the clip cannot be read ("" if it can).
        unfit: Why it cannot be used although it can be read ("" if it can).
        people: How many faces are seen in as many frames as a clip needs.
    """

    times: np.ndarray
    frames: Callable[[], Iterator[np.ndarray]]
    problem: str = ""
    unfit: str = ""
    people: int = 1


def build_unusable_clip(problem: str = "", unfit: str = "") -> ClipFrames:
    """Build a clip without frames."""
    return ClipFrames(np.empty(0, np.float32), lambda: iter(()), problem, unfit, 0)


class _FrameFile:
    """Frames on their way to the store, in a file without a name: those of a long video would fill the memory."""

    def __init__(self, folder: Path, side: int) -> None:
        self.file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - open as long as its clips are
        self.shape = (side, side, 3)
        self.count = 0

    def append(self, frame: np.ndarray) -> int:
        """Add a frame; returns its number."""
        self.file.write(frame.tobytes())
        self.count += 1
        return self.count - 1

    def iter_frames(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        size = math.prod(self.shape)
        for number in numbers:
            self.file.seek(number * size)
            yield np.frombuffer(self.file.read(size), np.uint8).reshape(self.shape)


@dataclass
class _Track:
    times: list[float] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)


class _SpanSampler:
    """Frames ``fps`` times a second within the spans, and the first one behind all of them."""

    def __init__(self, fps: float, spans: Sequence[ClipSpan]) -> None:
        self.inner = IntervalSampler(fps)
        self.spans = spans
        self.end_s = max(math.inf if span.end_s is None else span.end_s for span in spans)
        self.last_s = -math.inf

    def should_sample(self, index: int, time_s: float) -> bool:
        self.last_s = max(self.last_s, time_s)
        is_due = self.inner.should_sample(index, time_s)
        return time_s >= self.end_s or (is_due and any(_holds(span, time_s) for span in self.spans))


def _holds(span: ClipSpan, time_s: float) -> bool:
    return span.start_s <= time_s < (math.inf if span.end_s is None else span.end_s)


def extract_clips(
    path: Path, spans: Sequence[ClipSpan], detector: Detector, options: ClipOptions, side: int, folder: Path
) -> list[ClipFrames]:
    """Extract the face of each clip of a video, which is read once.

    Of several people the one who is seen in most frames is taken.

    Args:
        path: The video.
        spans: Its clips.
        detector: Finds the faces.
        options: How.
        side: Width and height of the frames, pixels.
        folder: Where frames may lie until they are in the store.

    Returns:
        The clips, in the order of the spans.
    """
    kept = _FrameFile(folder, side)
    tracks: list[dict[int, _Track]] = [defaultdict(_Track) for _ in spans]
    trackers = [FaceTracker(options.max_missed) for _ in spans]
    looked_at = [0] * len(spans)
    sampler, broken = _SpanSampler(options.fps, spans), ""
    margin = detector.margin if options.margin is None else options.margin
    try:
        for frame in iter_frames(open_video(path), sampler):
            if frame.bgr is None:
                # A single frame that is damaged is one that is not there.
                broken = broken if frame.problem == DAMAGED else str(frame.problem)
                continue
            if frame.time_s >= sampler.end_s:
                break
            faces = detector.detect(frame.bgr)
            numbers = [
                kept.append(to_native(crop_face(frame.bgr, face, margin, options.align), side, True)) for face in faces
            ]
            for clip, span in enumerate(spans):
                if not _holds(span, frame.time_s):
                    continue
                looked_at[clip] += 1
                ids = trackers[clip].update(faces, frame.time_s)
                for person, number in zip(ids, numbers, strict=True):
                    tracks[clip][person].times.append(frame.time_s - span.start_s)
                    tracks[clip][person].numbers.append(number)
    except VideoError as error:
        return [build_unusable_clip(error.reason)] * len(spans)
    return [
        build_unusable_clip(problem)
        if (problem := _find_problem(span, looked_at[clip], sampler.last_s, broken))
        else _choose_track(list(tracks[clip].values()), kept, options.min_frames)
        for clip, span in enumerate(spans)
    ]


def _find_problem(span: ClipSpan, looked_at: int, last_s: float, broken: str) -> str:
    """Why a clip is not what its label says it is, "" if it is."""
    if broken and (span.end_s is None or span.end_s > last_s + _END_SLACK_S):
        return broken
    if span.end_s is not None and span.end_s > last_s + _END_SLACK_S:
        return f"the clip ends at {span.end_s:g} s, but its video at {max(last_s, 0):.2f} s"
    if not looked_at:
        end = "the end" if span.end_s is None else f"{span.end_s:g} s"
        return f"there is no frame from {span.start_s:g} s to {end}; the last one of the video is at {last_s:.2f} s"
    return ""


def _choose_track(tracks: Sequence[_Track], kept: _FrameFile, min_frames: int) -> ClipFrames:
    """The person who is seen in most frames, the first of several."""
    if not tracks:
        return build_unusable_clip(unfit=NO_FACE)
    chosen = max(tracks, key=lambda track: len(track.times))
    if len(chosen.times) < min_frames:
        return build_unusable_clip(unfit=f"its face is seen in fewer than dataset.clips.min_frames={min_frames} frames")
    people = sum(len(track.times) >= min_frames for track in tracks)
    return ClipFrames(np.array(chosen.times, np.float32), lambda: kept.iter_frames(chosen.numbers), people=people)
