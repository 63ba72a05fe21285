"""The sampled frames of a video with their index and time in the source, decoded ahead of who needs them.

Of long videos no more is decoded than the sampled frames need; a frame that is not sampled is not converted to colour.
"""

import math
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import av
import numpy as np

from fer.core.image import to_bgr
from fer.core.image_decoding import decode_image
from fer.core.prefetch import prefetch
from fer.errors import DataError
from fer.video.animated_webp import decode_webp, is_animated_webp, read_webp
from fer.video.decoder import DecodedFrame, OpenStream, decode_stream, iter_timed_frames
from fer.video.keyframes import UnplannedError
from fer.video.probe import (
    LONG_FRAMES,
    ImageInfo,
    OpenVideo,
    VideoError,
    VideoInfo,
    open_for_reading,
    open_video,
)
from fer.video.sparse import iter_sparse_frames
from fer.video.streams import open_container, select_video_stream, set_decoder_threads
from fer.video.upright import FrameConverter

__all__ = [
    "Frame",
    "FrameSampler",
    "ImageInfo",
    "OpenVideo",
    "VideoError",
    "VideoInfo",
    "iter_frames",
    "open_for_reading",
    "open_video",
]

# What may lie decoded and waiting: 8 frames of 3840×2160.
AHEAD_BYTES = 200_000_000
DAMAGED = "the frame is damaged and cannot be decoded"


class FrameSampler(Protocol):
    """Which frames are taken. It is asked once about every frame, in order, and is used for one video.

    A copy (``copy.deepcopy``) of one that was not asked yet may be asked ahead, and must answer the same.
    """

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
    source: Path | VideoInfo | OpenVideo,
    sampler: FrameSampler,
    ahead: int = 8,
    threads: int | None = None,
    after: int = -1,
) -> Iterator[Frame]:
    """Read the sampled frames of a video or image, in order.

    Args:
        source: The file, what ``open_video`` said of it, or what ``open_for_reading`` has opened, which is read once.
        sampler: Which frames to take.
        ahead: A thread decodes so many frames before they are asked for, fewer where they are large. Closing the
            iterator stops it within one frame.
        threads: Threads of the decoder; None leaves them to FFmpeg. What is open already has its own.
        after: Sampled frames up to this index are known already: decoded as ever, so that no damage is counted in
            another way, but neither converted nor yielded.

    Yields:
        The frames. Of a file that ends before its declared duration the last one has no image, and a ``problem`` that
        says so.

    Raises:
        VideoError: The file cannot be opened.

    Examples:
        >>> for frame in iter_frames(Path("clip.mp4"), IntervalSampler(1.0)):
        ...     print(frame.index, frame.time_s)
    """
    if isinstance(source, OpenVideo):
        yield from _iter_frames(source, sampler, ahead, after)
    elif isinstance(source, VideoInfo):
        yield from _iter_frames(OpenVideo(source, threads), sampler, ahead, after)
    else:
        with open_for_reading(source, lambda _: threads, LONG_FRAMES) as video:
            yield from _iter_frames(video, sampler, ahead, after)


