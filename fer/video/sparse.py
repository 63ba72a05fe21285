"""Decoding of no more of a video than its sampled frames need, with all that decoding everything would give.

Packets say when each frame is shown before anything is decoded, so the frames to take are known beforehand. Decoding
begins at the keyframe before one and ends with it, without frames that no other needs; packets up to the next keyframe
that is needed are read and not decoded. Where anything is out of the ordinary, everything must be decoded after all.
"""

import copy
import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Protocol

import av
from av.container import InputContainer
from av.packet import Packet, PktSideDataT
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from fer.video.decoder import DecodedFrame
from fer.video.keyframes import ReadRole, Role, UnplannedError, build_role_reader
from fer.video.streams import PixelAspect, compute_time, get_clock_start, iter_packets

# So many packets at the beginning are all decoded: frames must come out of them as planned.
PROVEN_PACKETS = 250
# Above this share of packets to decode everything is decoded.
MAX_SHARE = 0.9
# From one keyframe to the next, which stay in memory; a stream of longer parts gains nothing.
MAX_PACKETS, MAX_BYTES = 1500, 100_000_000
# What comes beside a packet where a stream changes; a decoder that does not get it fails.
_CHANGES: "tuple[PktSideDataT, ...]" = ("new_extradata", "param_change")


class _Sampler(Protocol):
    def should_sample(self, index: int, time_s: float) -> bool: ...


@dataclass(frozen=True, slots=True)
class _PlannedFrame:
    stamp: int
    index: int
    time_s: float
    is_sampled: bool
    is_start: bool


_Decoded = tuple[_PlannedFrame, DecodedFrame]


@dataclass(frozen=True)
class _Segment:
    """What lies from one packet at which decoding can begin to the next.

    Attributes:
        packets: As they are stored.
        stamps: When the frame of each is shown, in the time base of the stream.
        roles: What each packet is to decoding.
        frames: In the order in which they are shown, without those that the file tells players to leave out.
    """

    packets: "list[Packet[VideoStream]]"
    stamps: list[int]
    roles: list[Role]
    frames: list[_PlannedFrame]

    def find_needed(self) -> set[int]:
        """The stamps of the packets that the sampled frames need, of this segment."""
        sampled = {frame.stamp for frame in self.frames if frame.is_sampled}
        count = max((number for number, stamp in enumerate(self.stamps, 1) if stamp in sampled), default=0)
        pairs = zip(self.stamps[:count], self.roles, strict=False)
        return {stamp for stamp, role in pairs if role is not Role.LONE or stamp in sampled}

    def needs_before(self) -> bool:
        """Whether a sampled frame is shown before the first packet's, and so needs the packets before."""
        return any(frame.is_sampled for frame in self.frames if frame.stamp < self.stamps[0])


def iter_sparse_frames(
    container: InputContainer, stream: VideoStream, sampler: _Sampler, stopped: threading.Event
) -> Iterator[tuple[int, float, DecodedFrame, bool]]:
    """Decode what the sampled frames of a stream need, if that is less than everything.

    Args:
        container: The open file.
        stream: The stream, of which nothing was read.
        sampler: Which frames are taken. A copy plans ahead; it is itself asked about frames once all up to them came
            out of the decoder as planned.
        stopped: Ends the work early.

    Yields:
        Of each decoded frame, the stream's last among them: its index in the source, its time in seconds on a player's
        clock, the frame, and whether it is sampled. All as decoding everything would give it.

    Raises:
        UnplannedError: Everything must be decoded. What was yielded is right all the same, and the sampler was asked
            about the frames up to the last that was yielded.
    """
    segments = _plan_segments(container, stream, copy.deepcopy(sampler))
    head, count, size = deque[_Segment](), 0, 0
    for segment in segments:
        head.append(segment)
        count += len(segment.packets)
        size += sum(packet.size for packet in segment.packets)
        if count >= PROVEN_PACKETS or size > MAX_BYTES:
            break
    if sum(len(segment.find_needed()) for segment in head) > MAX_SHARE * count:
        raise UnplannedError
    # The head is not kept longer than needed.
    remaining = chain[_Segment | None]((head.popleft() for _ in range(len(head))), segments, [None])
    awaited = deque[_PlannedFrame]()
    for planned, decoded in _decode_segments(_PlannedDecoder(container, stream), remaining, awaited, stopped):
        is_sampled = False
        while awaited and awaited[0].index <= planned.index:
            frame = awaited.popleft()
            # As in full reading: no player shows what lies before the beginning of its clock.
            is_sampled = frame.time_s >= 0 and sampler.should_sample(frame.index, frame.time_s)
        yield planned.index, planned.time_s, decoded, is_sampled
    if awaited and not stopped.is_set():
        raise UnplannedError  # the last frames did not come


def _decode_segments(
    decoder: "_PlannedDecoder",
    segments: Iterable[_Segment | None],
    awaited: deque[_PlannedFrame],
    stopped: threading.Event,
) -> Iterator[_Decoded]:
    """Decode what is needed of the segments, after which None comes, and tell of all their frames in ``awaited``."""
    count = 0
    for segment, following in pairwise(segments):
        if stopped.is_set() or segment is None:
            return
        awaited += segment.frames
        # The end is decoded in any case: whether it is there is said of a video.
        is_last = following is None or not following.frames
        is_whole = count < PROVEN_PACKETS or is_last or (following is not None and following.needs_before())
        count += len(segment.packets)
        yield from decoder.decode(segment, set(segment.stamps) if is_whole else segment.find_needed())
    yield from decoder.drain()


