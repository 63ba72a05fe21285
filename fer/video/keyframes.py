"""Packets at which decoding can begin so that every frame from there on is the one that it is in the whole stream.

What containers call a keyframe is not enough: in H.264 it may be a picture after which others look back behind it.
"""

from collections.abc import Callable, Iterator
from enum import Enum

from av.packet import Packet
from av.video.stream import VideoStream

# Kinds of units. H.264: pictures, the picture behind which nothing looks back, parameters of pictures to come. HEVC:
# pictures, the same, the one whose leading pictures (shown before it, stored behind) look back, those that lack them.
_H264_PICTURES, _H264_IDR, _H264_PARAMETERS = range(1, 6), 5, (7, 8)
_HEVC_PICTURES, _HEVC_IDR, _HEVC_CRA, _HEVC_BLA = range(32), (19, 20), 21, range(16, 19)
# Codecs without prediction between frames: where in a packet they have which mark.
_INTRA_MARKS = {"mjpeg": (0, b"\xff\xd8"), "prores": (4, b"icpf")}


class UnplannedError(Exception):
    """A stream is not as simple as reading parts of it takes; all of it must be decoded."""


class Role(Enum):
    """What a packet is to decoding.

    Attributes:
        INNER: Its frame needs frames before, and others may need it.
        LONE: No other frame needs its frame.
        CLOSED: Decoding can begin here; the decoder forgets by itself what was before.
        OPEN: Decoding can begin here, of the frames shown after this one, if the decoder is made to forget.
    """

    INNER = 0
    LONE = 1
    CLOSED = 2
    OPEN = 3

    @property
    def is_start(self) -> bool:
        """Whether decoding can begin here."""
        return self in (Role.CLOSED, Role.OPEN)


ReadRole = Callable[["Packet[VideoStream]"], Role]


def build_role_reader(stream: VideoStream) -> ReadRole | None:
    """Build what says of each packet what it is to decoding.

    Args:
        stream: The stream.

    Returns:
        The function, which raises UnplannedError for a packet that is visibly no frame; None for a codec in which
        packets cannot be trusted to be frames, or keyframes to be ones.
    """
    name, extradata = stream.codec_context.codec.name, stream.codec_context.extradata or b""
    if name in ("h264", "hevc"):
        return _NalReader(name, extradata).read_role
    if name in _INTRA_MARKS:
        return lambda packet: _read_intra_role(packet, *_INTRA_MARKS[name])
    return _READERS.get(name)


def _read_intra_role(packet: "Packet[VideoStream]", position: int, mark: bytes) -> Role:
    if bytes(memoryview(packet)[position : position + len(mark)]) != mark:
        raise UnplannedError
    return Role.CLOSED


def _read_vp8_role(packet: "Packet[VideoStream]") -> Role:
    tag = memoryview(packet)[0]
    if not tag >> 4 & 1:
        raise UnplannedError  # an invisible frame, to be looked back to
    return Role.INNER if tag & 1 else Role.CLOSED


def _read_vp9_role(packet: "Packet[VideoStream]") -> Role:
    if memoryview(packet)[0] >> 6 != 2:
        raise UnplannedError
    return Role.CLOSED if packet.is_keyframe else Role.INNER


def _read_av1_role(packet: "Packet[VideoStream]") -> Role:
    # The first header: a bit that is 0, and four of its kind, which are not.
    if not 1 <= memoryview(packet)[0] >> 3 <= 15:
        raise UnplannedError
    return Role.CLOSED if packet.is_keyframe else Role.INNER


# AV1 comes from libdav1d or from FFmpeg's own decoder.
_READERS = {"vp8": _read_vp8_role, "vp9": _read_vp9_role, "av1": _read_av1_role, "libdav1d": _read_av1_role}


class _NalReader:
    """Reads what the units of which packets of H.264 and HEVC consist say of themselves in their first byte."""

    def __init__(self, codec: str, extradata: bytes) -> None:
        self.is_hevc = codec == "hevc"
        # As FFmpeg tells them apart: units with their lengths before them, or (0) with start codes between.
        if self.is_hevc:
            has_lengths = len(extradata) > 22 and (extradata[0] or extradata[1] or extradata[2] > 1)
            self.length_size = (extradata[21] & 3) + 1 if has_lengths else 0
        else:
            self.length_size = (extradata[4] & 3) + 1 if len(extradata) > 6 and extradata[0] == 1 else 0

    def read_role(self, packet: "Packet[VideoStream]") -> Role:
        heads = self._list_heads(memoryview(packet)) if self.length_size else _iter_heads(bytes(memoryview(packet)))
        has_parameters = False
        for head in heads:
            if self.is_hevc and (kind := head >> 1 & 63) in _HEVC_PICTURES:
                return _find_hevc_role(kind) if packet.is_keyframe else Role.INNER
            if not self.is_hevc and (kind := head & 31) in _H264_PICTURES:
                if packet.is_keyframe and kind == _H264_IDR:
                    return Role.CLOSED
                # Two bits are 0 in a picture that is never looked back to.
                return Role.INNER if head >> 5 & 3 or has_parameters else Role.LONE
            has_parameters |= head & 31 in _H264_PARAMETERS
        raise UnplannedError

    def _list_heads(self, data: memoryview) -> list[int]:
        """The first byte of each unit; the lengths must fit, which those of a damaged packet hardly do."""
        heads, position = [], 0
        while position < len(data):
            start = position + self.length_size
            size = int.from_bytes(data[position:start])
            position = start + size
            if not size or position > len(data):
                raise UnplannedError
            heads.append(data[start])
        return heads


def _iter_heads(content: bytes) -> Iterator[int]:
    """The same where start codes lie between the units."""
    if not content.startswith((b"\0\0\1", b"\0\0\0\1")):
        raise UnplannedError
    position = 0
    while (position := content.find(b"\0\0\1", position) + 3) > 2 and position < len(content):
        yield content[position]


def _find_hevc_role(kind: int) -> Role:
    if kind in _HEVC_BLA:
        raise UnplannedError  # decoders leave out the pictures that are shown before it
    return Role.CLOSED if kind in _HEVC_IDR else Role.OPEN if kind == _HEVC_CRA else Role.INNER
