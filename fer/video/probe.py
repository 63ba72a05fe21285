"""Probing of a video file: what it declares, or why it cannot be read, before anything is decoded in earnest."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from fer.core.image_decoding import (
    HEAD_BYTES,
    IMAGE_SUFFIXES,
    MAX_PIXELS,
    TOO_LARGE,
    is_animated_webp_head,
    is_image_content,
    is_moving_image,
    read_image_header,
)
from fer.core.jpeg import is_jpeg_stream
from fer.errors import DataError
from fer.video.animated_webp import read_webp
from fer.video.decoder import OpenStream, decode_stream
from fer.video.refusals import NO_IMAGE, VideoError, explain_error, read_beginning
from fer.video.streams import (
    PixelAspect,
    TimestampReader,
    compute_time,
    get_clock_start,
    open_container,
    select_video_stream,
    set_decoder_threads,
)
from fer.video.upright import compute_shown_size, read_orientation

NO_FRAME = "no frame of this video can be decoded: it is damaged or was broken off early"
# What declares fewer frames is decoded as a whole: little could be left out.
LONG_FRAMES = 500
# Packets without a time that are looked at for one, and how far FFmpeg's codecs reorder frames.
MAX_UNSTAMPED, REORDERED_FRAMES = 1000, 16
# No picture of Motion JPEG is longer.
MAX_JPEG_BYTES = 16 << 20


@dataclass(frozen=True)
class VideoInfo:
    """What a file declares about its frames; an image is a video of one frame.

    Attributes:
        path: The file.
        width: Square pixels of the upright frame, as players show it.
        height: Square pixels of the upright frame.
        fps: Average rate, frames a second.
        frames: Their number, which some containers state and which is estimated from rate and duration in others; 0
            where it is not known.
        duration_s: Duration, seconds.
        rotation: Degrees (clockwise: 0, 90, 180 or 270) by which the stored frames are turned to be upright, after
            left and right were changed where the file asks for a mirror.
        codec: Name of the codec, or of the image's format.
        start_s: Time of the first frame on the clock that a player shows, which begins with the earliest of the file's
            streams; seconds. Negative where it lies before that clock, so that no player shows it.
    """

    path: Path
    width: int
    height: int
    fps: float
    frames: int
    duration_s: float
    rotation: int
    codec: str
    start_s: float


class ImageInfo(VideoInfo):
    """What a still image declares."""


@dataclass(frozen=True)
class OpenVideo:
    """A video that was looked into and may be read.

    Attributes:
        info: What it declares.
        threads: Threads of its decoder; None leaves them to FFmpeg.
        opened: Its stream where it is still open: of a short video, for which opening it anew would take long.
    """

    info: VideoInfo
    threads: int | None
    opened: OpenStream | None = None


def open_video(path: Path) -> VideoInfo:
    """Look into a video or an image.

    Args:
        path: The file.

    Returns:
        What it declares, as an ``ImageInfo`` of a still image.

    Raises:
        VideoError: No frame will come out of it.

    Examples:
        >>> open_video(Path("clip.mp4")).duration_s
        20.0
    """
    with open_for_reading(path, longest=0) as video:
        return video.info


@contextmanager
def open_for_reading(
    path: Path, choose_threads: Callable[[int], int | None] = lambda _: None, longest: int = LONG_FRAMES
) -> Iterator[OpenVideo]:
    """Look into a video or an image, which is read by ``fer.video.reader.iter_frames`` as long as the block lasts.

    Args:
        path: The file.
        choose_threads: Threads of the decoder by the pixels of a frame; None leaves them to FFmpeg.
        longest: A video that declares no fewer frames, or no number of them, is not left open.

    Raises:
        VideoError: No frame will come out of it.
    """
    if is_animated_webp_head(read_beginning(path)[:HEAD_BYTES]):
        yield OpenVideo(_open_animated_webp(path), None)
        return
    if is_image(path):
        yield OpenVideo(_open_image(path), None)
        return
    with ExitStack() as stack:
        try:
            container = stack.enter_context(open_container(path))
            video = _look_into(path, container, choose_threads, longest)
        except av.FFmpegError as error:
            raise VideoError(path, explain_error(path, error)) from None
        if video.opened is None:
            stack.close()
        yield video


def is_image(path: Path) -> bool:
    """Whether the content is a still image; an animated GIF, PNG, WebP or AVIF is a video, and so is Motion JPEG."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        if not is_image_content(head):
            return False
        # A file named as a picture may hold a second one, but is no recording.
        if head.startswith(b"\xff\xd8") and path.suffix.lower() not in IMAGE_SUFFIXES:
            return not is_jpeg_stream(head + file.read(MAX_JPEG_BYTES))
        file.seek(0)
        try:
            return not is_moving_image(file)
        except DataError:
            return True


