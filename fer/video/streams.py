"""The video stream of a file that a player shows, and the clock that it shows."""

import math
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from fer.core.image_decoding import MAX_PIXELS

# Covers of songs and previews of chapters stand in a file as video streams of one picture.
_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails
# Errors of reading, as of a bad disk, after which the rest of a file is given up.
_MAX_READ_ERRORS = 100
# Pixels beyond this ratio of their sides are a mistake of the file, and taken as square.
_MAX_ASPECT = 10
# Titles and the like may be in any encoding; PyAV takes that for granted from version 19 on.
_ANY_ENCODING: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
# What FFmpeg takes for a video, or would follow to other files and addresses, though no camera writes it. Their headers
# are not read: reading them follows what they name, be it a pipe that never ends.
_REJECTED_FORMATS = frozenset(
    (
        *("tty", "hls", "dash", "concat", "sdp", "rtsp", "rtp", "sap", "imf", "webm_dash_manifest", "vobsub"),
        *("image2", "ffmetadata", "lavfi", "svg_pipe"),
    )
)


@cache
def _build_limits() -> dict[str, str]:
    """FFmpeg's options for files that may come from anybody: only known formats, local files, and so many pixels."""
    formats = sorted(name for name in av.formats_available if not set(name.split(",")) & _REJECTED_FORMATS)
    return {"format_whitelist": ",".join(formats), "protocol_whitelist": "file", "max_pixels": str(MAX_PIXELS)}


def open_container(path: Path) -> InputContainer:
    """Open a video; raises ``av.FFmpegError``, ``av.ArgumentError`` for a format that may lead to other files."""
    # An absolute path, because FFmpeg reads `12:30 talk.mp4` as an address with the scheme `12`.
    return av.open(str(path.absolute()), mode="r", options=dict(_build_limits()), **_ANY_ENCODING)


def select_video_stream(container: InputContainer) -> VideoStream | None:
    """The stream that players choose: the default one, moving rather than still, then the largest, then the first."""
    streams = [
        stream
        for stream in container.streams.video
        if stream.codec_context is not None and not stream.disposition & _PICTURES
    ]
    return max(
        streams,
        key=lambda stream: (
            bool(stream.disposition & Disposition.default),
            stream.frames != 1,
            stream.codec_context.width * stream.codec_context.height,
        ),
        default=None,
    )


def set_decoder_threads(stream: VideoStream, threads: int | None) -> None:
    """Let so many threads decode a stream of which nothing was decoded yet; None leaves their number to FFmpeg."""
    stream.thread_type, stream.codec_context.thread_count = "AUTO", threads or 0


def get_clock_start(container: InputContainer) -> float:
    """Where the clock of a player begins on that of the file: with the earliest of its streams; seconds."""
    return (container.start_time or 0) / av.time_base


def compute_time(stamp: int, time_base: Fraction, clock_start: float) -> float:
    """Seconds on the clock of a player."""
    # Integers divide as exactly as fractions become floats, and faster.
    time_s = round(stamp * time_base.numerator / time_base.denominator - clock_start, 6)
    # FFmpeg rounds the start of the clock to microseconds; the first frame must not lie before it for that.
    return 0.0 if abs(time_s) <= 2e-6 else time_s


class TimestampReader:
    """When the frames of a stream are shown, as FFmpeg's programs guess it where a file is wrong about it."""

    def __init__(self, container: InputContainer) -> None:
        # AVI knows no times of presentation, and FFmpeg's guess is wrong where frames are reordered.
        self._has_pts = container.format.name != "avi"
        self._faulty = {"pts": 0, "dts": 0}
        self._last: dict[str, float] = {"pts": -math.inf, "dts": -math.inf}

    def read(self, frame: VideoFrame) -> int | None:
        """Time of the next frame in the time base of its stream; None where nothing says so."""
        pts, dts = frame.pts if self._has_pts else None, frame.dts
        self._count_fault("dts", dts, pts)
        self._count_fault("pts", pts, dts)
        if pts is not None and (dts is None or self._faulty["pts"] <= self._faulty["dts"]):
            return pts
        return dts

    def _count_fault(self, name: str, stamp: int | None, other: int | None) -> None:
        if stamp is not None:
            self._faulty[name] += stamp <= self._last[name]
            self._last[name] = stamp
        elif other is not None:
            self._last[name] = other


class PixelAspect:
    """Width of a stream's pixels over their height, which may change from frame to frame.

    As FFmpeg's players do, the container is believed before the codec.
    """

    def __init__(self, stream: VideoStream) -> None:
        self._codec = stream.codec_context
        declared = stream.sample_aspect_ratio
        # What the container does not state itself PyAV takes from the codec, as it stood at the beginning.
        self._container = None if declared == self._codec.sample_aspect_ratio else declared

    def read(self) -> Fraction:
        """The ratio of the frame decoded last; 1 where it is missing or absurd."""
        aspect = self._container or self._codec.sample_aspect_ratio
        return aspect if aspect and Fraction(1, _MAX_ASPECT) <= aspect <= _MAX_ASPECT else Fraction(1)


def iter_packets(container: InputContainer, stream: VideoStream) -> "Iterator[Packet[VideoStream] | None]":
    """The packets of a stream, past places that cannot be read, and then one that empties the decoder.

    A last packet that the end of the file cuts off is left out: part of a picture is a damaged one, and which of the
    frames before it a decoder still gives would depend on its version and its threads.
    """
    held: Packet[VideoStream] | None = None
    for _ in range(_MAX_READ_ERRORS):
        try:
            for packet in container.demux(stream):
                if held is not None and (packet.size or not held.is_corrupt):
                    yield held
                held = packet
            break
        except av.FFmpegError:
            continue
    if held is not None and not held.is_corrupt:
        yield held
    yield None
