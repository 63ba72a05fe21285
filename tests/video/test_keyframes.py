"""What packets are to decoding, by their first bytes."""

from types import SimpleNamespace
from typing import Any

import pytest

from fer.video.keyframes import Role, UnplannedError, build_role_reader

AVCC, HVCC = bytes((1, 100, 0, 30, 0xFF, 0xE1, 0)), bytes((1, *range(20), 0xFF, 0))
SEI, IDR, REFERENCE, LONE = b"\x06\x05", b"\x65\x88", b"\x41\x9a", b"\x01\x9e"


class Packet(bytes):
    is_keyframe = True


def read_role(codec: str, content: bytes, is_keyframe: bool = True, extradata: bytes | None = None) -> Role:
    context: Any = SimpleNamespace(codec=SimpleNamespace(name=codec), extradata=extradata)
    reader = build_role_reader(SimpleNamespace(codec_context=context))  # type: ignore[arg-type]
    packet: Any = Packet(content)
    packet.is_keyframe = is_keyframe
    assert reader is not None
    return reader(packet)


def join(*units: bytes) -> bytes:
    return b"".join(len(unit).to_bytes(4) + unit for unit in units)


@pytest.mark.parametrize(
    ("units", "is_keyframe", "role"),
    [
        ((SEI, IDR, IDR), True, Role.CLOSED),
        ((IDR,), False, Role.INNER),
        # A picture at which players may begin, though others may look back behind it.
        ((SEI, REFERENCE), True, Role.INNER),
        ((REFERENCE,), False, Role.INNER),
        ((SEI, LONE), False, Role.LONE),
        # It brings parameters of later pictures along.
        ((b"\x68\xee", LONE), False, Role.INNER),
    ],
)
def test_h264(units: tuple[bytes, ...], is_keyframe: bool, role: Role) -> None:
    assert read_role("h264", join(*units), is_keyframe, AVCC) == role
    assert read_role("h264", b"".join(b"\0\0\1" + unit for unit in units), is_keyframe) == role
    assert read_role("h264", b"\0\0\0\1" + b"\0\0\1".join(units), is_keyframe, b"\0\0\0\1\x67") == role


@pytest.mark.parametrize(
    ("kind", "role"), [(19, Role.CLOSED), (20, Role.CLOSED), (21, Role.OPEN), (1, Role.INNER), (0, Role.INNER)]
)
def test_hevc(kind: int, role: Role) -> None:
    content = join(bytes((35 << 1, 1, 0x50)), bytes((kind << 1, 1, 0x80)))
    assert read_role("hevc", content, True, HVCC) == role
    assert read_role("hevc", content, False, HVCC) == Role.INNER


def test_codecs_without_units() -> None:
    assert read_role("vp8", b"\x10\x02\0\x9d") == Role.CLOSED
    assert read_role("vp8", b"\x11\x02\0") == Role.INNER
    for codec, content in {"vp9": b"\x82\x49", "av1": b"\x12\0", "libdav1d": b"\x0a\x0b"}.items():
        assert [read_role(codec, content, is_key) for is_key in (True, False)] == [Role.CLOSED, Role.INNER]
    assert read_role("mjpeg", b"\xff\xd8\xff") == read_role("prores", b"\0\0\1\0icpf") == Role.CLOSED


@pytest.mark.parametrize(
    ("codec", "content", "extradata"),
    [
        ("h264", bytes(40), AVCC),
        ("h264", join(IDR) + bytes(3), AVCC),
        ("h264", join(SEI), AVCC),  # no picture
        ("h264", bytes(40), b""),
        ("hevc", join(bytes((17 << 1, 1))), HVCC),  # leading pictures are broken
        ("vp8", b"\x00\x02\0", b""),  # a frame that is not shown
        *((codec, bytes(20), b"") for codec in ("vp9", "av1", "mjpeg", "prores")),
    ],
)
def test_packets_that_are_no_frames(codec: str, content: bytes, extradata: bytes) -> None:
    with pytest.raises(UnplannedError):
        read_role(codec, content, True, extradata)


@pytest.mark.parametrize("codec", ["mpeg2video", "mpeg4", "gif", "ffv1", "apng"])
def test_codecs_whose_packets_are_not_trusted(codec: str) -> None:
    context: Any = SimpleNamespace(codec=SimpleNamespace(name=codec), extradata=None)
    assert build_role_reader(SimpleNamespace(codec_context=context)) is None  # type: ignore[arg-type]