def _plan_segments(container: InputContainer, stream: VideoStream, sampler: _Sampler) -> Iterator[_Segment]:
    read_role, time_base, clock_start = build_role_reader(stream), stream.time_base, get_clock_start(container)
    if read_role is None or time_base is None:
        raise UnplannedError
    read_stamp = _choose_stamp(container)
    count, last_s = 0, -math.inf
    for packets, roles in _split_packets(iter_packets(container, stream), read_role):
        stamps = [read_stamp(packet) for packet in packets]
        hidden = {stamp for packet, stamp in zip(packets, stamps, strict=True) if packet.is_discard}
        frames = []
        for stamp in sorted(stamps):
            time_s = compute_time(stamp, time_base, clock_start)
            if time_s <= last_s:
                raise UnplannedError  # two at a time, or a clock that was set back
            last_s = time_s
            if stamp in hidden:
                continue
            is_sampled = time_s >= 0 and sampler.should_sample(count, time_s)
            frames.append(_PlannedFrame(stamp, count, time_s, is_sampled, stamp == stamps[0]))
            count += 1
        yield _Segment(packets, stamps, roles, frames)


def _choose_stamp(container: InputContainer) -> "Callable[[Packet[VideoStream] | VideoFrame], int]":
    """How the stamp of a packet or frame is read, as TimestampReader does it where all is well."""
    # AVI knows no times of presentation.
    name = "dts" if container.format.name == "avi" else "pts"

    def read_stamp(item: "Packet[VideoStream] | VideoFrame") -> int:
        stamp = getattr(item, name)
        if stamp is None:
            raise UnplannedError
        return stamp

    return read_stamp


def _split_packets(
    packets: "Iterable[Packet[VideoStream] | None]", read_role: ReadRole
) -> "Iterator[tuple[list[Packet[VideoStream]], list[Role]]]":
    """The packets from each at which decoding can begin to the next, and what each is to decoding."""
    held, roles, size = list["Packet[VideoStream]"](), list[Role](), 0
    for packet in packets:
        if packet is None or (not packet.size and packet.dts is None):
            break  # PyAV ends with an empty one
        if not packet.size or packet.is_corrupt or _brings_change(packet):
            raise UnplannedError
        role = read_role(packet)
        if role.is_start:
            if held:
                yield held, roles
            held, roles, size = [], [], 0
        held.append(packet)
        roles.append(role)
        size += packet.size
        if not roles[0].is_start or len(held) > MAX_PACKETS or size > MAX_BYTES:
            raise UnplannedError
    if held:
        yield held, roles


def _brings_change(packet: "Packet[VideoStream]") -> bool:
    # Most packets have nothing beside them, which is told faster than by name; PyAV does not know all by name.
    return any(True for _ in packet.iter_sidedata()) and any(packet.has_sidedata(name) for name in _CHANGES)


class _PlannedDecoder:
    """Decodes segments as far as they are needed, and compares what comes out with the plan."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._stream, self._aspect, self._read_stamp = stream, PixelAspect(stream), _choose_stamp(container)
        # Else pictures with errors are mended from those before, which are others here.
        stream.codec_context.options = {"err_detect": "explode"}
        self._is_continuous = True
        self._expected = deque[_PlannedFrame]()
        self._kind: tuple[object, ...] | None = None

    def decode(self, segment: _Segment, needed: set[int]) -> Iterator[_Decoded]:
        """Decode the packets of these stamps; frames come later than their packets."""
        was_continuous, self._is_continuous = self._is_continuous, len(needed) == len(segment.stamps)
        if not was_continuous:
            # What is shown before the first frame looks back to packets that were left out.
            needed = {stamp for stamp in needed if stamp >= segment.stamps[0]}
            if needed and segment.roles[0] is Role.OPEN:
                yield from self.drain()
                self._stream.codec_context.flush_buffers()
        self._expected += [frame for frame in segment.frames if frame.stamp in needed]
        for packet, stamp in zip(segment.packets, segment.stamps, strict=True):
            if stamp in needed:
                yield from self._decode(packet)

    def drain(self) -> Iterator[_Decoded]:
        """Empty the decoder."""
        yield from self._decode(None)

    def _decode(self, packet: "Packet[VideoStream] | None") -> Iterator[_Decoded]:
        try:
            frames = self._stream.decode(packet)
        except av.FFmpegError:
            raise UnplannedError from None
        for frame in frames:
            decoded = DecodedFrame(frame, self._aspect.read(), 0)
            planned = self._expected.popleft() if self._expected else None
            if planned is None or not self._is_as_planned(decoded, planned):
                raise UnplannedError
            yield planned, decoded

    def _is_as_planned(self, decoded: DecodedFrame, planned: _PlannedFrame) -> bool:
        frame = decoded.frame
        kind = (frame.width, frame.height, frame.format.name, decoded.aspect)
        self._kind = self._kind or kind
        # An interlaced frame takes its neighbours.
        return (
            self._read_stamp(frame) == planned.stamp
            and kind == self._kind
            and (frame.key_frame or not planned.is_start)
            and not frame.interlaced_frame
        )
