"""Packets at which decoding can begin so that every frame from there on is the one that it is in the whole stream.

What containers call a keyframe is not enough: in H.264 it may be a picture after which others look back behind it.
"""

from collections.abc import Callable
from enum import Enum

from av.packet import Packet
from av.video.stream import VideoStream

# H.264: the pictures, and the one before which nothing is looked back to. HEVC: the same, the ones at which an
# encoder resets everything, and those whose leading pictures (shown before them, stored behind) look back.
_H264_PICTURES, _H264_IDR = range(1, 6), 5
_HEVC_PICTURES, _HEVC_IDR, _HEVC_CRA, _HEVC_BLA = range(32), (19, 20), 21, range(16, 19)
# Codecs without prediction between frames: where in a packet they have which mark.
_INTRA_MARKS = {"mjpeg": (0, b"\xff\xd8"), "prores": (4, b"icpf")}


class UnplannedError(Exception):
    """A stream is not as simple as reading parts of it takes; all of it must be decoded."""


class Start(Enum):
    """Whether decoding can begin at a packet.

    Attributes:
        NONE: It cannot.
        CLOSED: It can, and the decoder forgets by itself what was before.
        OPEN: It can if the decoder is made to forget, for the frames shown after this packet's.
    """

    NONE = 0
    CLOSED = 1
    OPEN = 2


FindStart = Callable[["Packet[VideoStream]"], Start]


def build_start_finder(stream: VideoStream) -> FindStart | None:
    """Build what says of a packet whether decoding can begin at it.

    Args:
        stream: The stream.

    Returns:
        The function, which raises UnplannedError for a packet that is visibly no frame; None for a codec in which
        packets cannot be trusted to be frames, or keyframes to be ones.
    """
    name, extradata = stream.codec_context.codec.name, stream.codec_context.extradata or b""
    if name in ("h264", "hevc"):
        return _NalReader(name, extradata).find_start
    if name in _INTRA_MARKS:
        return lambda packet: _find_intra_start(packet, *_INTRA_MARKS[name])
    return _FINDERS.get(name)


def _find_intra_start(packet: "Packet[VideoStream]", position: int, mark: bytes) -> Start:
    if bytes(memoryview(packet)[position : position + len(mark)]) != mark:
        raise UnplannedError
    return Start.CLOSED


def _find_vp8_start(packet: "Packet[VideoStream]") -> Start:
    tag = memoryview(packet)[0]
    if not tag >> 4 & 1:
        raise UnplannedError  # an invisible frame, to be looked back to
    return Start.NONE if tag & 1 else Start.CLOSED


def _find_vp9_start(packet: "Packet[VideoStream]") -> Start:
    if memoryview(packet)[0] >> 6 != 2:
        raise UnplannedError
    return Start.CLOSED if packet.is_keyframe else Start.NONE


def _find_av1_start(packet: "Packet[VideoStream]") -> Start:
    # The first header: a bit that is 0, and four of its kind, which are not.
    if not 1 <= memoryview(packet)[0] >> 3 <= 15:
        raise UnplannedError
    return Start.CLOSED if packet.is_keyframe else Start.NONE


# AV1 comes from libdav1d or from FFmpeg's own decoder.
_FINDERS = {"vp8": _find_vp8_start, "vp9": _find_vp9_start, "av1": _find_av1_start, "libdav1d": _find_av1_start}


class _NalReader:
    """Reads the kinds of the units of which packets of H.264 and HEVC consist."""

    def __init__(self, codec: str, extradata: bytes) -> None:
        self.is_hevc = codec == "hevc"
        # As FFmpeg tells them apart: units with their lengths before them, or (0) with start codes between.
        if self.is_hevc:
            has_lengths = len(extradata) > 22 and (extradata[0] or extradata[1] or extradata[2] > 1)
            self.length_size = (extradata[21] & 3) + 1 if has_lengths else 0
        else:
            self.length_size = (extradata[4] & 3) + 1 if len(extradata) > 6 and extradata[0] == 1 else 0

    def find_start(self, packet: "Packet[VideoStream]") -> Start:
        data = memoryview(packet)
        heads = self._list_heads(data) if self.length_size else self._list_heads_by_codes(data, packet.is_keyframe)
        if not packet.is_keyframe:
            return Start.NONE
        if self.is_hevc:
            kind = next((kind for head in heads if (kind := head >> 1 & 63) in _HEVC_PICTURES), None)
            if kind in _HEVC_BLA:
                raise UnplannedError  # decoders leave out the pictures that are shown before it
            return Start.CLOSED if kind in _HEVC_IDR else Start.OPEN if kind == _HEVC_CRA else Start.NONE
        kind = next((kind for head in heads if (kind := head & 31) in _H264_PICTURES), None)
        return Start.CLOSED if kind == _H264_IDR else Start.NONE

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

    def _list_heads_by_codes(self, data: memoryview, is_keyframe: bool) -> list[int]:
        """The same where start codes lie between units; of keyframes alone, for the search takes longer."""
        if bytes(data[:3]) != b"\0\0\1" and bytes(data[:4]) != b"\0\0\0\1":
            raise UnplannedError
        heads, content, position = [], bytes(data) if is_keyframe else b"", 0
        while (position := content.find(b"\0\0\1", position) + 3) > 2 and position < len(content):
            heads.append(content[position])
        return heads
