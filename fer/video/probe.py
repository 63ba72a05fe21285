"""Probing of a video file: what it declares, or why it cannot be read, before anything is decoded in earnest."""

import os
import re
from dataclasses import dataclass
from itertools import islice
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
from fer.video.streams import (
    PixelAspect,
    TimestampReader,
    compute_time,
    get_clock_start,
    iter_packets,
    open_container,
    select_video_stream,
)
from fer.video.upright import compute_shown_size, read_orientation

NO_IMAGE = "this is no image, whatever its name says, or a damaged one; export it again as JPEG or PNG"
NO_FRAME = "no frame of this video can be decoded: it is damaged or was broken off early"
# Packets without a time that are looked at for one, and how far FFmpeg's codecs reorder frames.
MAX_UNSTAMPED, REORDERED_FRAMES = 1000, 16
# No picture of Motion JPEG is longer.
MAX_JPEG_BYTES = 16 << 20
# What is read of every file; most images of a face are smaller.
BEGINNING_BYTES = 1 << 16
# How playlists begin; FFmpeg draws any other text (tty).
PLAYLISTS = {b"#EXTM3U": "hls", b"ffconcat": "concat", b"v=0": "sdp", b"<": "dash"}
ARCHIVES = {b"PK\x03\x04": "ZIP", b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!": "RAR", b"\x1f\x8b": "gzip", b"BZh": "bzip2"}


class VideoError(DataError):
    """A video or image cannot be read.

    Attributes:
        reason: Why, without the path.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason


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
    start = read_beginning(path)
    if is_animated_webp_head(start[:HEAD_BYTES]):
        return _open_animated_webp(path)
    if is_image(path):
        return _open_image(path)
    try:
        with open_container(path) as container:
            return _build_video_info(path, container)
    except av.FFmpegError as error:
        raise VideoError(path, _explain_error(path, error)) from None


def read_beginning(path: Path) -> bytes:
    """The first bytes of a file. Raises VideoError for what cannot be read, and for what is certainly no video."""
    try:
        if not path.is_file():
            if path.is_dir():
                raise VideoError(path, "this is a directory")
            raise VideoError(path, "this is no regular file" if path.exists() else "there is no such file")
        with path.open("rb") as file:
            start = file.read(BEGINNING_BYTES)
    except PermissionError:
        raise VideoError(path, "there is no permission to read this file") from None
    except OSError as error:
        raise VideoError(path, f"this file cannot be read ({error.strerror})") from None
    if not start:
        raise VideoError(path, "this file is empty (0 bytes)")
    if not start.strip(b"\0"):
        raise VideoError(path, "this file begins with nothing but zeros: its copy was broken off")
    for signature, kind in ARCHIVES.items():
        if start.startswith(signature):
            raise VideoError(path, f"this is a {kind} archive, not a video: unpack it first")
    return start


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


def _build_video_info(path: Path, container: InputContainer) -> VideoInfo:
    """Facts about the stream that a player chooses."""
    stream = select_video_stream(container)
    if stream is None:
        what = "sound but no video" if container.streams.audio else "no video"
        raise VideoError(path, f"there is {what} in this file")
    aspect = PixelAspect(stream)
    frame = _decode_first_frame(container, stream)
    if frame is None:
        # FFmpeg takes any file of such a name for a picture.
        raise VideoError(path, NO_IMAGE if path.suffix.lower() in IMAGE_SUFFIXES else NO_FRAME)
    width, height = compute_shown_size(frame, aspect.read())
    if max(frame.width * frame.height, width * height) > MAX_PIXELS:
        raise VideoError(path, TOO_LARGE)
    fps = float(stream.average_rate or stream.guessed_rate or 0)
    duration_s, is_video_duration = _read_declared_duration(container, stream)
    return VideoInfo(
        path=path,
        width=width,
        height=height,
        fps=fps,
        frames=stream.frames or (round(duration_s * fps) if is_video_duration else 0),
        duration_s=duration_s,
        rotation=read_orientation(frame).rotation,
        codec=stream.codec_context.name,
        start_s=_read_start(path, container, stream, frame, 1 / (fps or 25.0)),
    )


def _decode_first_frame(container: InputContainer, stream: VideoStream) -> VideoFrame | None:
    """The first frame that can be decoded."""
    try:
        for packet in iter_packets(container, stream):
            try:
                frames = stream.decode(packet)
            except av.FFmpegError:
                continue  # a damaged packet; later ones may be whole
            if frames:
                return frames[0]
    except av.FFmpegError:
        return None
    return None


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


def _explain_error(path: Path, error: av.FFmpegError) -> str:
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return NO_IMAGE
    with path.open("rb") as file:
        start = file.read(1 << 12)
    if isinstance(error, av.ArgumentError) and b"\0" not in start:
        text = start.lstrip(b"\xef\xbb\xbf \r\n")
        kind = next((kind for mark, kind in PLAYLISTS.items() if text.startswith(mark)), "tty")
        return f"this is a text or a playlist ({kind}), not a video"
    if start[4:8] == b"ftyp":
        return "this MP4 or MOV has no index (moov): its recording or its copy was broken off"
    return f"this is no video, or it is damaged ({error.strerror or os.strerror(error.errno or 0)})"
