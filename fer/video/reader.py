"""The sampled frames of a video with their index and time in the source, decoded ahead of who needs them.

OpenCV decodes: a frame that is not sampled is only grabbed, which saves its conversion to colour.
"""

import math
import os
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import cv2
import numpy as np

from fer.core.image import to_bgr
from fer.core.image_decoding import decode_image
from fer.core.prefetch import prefetch
from fer.errors import DataError
from fer.video.probe import VideoError, VideoInfo, is_image, open_video

__all__ = ["Frame", "FrameSampler", "VideoError", "VideoInfo", "open_video", "iter_frames"]

# What may lie decoded and waiting: 8 frames of 3840×2160.
AHEAD_BYTES = 200_000_000
# Grabs that may fail one after another before a file counts as ended, beside one for each frame still to come: up to
# 40 s of damage at 25 frames a second. At the end every one costs 10 µs.
EXTRA_GRABS, MAX_FAILED_GRABS = 16, 1000
DAMAGED = "the frame is damaged and cannot be decoded"
# By default OpenCV gives up on a grab after 4,096 packets of sound, which is 90 s: a slide of a talk stands longer.
os.environ.setdefault("OPENCV_FFMPEG_READ_ATTEMPTS", str(1 << 20))


class FrameSampler(Protocol):
    """Which frames are taken. It is asked once about every frame, in order, and is used for one video."""

    def should_sample(self, index: int, time_s: float) -> bool:
        """Whether to take the frame of this index (from 0) and time (seconds)."""
        ...


@dataclass(frozen=True)
class Frame:
    """One sampled frame.

    Attributes:
        index: Number in the source, from 0.
        time_s: Presentation timestamp on the clock of a player, seconds; 0 is where the earliest stream of the file
            begins.
        bgr: (height, width, 3) uint8, upright; None where there is no image.
        problem: Why there is no image.
    """

    index: int
    time_s: float
    bgr: np.ndarray | None
    problem: str | None = None


def iter_frames(
    source: Path | VideoInfo, sampler: FrameSampler, ahead: int = 8, threads: int | None = None
) -> Iterator[Frame]:
    """Read the sampled frames of a video or image, in order.

    Args:
        source: The file, or what ``open_video`` said of it.
        sampler: Which frames to take.
        ahead: A thread decodes so many frames before they are asked for, fewer where they are large. Closing the
            iterator stops it within one frame.
        threads: Threads of the decoder; None leaves them to FFmpeg.

    Yields:
        The frames. Of a file that ends before its declared duration the last one has no image, and a ``problem`` that
        says so.

    Raises:
        VideoError: The file cannot be opened.

    Examples:
        >>> for frame in iter_frames(Path("clip.mp4"), IntervalSampler(1.0)):
        ...     print(frame.index, frame.time_s)
    """
    info = source if isinstance(source, VideoInfo) else open_video(source)
    stopped = threading.Event()
    depth = max(1, min(ahead, AHEAD_BYTES // (3 * info.width * info.height)))
    source_frames = (
        _read_image_frame(info, sampler)
        if is_image(info.path)
        else _decode_video_frames(info, sampler, stopped, threads)
    )
    frames = cast("Generator[Frame]", prefetch(source_frames, depth))
    try:
        # Not `yield from`: that would close `frames`, which waits for the thread, before the thread is told to stop.
        for frame in frames:  # noqa: UP028
            yield frame
    finally:
        stopped.set()
        frames.close()


def _read_image_frame(info: VideoInfo, sampler: FrameSampler) -> Iterator[Frame]:
    if sampler.should_sample(0, 0.0):
        try:
            yield Frame(0, 0.0, to_bgr(decode_image(info.path.read_bytes())))
        except DataError as error:
            yield Frame(0, 0.0, None, str(error))


def _decode_video_frames(
    info: VideoInfo, sampler: FrameSampler, stopped: threading.Event, threads: int | None
) -> Iterator[Frame]:
    options = [] if threads is None else [cv2.CAP_PROP_N_THREADS, threads]
    capture = cv2.VideoCapture(str(info.path.absolute()), cv2.CAP_FFMPEG, options)
    try:
        if not capture.isOpened():
            raise VideoError(info.path, f"OpenCV cannot open this video (codec {info.codec})")
        count, end_s = 0, 0.0
        for index, time_s, grabbed in _iter_grabs(capture, info):
            if stopped.is_set():
                return
            count, end_s = index + 1, time_s + 1 / (info.fps or math.inf)
            if sampler.should_sample(index, time_s):
                decoded, bgr = capture.retrieve() if grabbed else (False, None)
                yield Frame(index, time_s, bgr) if decoded else Frame(index, time_s, None, DAMAGED)
        if _is_truncated(info, count, end_s):
            problem = f"the file ends after {end_s:.1f} s, but declares {info.start_s + info.duration_s:.1f} s"
            yield Frame(count, round(end_s, 6), None, problem)
    finally:
        capture.release()


def _iter_grabs(capture: cv2.VideoCapture, info: VideoInfo) -> Iterator[tuple[int, float, bool]]:
    """(index, time in seconds, whether an image waits to be retrieved) of every frame in turn."""
    index, time_s, zero = 0, None, 0.0
    step = 1 / (info.fps or 25.0)
    while True:
        failed = 0
        while not capture.grab():
            failed += 1  # either a damaged packet or the end
            if failed > min(EXTRA_GRABS + max(0, info.frames - index), MAX_FAILED_GRABS):
                return
        clock = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if time_s is None:
            # Where OpenCV's clock starts depends on its version and on the signs of the start times.
            zero = clock - info.start_s
            before = info.start_s - (failed + 1) * step
        else:
            before = time_s
        now = round(clock - zero, 6)
        if time_s is not None and now <= time_s:
            now = round(time_s + step, 6)  # a stream without timestamps, such as bare H.264
        # A damaged packet does not always cost a frame: only as many are missing as there is time for.
        missing = max(0, min(failed, round((now - before) / step) - 1))
        for number in range(1, missing + 1):
            yield index, max(0.0, round(before + (now - before) * number / (missing + 1), 6)), False
            index += 1
        yield index, now, True
        index, time_s = index + 1, now


def _is_truncated(info: VideoInfo, count: int, end_s: float) -> bool:
    """Whether frames are missing at the end: fewer than declared both in number and in time.

    One of the two alone means nothing: a last frame may stand for seconds, and the number is often an estimate.
    """
    tolerance_s = max(0.5, 0.02 * info.duration_s)
    return count + 2 < info.frames and end_s + tolerance_s < info.start_s + info.duration_s