def _open_animated_webp(path: Path) -> VideoInfo:
    animation = read_webp(path)
    count, duration_s = len(animation.starts), animation.end_s
    if not count:
        raise VideoError(path, NO_FRAME)
    if animation.width * animation.height > MAX_PIXELS:
        raise VideoError(path, TOO_LARGE)
    fps = count / duration_s
    return VideoInfo(path, animation.width, animation.height, fps, count, duration_s, 0, "webp", 0.0)


def _open_image(path: Path) -> ImageInfo:
    try:
        with path.open("rb") as file:
            header = read_image_header(file)
    except DataError as error:
        raise VideoError(path, str(error)) from None
    return ImageInfo(path, header.width, header.height, 0.0, 1, 0.0, 0, header.format.lower(), 0.0)


def _look_into(
    path: Path, container: InputContainer, choose_threads: Callable[[int], int | None], longest: int
) -> OpenVideo:
    """Facts about the stream that a player chooses, and the stream itself where it is short."""
    stream = select_video_stream(container)
    if stream is None:
        what = "sound but no video" if container.streams.audio else "no video"
        raise VideoError(path, f"there is {what} in this file")
    fps = float(stream.average_rate or stream.guessed_rate or 0)
    duration_s, is_video_duration = _read_declared_duration(container, stream)
    count = stream.frames or (round(duration_s * fps) if is_video_duration else 0)
    threads = choose_threads(
        round(stream.codec_context.width * PixelAspect(stream).read()) * stream.codec_context.height
    )
    if is_short := 0 < count < longest:
        # What is decoded here is not decoded again.
        set_decoder_threads(stream, threads)
    frames = decode_stream(container, stream)
    first = next(frames, None)
    if first is None:
        # FFmpeg takes any file of such a name for a picture.
        raise VideoError(path, NO_IMAGE if path.suffix.lower() in IMAGE_SUFFIXES else NO_FRAME)
    width, height = compute_shown_size(first.frame, first.aspect)
    if max(first.frame.width * first.frame.height, width * height) > MAX_PIXELS:
        raise VideoError(path, TOO_LARGE)
    info = VideoInfo(
        path=path,
        width=width,
        height=height,
        fps=fps,
        frames=count,
        duration_s=duration_s,
        rotation=read_orientation(first.frame).rotation,
        codec=stream.codec_context.name,
        start_s=_read_start(path, container, stream, first.frame, 1 / (fps or 25.0)),
    )
    return OpenVideo(info, threads, OpenStream(container, stream, chain([first], frames)) if is_short else None)


def _read_start(path: Path, container: InputContainer, stream: VideoStream, frame: VideoFrame, step_s: float) -> float:
    """Time of the first frame on a player's clock; counted back from later ones where it has none itself."""
    stamp, unstamped = TimestampReader(container).read(frame), 0
    if stamp is None:
        stamp, unstamped = _find_first_timestamp(path, stream.index)
    if stamp is None or stream.time_base is None:
        return 0.0
    return round(compute_time(stamp, stream.time_base, get_clock_start(container)) - unstamped * step_s, 6)


def _find_first_timestamp(path: Path, index: int) -> tuple[int | None, int]:
    """(first timestamp of a stream, how many frames lie before it): Matroska's have none before time 0."""
    stamps: list[int] = []
    unstamped = 0
    with open_container(path) as container:
        for packet in islice(container.demux(container.streams[index]), MAX_UNSTAMPED):
            if packet.pts is not None:
                stamps.append(packet.pts)
            elif packet.size:
                unstamped += 1
            # Packets are not stored in the order in which they are shown.
            if len(stamps) == REORDERED_FRAMES:
                break
    return min(stamps, default=None), unstamped


def _read_declared_duration(container: InputContainer, stream: VideoStream) -> tuple[float, bool]:
    """(seconds, whether they are the video's own and not those of the sound beside it); 0 where the file is silent."""
    if container.format.name == "avi" and stream.average_rate:
        # FFmpeg corrects the duration of an AVI by the size of the file; the number of frames stays as declared.
        return float(stream.frames / stream.average_rate), True
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base), True
    # Matroska keeps it as text, `00:01:02.500000000`.
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if match:
        hours, minutes, seconds = match.groups()
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds), True
    return (container.duration or 0) / av.time_base, not container.streams.audio