def _iter_frames(video: OpenVideo, sampler: FrameSampler, ahead: int, after: int) -> Iterator[Frame]:
    info = video.info
    if isinstance(info, ImageInfo):
        # One frame needs no thread of its own.
        yield from _read_image_frame(info, sampler, after)
        return
    stopped = threading.Event()
    depth = max(1, min(ahead, AHEAD_BYTES // (3 * info.width * info.height)))
    if is_animated_webp(info.path):
        source_frames = _read_webp_frames(info, sampler, stopped, after)
    else:
        source_frames = _decode_video_frames(video, sampler, stopped, after)
    frames = cast("Generator[Frame]", prefetch(source_frames, depth))
    try:
        # Not `yield from`: that would close `frames`, which waits for the thread, before the thread is told to stop.
        for frame in frames:  # noqa: UP028
            yield frame
    finally:
        stopped.set()
        frames.close()


def _read_image_frame(info: VideoInfo, sampler: FrameSampler, after: int) -> Iterator[Frame]:
    if sampler.should_sample(0, 0.0) and after < 0:
        try:
            yield Frame(0, 0.0, to_bgr(decode_image(info.path.read_bytes())))
        except DataError as error:
            yield Frame(0, 0.0, None, str(error))


def _read_webp_frames(info: VideoInfo, sampler: FrameSampler, stopped: threading.Event, after: int) -> Iterator[Frame]:
    animation = read_webp(info.path)
    for index, (time_s, bgr) in enumerate(zip(animation.starts, decode_webp(animation), strict=True)):
        if stopped.is_set():
            return
        if sampler.should_sample(index, time_s) and index > after:
            yield Frame(index, time_s, bgr, DAMAGED if bgr is None else None)
    if animation.is_cut:
        problem = f"the file ends after {animation.end_s:.1f} s: the rest of it is missing"
        yield Frame(len(animation.starts), animation.end_s, None, problem)


def _decode_video_frames(
    video: OpenVideo, sampler: FrameSampler, stopped: threading.Event, after: int
) -> Iterator[Frame]:
    info, converter, count, end_s = video.info, FrameConverter(video.threads or 0), 0, 0.0
    for index, time_s, decoded, is_sampled in _iter_decoded_frames(video, sampler, stopped):
        if stopped.is_set():
            return
        count, end_s = index + 1, time_s + 1 / (info.fps or math.inf)
        if is_sampled and index > after:
            bgr = None if decoded is None else decoded.convert(converter)
            yield Frame(index, time_s, bgr, DAMAGED if bgr is None else None)
    if not stopped.is_set() and _is_truncated(info, count, end_s):
        problem = f"the file ends after {end_s:.1f} s, but declares {info.start_s + info.duration_s:.1f} s"
        yield Frame(count, round(end_s, 6), None, problem)


def _iter_decoded_frames(
    video: OpenVideo, sampler: FrameSampler, stopped: threading.Event
) -> Iterator[tuple[int, float, DecodedFrame | None, bool]]:
    """Index, time, the frame (None for one lost to damage), and whether it is sampled; what is left out is not."""
    info, last_s = video.info, -math.inf
    if not 0 < info.frames < LONG_FRAMES:
        with _open_stream(video) as opened, suppress(UnplannedError):
            for item in iter_sparse_frames(opened.container, opened.stream, sampler, stopped):
                yield item
                last_s = item[1]
            return
    with nullcontext(video.opened) if video.opened else _open_stream(video) as opened:
        for index, time_s, decoded in iter_timed_frames(opened, info.start_s, 1 / (info.fps or 25.0)):
            # Anew, by time: damage in what was left out may have cost frames. No player shows what lies before time 0.
            is_sampled = last_s < time_s >= 0 and sampler.should_sample(index, time_s)
            yield index, time_s, decoded, is_sampled


@contextmanager
def _open_stream(video: OpenVideo) -> Iterator[OpenStream]:
    path = video.info.path
    try:
        container = open_container(path)
    except av.FFmpegError as error:
        raise VideoError(path, f"this video cannot be opened ({error.strerror})") from None
    with container:
        stream = select_video_stream(container)
        if stream is None:
            raise VideoError(path, "there is no video in this file any more")
        set_decoder_threads(stream, video.threads)
        yield OpenStream(container, stream, decode_stream(container, stream))


def _is_truncated(info: VideoInfo, count: int, end_s: float) -> bool:
    """Whether frames are missing at the end: fewer than declared both in number and in time.

    One of the two alone means nothing: a last frame may stand for seconds, and the number is often an estimate.
    """
    tolerance_s = max(0.5, 0.02 * info.duration_s)
    return count + 2 < info.frames and end_s + tolerance_s < info.start_s + info.duration_s
