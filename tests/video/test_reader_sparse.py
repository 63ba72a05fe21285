"""Reading no more than the sampled frames need: the same frames as from decoding everything, to the last byte."""

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
from fer.video.keyframes import Role
from fer.video.reader import LONG_FRAMES, Frame, FrameSampler, iter_frames
from fer.video.sampling import AllFramesSampler, EveryNSampler, IntervalSampler, SceneSampler
from fer.video.sparse import PROVEN_PACKETS
from tests.helpers.encoding import X264, encode
from tests.helpers.paths import SHARED

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


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives a clip of PARTS or WHOLE by its name; it is encoded once."""
    folder, pictures = tmp_path_factory.mktemp("clips"), draw_pictures()

    def get_clip(name: str) -> Path:
        path = folder / name
        return path if path.exists() else encode(path, pictures, **{**PARTS, **WHOLE}[name])

    return get_clip


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


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Reading:
    return Reading(monkeypatch)


@pytest.mark.parametrize("name", PARTS)
def test_parts_give_the_frames_of_the_whole(clips: Callable[[str], Path], reading: Reading, name: str) -> None:
    for kind, make in SAMPLERS.items():
        for threads in (1, 2):
            frames = reading.assert_same(clips(name), make, threads)
            assert len(frames) > 2 and not reading.was_whole
            assert kind == "often" or reading.packets < COUNT


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_out_of_the_ordinary_is_decoded_as_a_whole(
    clips: Callable[[str], Path], reading: Reading, name: str
) -> None:
    reading.assert_same(clips(name), SAMPLERS["rare"])
    assert reading.was_whole


def find_all(segment: Any) -> set[int]:
    """Of a segment that is needed everything up to its last sampled frame."""
    last = max((frame.stamp for frame in segment.frames if frame.is_sampled), default=None)
    return set() if last is None else set(segment.stamps[: segment.stamps.index(last) + 1])


def test_what_no_frame_needs_is_left_out(
    clips: Callable[[str], Path], reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading.assert_same(clips("camera.avi"), SAMPLERS["rare"])
    # The first ten, frames 29, 58 and 87, and the last one.
    assert reading.packets == 14
    path = encode(clips("short.mp4").with_name("p.mp4"), draw_pictures(), options={**GOP, "g": "20", "bf": "0"})
    reading.assert_same(path, SAMPLERS["rare"])
    # The first twenty, 20 to 29, 40 to 58, and the last ten.
    assert reading.packets == 20 + 10 + 19 + 10
    # The same frames; of each four pictures two are needed by none.
    reading.assert_same(clips("usual.mp4"), lambda: EveryNSampler(23))
    some = reading.packets
    monkeypatch.setattr(sparse._Segment, "find_needed", find_all)
    reading.assert_same(clips("usual.mp4"), lambda: EveryNSampler(23))
    assert reading.packets > some + 8


def test_frames_shown_before_their_keyframe_need_the_frames_before_it(
    clips: Callable[[str], Path], reading: Reading
) -> None:
    with av.open(str(clips("open.mkv"))) as container:
        stored = [packet for packet in container.demux(video=0) if packet.size]
    shown = sorted(packet.pts for packet in stored if packet.pts is not None)
    keys = [number for number, packet in enumerate(stored) if packet.is_keyframe]
    leading = [
        shown.index(packet.pts)
        for key, end in zip(keys, [*keys[1:], None], strict=True)
        for packet in stored[key + 1 : end]
        if packet.pts is not None and packet.pts < (stored[key].pts or 0)
    ]
    assert len(leading) > 5
    for number in leading:
        (frame,) = reading.assert_same(clips("open.mkv"), lambda number=number: _Chosen({number}))  # type: ignore[misc]
        assert frame.index == number and not reading.was_whole


class _Chosen:
    """The frames of these numbers; remembers what it was asked."""

    def __init__(self, numbers: set[int]) -> None:
        self.numbers = numbers
        self.asked = list[tuple[int, float]]()

    def should_sample(self, index: int, time_s: float) -> bool:
        self.asked.append((index, time_s))
        return index in self.numbers


@pytest.mark.parametrize("damaged", [None, 50, 85])
def test_a_sampler_is_asked_once_about_every_frame_in_order(
    clips: Callable[[str], Path], tmp_path: Path, reading: Reading, damaged: int | None
) -> None:
    path = clips("long.mov") if damaged is None else damage(clips("long.mov"), tmp_path / "a.mov", [damaged])
    sampler, other = _Chosen({0, 30, 61}), _Chosen({0, 30, 61})
    reading.read(path, other, math.inf)
    reading.read(path, sampler, 0)
    assert reading.was_whole == (damaged is not None)
    assert sampler.asked == other.asked and len(other.asked) >= COUNT - 1


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


@pytest.mark.parametrize("part", [1.0, 0.5])
@pytest.mark.parametrize("number", [0, 36, 37, 60, 85, 89])
def test_damage_gives_what_decoding_everything_gives(
    clips: Callable[[str], Path], tmp_path: Path, reading: Reading, number: int, part: float
) -> None:
    path = damage(clips("long.mov"), tmp_path / "a.mov", [number], part)
    for make in SAMPLERS.values():
        reading.assert_same(path, make)
        assert reading.was_whole or part < 1


def test_a_file_that_ends_early_says_so(clips: Callable[[str], Path], tmp_path: Path, reading: Reading) -> None:
    path = tmp_path / "cut.mkv"
    content = clips("usual.mkv").read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    frames = reading.assert_same(path, SAMPLERS["rare"])
    assert frames[-1].problem is not None and not reading.was_whole


def test_an_edit_list_hides_frames_from_parts_too(
    clips: Callable[[str], Path], tmp_path: Path, reading: Reading
) -> None:
    with av.open(str(clips("long.mov"))) as source, av.open(str(tmp_path / "cut.mp4"), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.pts is not None and packet.dts is not None:
                shift = round(Fraction(37, 25) / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copy
                target.mux(packet)
    frames = reading.assert_same(tmp_path / "cut.mp4", lambda: EveryNSampler(20))
    assert [frame.index for frame in frames] == [0, 20, 40] and not reading.was_whole


def test_clocks_and_sizes_that_change(clips: Callable[[str], Path], tmp_path: Path, reading: Reading) -> None:
    usual = clips("usual.ts").read_bytes()
    small = encode(tmp_path / "small.ts", draw_pictures(40, (64, 48)), options=GOP).read_bytes()
    for name, content in {"twice.ts": usual * 2, "smaller.ts": usual + small}.items():
        (tmp_path / name).write_bytes(content)
        for make in SAMPLERS.values():
            reading.assert_same(tmp_path / name, make)
            assert reading.was_whole
    # A recording that begins between two keyframes, and a hole.
    (tmp_path / "late.ts").write_bytes(usual[len(usual) // 3 // 188 * 188 :])
    (tmp_path / "hole.ts").write_bytes(usual[: len(usual) // 2] + usual[len(usual) // 2 + 2000 :])
    for name in ("late.ts", "hole.ts"):
        reading.assert_same(tmp_path / name, SAMPLERS["often"])


@pytest.mark.parametrize("name", ["vp9.webm", "usual.mp4"])
def test_a_keyframe_that_is_none_is_noticed(
    clips: Callable[[str], Path], reading: Reading, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(sparse, "build_role_reader", lambda _: lambda _: Role.CLOSED)
    for make in SAMPLERS.values():
        reading.assert_same(clips(name), make)
        assert reading.was_whole


def test_samplers_of_every_kind(clips: Callable[[str], Path], reading: Reading) -> None:
    path = clips("usual.mp4")
    reading.assert_same(path, AllFramesSampler)
    assert reading.was_whole and reading.packets == 0
    scenes = SceneSampler(path, threshold=5.0)
    assert reading.assert_same(path, lambda: scenes) and not reading.was_whole
    assert reading.assert_same(path, lambda: _Chosen(set())) == []


@pytest.mark.parametrize("damaged", [None, 31, 50])
def test_a_resumed_reading_decodes_what_the_first_one_did(
    clips: Callable[[str], Path], tmp_path: Path, reading: Reading, damaged: int | None
) -> None:
    path = clips("usual.mp4") if damaged is None else damage(clips("usual.mp4"), tmp_path / "a.mp4", [damaged])
    frames = reading.read(path, EveryNSampler(10), 0)
    first = (reading.packets, reading.was_whole)
    resumed = reading.read(path, EveryNSampler(10), 0, after=25)
    assert_equal(resumed, [frame for frame in frames if frame.index > 25])
    assert len(resumed) < len(frames) and (reading.packets, reading.was_whole) == first


def test_a_long_stretch_without_keyframe_is_decoded_as_a_whole(
    clips: Callable[[str], Path], reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparse, "MAX_PACKETS", 29)
    reading.assert_same(clips("long.mov"), SAMPLERS["rare"])
    assert reading.was_whole and reading.packets == 0


@pytest.mark.parametrize(("count", "was_whole", "packets"), [(490, True, 0), (600, False, 263)])
def test_only_long_videos_are_read_in_parts(
    tmp_path: Path, reading: Reading, monkeypatch: pytest.MonkeyPatch, count: int, was_whole: bool, packets: int
) -> None:
    monkeypatch.setattr(sparse, "PROVEN_PACKETS", PROVEN_PACKETS)
    path = encode(tmp_path / "a.mp4", draw_pictures(count, (48, 32)), options={**GOP, "g": "10", "bf": "0"})
    frames = reading.read(path, EveryNSampler(100), LONG_FRAMES)
    assert [frame.index for frame in frames] == list(range(0, count, 100))
    # The first 250, the keyframes at 300, 400 and 500, and the last ten.
    assert (reading.was_whole, reading.packets) == (was_whole, packets)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not on this machine")
@pytest.mark.parametrize("path", sorted(SHARED.glob("data/videos/*.m*")) + sorted(SHARED.glob("cases/*/*.m*")))
def test_real_clips_give_the_same_frames(reading: Reading, path: Path) -> None:
    reading.assert_same(path, SAMPLERS["rare"], threads=2)
