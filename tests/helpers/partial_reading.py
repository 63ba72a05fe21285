"""Videos read in parts and as a whole: clips of many kinds, and how the two readings compare."""

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

import fer.video.reader
from fer.video import sparse
from fer.video.reader import Frame, FrameSampler, iter_frames
from fer.video.sampling import EveryNSampler, IntervalSampler
from tests.helpers.encoding import X264, encode

COUNT = 90
SIZE = (96, 64)
GOP = {**X264, "g": "12", "bf": "2", "sc_threshold": "0"}
X265 = {"preset": "ultrafast"}
VPX = {"deadline": "realtime", "cpu-used": "8", "g": "12"}
UNEVEN = np.cumsum([0, *np.random.default_rng(7).integers(900, 9000, COUNT - 1)]).tolist()  # of 1/90,000 s
PARTS: dict[str, dict[str, Any]] = {
    "short.mp4": {"options": {**GOP, "g": "5", "bf": "0"}},
    "usual.mp4": {"options": {**GOP, "preset": "medium", "bf": "3"}},
    "long.mov": {"options": {**GOP, "g": "30"}},
    "pieces.mp4": {"options": GOP, "container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "usual.mkv": {"options": GOP},
    "usual.ts": {"options": GOP},
    "usual.flv": {"options": GOP},
    "plain.avi": {"options": {**GOP, "bf": "0"}},
    "uneven.mp4": {"options": GOP, "stamps": UNEVEN, "rate": Fraction(90_000)},
    "turned.mp4": {"options": GOP, "matrix": [0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30]},
    "wide.mp4": {"options": GOP, "aspect": Fraction(4, 3)},
    "closed.mp4": {"codec": "libx265", "options": {**X265, "x265-params": "log-level=none:keyint=12:open-gop=0"}},
    "open.mkv": {
        "codec": "libx265",
        "options": {**X265, "x265-params": "log-level=none:keyint=12:min-keyint=12:open-gop=1:bframes=3"},
    },
    "vp9.webm": {"codec": "libvpx-vp9", "options": VPX},
    "vp8.webm": {"codec": "libvpx", "options": VPX},
    "av1.mp4": {"codec": "libsvtav1", "options": {"preset": "12", "g": "16"}},
    "camera.avi": {"codec": "mjpeg", "options": {"strict": "unofficial"}},
    "studio.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
}
WHOLE: dict[str, dict[str, Any]] = {
    "reordered.avi": {"options": GOP},
    "interlaced.mp4": {"options": {**GOP, "flags": "+ildct+ilme"}, "field_order": "tff"},
    "old.mpg": {"codec": "mpeg2video", "options": {"g": "12", "bf": "2"}},
    "old.mp4": {"codec": "mpeg4", "options": {"g": "12"}},
    "bare.h264": {"options": GOP},
    "lossless.mkv": {"codec": "ffv1"},
}
SAMPLERS: dict[str, Callable[[], FrameSampler]] = {
    "a second": lambda: IntervalSampler(1.0),
    "often": lambda: EveryNSampler(7),
    "rare": lambda: EveryNSampler(29),
}


def draw_pictures(count: int = COUNT, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    """A noisy camera that wanders over a pattern: each frame's pixels hang on those before."""
    rng = np.random.default_rng(1)
    pattern = cv2.resize(rng.integers(0, 244, (20, 30, 3), np.uint8), (300, 200), interpolation=cv2.INTER_CUBIC)
    places = [(int(60 + 50 * math.sin(n / 9)), int(50 + 40 * math.cos(n / 13))) for n in range(count)]
    views = [np.clip(pattern[y : y + size[1], x : x + size[0]], 0, 243) for x, y in places]
    return [view + rng.integers(0, 12, view.shape, np.uint8) for view in views]


class ClipShelf:
    """Clips of PARTS and WHOLE, each encoded once.

    Args:
        folder: Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.pictures = folder, draw_pictures()

    def get(self, name: str) -> Path:
        path = self.folder / name
        return path if path.exists() else encode(path, self.pictures, **{**PARTS, **WHOLE}[name])


class Reading:
    """Reads videos in parts, however short they are, and as a whole."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.patch, self.packets, self.was_whole = monkeypatch, 0, False
        monkeypatch.setattr(sparse, "PROVEN_PACKETS", 10)
        monkeypatch.setattr(sparse, "MAX_SHARE", 0.95)
        decode, iter_timed_frames = sparse._PlannedDecoder._decode, fer.video.reader.iter_timed_frames

        def count_packets(decoder: Any, packet: Any) -> Iterator[Any]:
            self.packets += packet is not None
            return decode(decoder, packet)

        def note(*arguments: Any) -> Iterator[Any]:
            self.was_whole = True
            return iter_timed_frames(*arguments)

        monkeypatch.setattr(sparse._PlannedDecoder, "_decode", count_packets)
        monkeypatch.setattr(fer.video.reader, "iter_timed_frames", note)

    def read(
        self, path: Path, sampler: FrameSampler, long_frames: float, threads: int = 1, after: int = -1
    ) -> list[Frame]:
        self.packets, self.was_whole = 0, False
        self.patch.setattr(fer.video.reader, "LONG_FRAMES", long_frames)
        return list(iter_frames(path, sampler, threads=threads, after=after))

    def assert_same(self, path: Path, make: Callable[[], FrameSampler], threads: int = 1) -> list[Frame]:
        """Both ways give the same frames, which are returned; ``packets`` and ``was_whole`` are those of parts."""
        self.patch.setattr(fer.video.reader, "iter_sparse_frames", refuse)
        whole = self.read(path, make(), 0, threads)
        self.patch.setattr(fer.video.reader, "iter_sparse_frames", sparse.iter_sparse_frames)
        parts = self.read(path, make(), 0, threads)
        assert_equal(parts, whole)
        return parts


def refuse(*_: object) -> Iterator[Any]:
    raise sparse.UnplannedError


def assert_equal(ones: Sequence[Frame], others: Sequence[Frame]) -> None:
    assert [(f.index, f.time_s, f.problem) for f in ones] == [(f.index, f.time_s, f.problem) for f in others]
    for one, other in zip(ones, others, strict=True):
        assert np.array_equal(one.bgr, other.bgr) if one.bgr is not None and other.bgr is not None else one == other


class ChosenSampler:
    """The frames of these numbers; remembers what it was asked."""

    def __init__(self, numbers: set[int]) -> None:
        self.numbers = numbers
        self.asked = list[tuple[int, float]]()

    def should_sample(self, index: int, time_s: float) -> bool:
        self.asked.append((index, time_s))
        return index in self.numbers


def damage(path: Path, copy: Path, packets: Sequence[int], part: float = 1.0) -> Path:
    """A copy in which the end of some packets, ``part`` of each, is overwritten with zeros."""
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    for place, size in (places[number] for number in packets):
        assert place is not None
        length = round(size * part)
        content[place + size - length : place + size] = bytes(length)
    copy.write_bytes(content)
    return copy
