"""Decoding of a video by FFmpeg: every frame in turn with its time, and with what it takes to convert it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from fer.video.deinterlace import deinterlace
from fer.video.streams import PixelAspect, TimestampReader, compute_time, get_clock_start, iter_packets
from fer.video.upright import FrameConverter, read_orientation


@dataclass
class DecodedFrame:
    """A frame as it lies in the memory of the decoder.

    Attributes:
        frame: The frame.
        aspect: Width of its pixels over their height.
        failures: How many packets since the frame before could not be decoded.
        previous: The frame before.
        following: The frame after.
    """

    frame: VideoFrame
    aspect: Fraction
    failures: int
    previous: VideoFrame | None = field(default=None, repr=False)
    following: VideoFrame | None = field(default=None, repr=False)

    def convert(self, converter: FrameConverter) -> np.ndarray | None:
        """The picture that a player shows, (height, width, 3) uint8 BGR; None where it cannot be made."""
        frame = self.frame
        if frame.interlaced_frame:
            frame = deinterlace(self.previous, frame, self.following, converter.threads)
        try:
            return converter.convert(frame, self.aspect, read_orientation(self.frame))
        except av.FFmpegError:
            return None


@dataclass(frozen=True)
class OpenStream:
    """The video stream of an open file.

    Attributes:
        container: The file.
        stream: The stream.
        decoded: Its frames from the first to the last, once.
    """

    container: InputContainer
    stream: VideoStream
    decoded: Iterator[DecodedFrame]


def iter_timed_frames(
    opened: OpenStream, start_s: float, step_s: float
) -> Iterator[tuple[int, float, DecodedFrame | None]]:
    """Decode a stream.

    Args:
        opened: The stream, none of whose frames was taken.
        start_s: Time of the first frame if the file does not tell it, seconds on a player's clock.
        step_s: Time between frames where the file does not tell it, seconds.

    Yields:
        Index in the source from 0, time in seconds on a player's clock, and the frame; None for one that was lost to
        damage. Times increase.
    """
    index, time_s, clock_start = 0, None, get_clock_start(opened.container)
    timestamps, time_base = TimestampReader(opened.container), opened.stream.time_base
    for decoded in _iter_with_neighbours(opened.decoded):
        stamp = timestamps.read(decoded.frame)
        if stamp is not None and time_base is not None:
            now = compute_time(stamp, time_base, clock_start)
        else:
            now = start_s if time_s is None else time_s
        if time_s is not None and now <= time_s:
            now = round(time_s + step_s, 6)  # a stream without timestamps, or one whose clock was set back
        # Before the first frame only what a player would have shown is missed.
        before = max(-step_s, now - (decoded.failures + 1) * step_s) if time_s is None else time_s
        # A damaged packet does not always cost a frame: only as many are missing as there is time for.
        missing = max(0, min(decoded.failures, round((now - before) / step_s) - 1))
        for number in range(1, missing + 1):
            yield index, max(0.0, round(before + (now - before) * number / (missing + 1), 6)), None
            index += 1
        yield index, now, decoded
        index, time_s = index + 1, now


def _iter_with_neighbours(frames: Iterator[DecodedFrame]) -> Iterator[DecodedFrame]:
    """The frames, one later than they are decoded: deinterlacing looks ahead."""
    current: DecodedFrame | None = None
    for decoded in frames:
        if current is not None:
            current.following, decoded.previous = decoded.frame, current.frame
            yield current
        current = decoded
    if current is not None:
        yield current


def decode_stream(container: InputContainer, stream: VideoStream) -> Iterator[DecodedFrame]:
    """The frames of a stream of which nothing was read yet."""
    aspect, failures = PixelAspect(stream), 0
    for packet in iter_packets(container, stream):
        try:
            frames = stream.decode(packet)
        except av.FFmpegError:
            failures += 1
            continue
        for frame in frames:
            yield DecodedFrame(frame, aspect.read(), failures)
            failures = 0
