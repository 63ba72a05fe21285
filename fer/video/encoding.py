"""Videos that are written: a source anew, with its sound on request, and pictures that were drawn."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from fer.errors import DataError, shorten_error
from fer.video.reader import Frame
from fer.video.streams import get_clock_start, open_container

# Suffix: FFmpeg's name of the container.
CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
# H.264 clocks in microseconds keep any source's timestamps, variable frame rates too.
TIME_BASE = Fraction(1, 1_000_000)
# Hardly to be told from the source. No frame is stored out of order, so that each has the duration that it is given.
_QUALITY = {"crf": "16", "preset": "veryfast", "bf": "0"}


@dataclass(frozen=True)
class Pacing:
    """How long the frames of a video are shown.

    Attributes:
        times: Time of each frame, seconds, rising.
        end_s: When the last one ends.
    """

    times: tuple[float, ...]
    end_s: float

    def read_durations(self) -> Mapping[int, int]:
        """Duration of each frame by its time, both in TIME_BASE."""
        stamps = [round(time_s / TIME_BASE) for time_s in (*self.times, max(self.end_s, *self.times))]
        return {start: max(end - start, 1) for start, end in zip(stamps, stamps[1:], strict=False)}


def write_video(frames: Iterator[Frame], path: Path, suffix: str, pacing: Pacing, sound: Path | None = None) -> None:
    """Write frames as H.264, with their times and nothing else of their source.

    Args:
        frames: Upright frames of one size.
        path: The file.
        suffix: One of CONTAINERS, which says what is written.
        pacing: How long each is shown.
        sound: A file whose first sound is copied as it is; None writes none.

    Raises:
        DataError: There is no such sound, or the container cannot hold it.
    """
    with av.open(str(path), "w", format=CONTAINERS[suffix]) as container:
        stream = container.add_stream("libx264", options=dict(_QUALITY))
        stream.codec_context.time_base = TIME_BASE
        copied = _Sound(sound, container) if sound is not None else None
        durations = pacing.read_durations()
        for number, frame in enumerate(frames):
            assert frame.bgr is not None
            if number == 0:
                stream.height, stream.width = frame.bgr.shape[:2]
                # In 4:2:0 sides are even; no row is to be lost.
                stream.pix_fmt = "yuv444p" if stream.height % 2 or stream.width % 2 else "yuv420p"
            _mux(container, stream, _build_frame(frame.bgr, frame.time_s), durations)
            if copied is not None:
                copied.copy_until(frame.time_s)
        _mux(container, stream, None, durations)
        if copied is not None:
            copied.copy_until(float("inf"))


def encode_video(frames: Iterable[tuple[np.ndarray, float]], path: Path) -> None:
    """Write an MP4 of drawn pictures, without sound; one row or column more than an even number is cut off.

    Args:
        frames: Frames of one size, one at least, (height, width, 3) uint8 BGR, with rising times in seconds.
        path: The file.
    """
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", options={"crf": "22", "preset": "veryfast", "x264-params": "mbtree=0"})
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", TIME_BASE
        for number, (bgr, time_s) in enumerate(frames):
            if number == 0:
                # H.264 in 4:2:0 needs even sides.
                stream.height, stream.width = (side // 2 * 2 for side in bgr.shape[:2])
            container.mux(stream.encode(_build_frame(bgr[: stream.height, : stream.width], time_s)))
        container.mux(stream.encode())


def _build_frame(bgr: np.ndarray, time_s: float) -> av.VideoFrame:
    built = av.VideoFrame.from_ndarray(np.ascontiguousarray(bgr), "bgr24")
    built.pts, built.time_base = round(time_s / TIME_BASE), TIME_BASE
    return built


def _mux(
    container: OutputContainer, stream: VideoStream, frame: av.VideoFrame | None, durations: Mapping[int, int]
) -> None:
    for packet in stream.encode(frame):
        # Encoders do not tell how long the last frame is shown.
        if packet.pts is not None and packet.time_base is not None:
            stamp = round(packet.pts * packet.time_base / TIME_BASE)
            packet.duration = round(durations.get(stamp, 0) * TIME_BASE / packet.time_base)
        container.mux(packet)


class _Sound:
    """Copies the packets of a file's first sound, on the clock of the frames."""

    def __init__(self, source: Path, container: OutputContainer) -> None:
        self._input: InputContainer = open_container(source)
        if not self._input.streams.audio:
            raise DataError(f"{source}: has no sound to be kept; leave --audio keep out")
        audio = self._input.streams.audio[0]
        try:
            self._stream = container.add_stream_from_template(audio)
        except (ValueError, av.FFmpegError) as error:
            raise _refuse(source, audio.codec_context.name, error) from None
        self._container, self._source, self._codec = container, source, audio.codec_context.name
        self._shift_s, self._time_base = get_clock_start(self._input), audio.time_base or TIME_BASE
        self._packets = (packet for packet in self._input.demux(audio) if packet.pts is not None)
        self._next: Packet[AudioStream] | None = next(self._packets, None)

    def copy_until(self, time_s: float) -> None:
        """Copy what is heard before a time, seconds."""
        while (packet := self._next) is not None and packet.pts is not None:
            if float(packet.pts * self._time_base) - self._shift_s > time_s:
                return
            shift = round(self._shift_s / self._time_base)
            packet.pts -= shift
            packet.dts = packet.pts if packet.dts is None else packet.dts - shift
            packet.stream = self._stream
            try:
                self._container.mux(packet)
            except (ValueError, av.FFmpegError) as error:
                raise _refuse(self._source, self._codec, error) from None
            self._next = next(self._packets, None)
        self._input.close()


def _refuse(source: Path, codec: str, error: Exception) -> DataError:
    return DataError(
        f"{source}: its sound ({codec}) cannot be kept in this kind of file ({shorten_error(error)}); name an output "
        "that ends in .mkv, or leave --audio keep out"
    )
