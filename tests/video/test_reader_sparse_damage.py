"""Reading in parts where a file is damaged, odd or wrong about itself: what decoding everything gives."""

import math
from fractions import Fraction
from pathlib import Path

import av
import pytest

from fer.video import decoder, sparse
from fer.video.keyframes import Role
from fer.video.sampling import EveryNSampler
from tests.helpers.encoding import encode
from tests.helpers.partial_reading import (
    COUNT,
    GOP,
    SAMPLERS,
    ChosenSampler,
    ClipShelf,
    Reading,
    assert_equal,
    damage,
    draw_pictures,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("damaged", [None, 50, 85])
def test_a_sampler_is_asked_once_about_every_frame_in_order(
    clips: ClipShelf, tmp_path: Path, reading: Reading, damaged: int | None
) -> None:
    path = clips.get("long.mov") if damaged is None else damage(clips.get("long.mov"), tmp_path / "a.mov", [damaged])
    sampler, other = ChosenSampler({0, 30, 61}), ChosenSampler({0, 30, 61})
    reading.read(path, other, math.inf)
    reading.read(path, sampler, 0)
    assert reading.was_whole == (damaged is not None)
    assert sampler.asked == other.asked and len(other.asked) >= COUNT - 1


@pytest.mark.parametrize("part", [1.0, 0.5])
@pytest.mark.parametrize("number", [0, 36, 37, 60, 85, 89])
def test_damage_gives_what_decoding_everything_gives(
    clips: ClipShelf, tmp_path: Path, reading: Reading, number: int, part: float
) -> None:
    path = damage(clips.get("long.mov"), tmp_path / "a.mov", [number], part)
    for make in SAMPLERS.values():
        reading.assert_same(path, make)
        assert reading.was_whole or part < 1


def test_last_frames_that_do_not_come_out_of_the_decoder(
    clips: ClipShelf, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparse._PlannedDecoder, "drain", lambda _: iter(()))
    reading.assert_same(clips.get("usual.mp4"), lambda: ChosenSampler({COUNT - 1}))
    assert reading.was_whole


def test_a_file_that_ends_early_says_so(clips: ClipShelf, tmp_path: Path, reading: Reading) -> None:
    path = tmp_path / "cut.mkv"
    content = clips.get("usual.mkv").read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    frames = reading.assert_same(path, SAMPLERS["rare"])
    assert frames[-1].problem is not None and not reading.was_whole


def test_clocks_and_sizes_that_change(clips: ClipShelf, tmp_path: Path, reading: Reading) -> None:
    usual = clips.get("usual.ts").read_bytes()
    small = encode(tmp_path / "small.ts", draw_pictures(40, (64, 48)), options=GOP).read_bytes()
    for name, content in {"twice.ts": usual * 2, "smaller.ts": usual + small}.items():
        (tmp_path / name).write_bytes(content)
        for make in SAMPLERS.values():
            reading.assert_same(tmp_path / name, make)
            assert reading.was_whole
    # A recording that begins between two keyframes.
    (tmp_path / "late.ts").write_bytes(usual[len(usual) // 3 // 188 * 188 :])
    reading.assert_same(tmp_path / "late.ts", SAMPLERS["often"])


def test_a_hole_is_noticed_where_nothing_is_sampled(clips: ClipShelf, tmp_path: Path, reading: Reading) -> None:
    with av.open(str(clips.get("usual.ts"))) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    assert places[42] is not None
    usual = clips.get("usual.ts").read_bytes()
    (tmp_path / "hole.ts").write_bytes(usual[: places[42]] + usual[places[42] + 188 :])
    reading.assert_same(tmp_path / "hole.ts", lambda: ChosenSampler({60}))
    assert reading.was_whole


def test_a_size_that_changes_at_a_keyframe(clips: ClipShelf, tmp_path: Path, reading: Reading) -> None:
    later = range(COUNT + 10, COUNT + 50)
    small = encode(tmp_path / "small.ts", draw_pictures(40, (64, 48)), options=GOP, stamps=later)
    with av.open(str(tmp_path / "a.ts"), "w") as target:
        streams = []
        for path in (clips.get("usual.ts"), small):
            with av.open(str(path)) as source:
                streams = streams or [target.add_stream_from_template(source.streams.video[0])]
                for packet in source.demux(video=0):
                    if packet.size:
                        packet.stream = streams[0]
                        target.mux(packet)
    for chosen in ({88, 100}, {89}, {COUNT}):
        reading.assert_same(tmp_path / "a.ts", lambda chosen=chosen: ChosenSampler(chosen))  # type: ignore[misc]
        assert reading.was_whole


def test_what_comes_beside_a_packet_and_changes_the_stream(
    clips: ClipShelf, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading.assert_same(clips.get("usual.ts"), SAMPLERS["rare"])
    assert not reading.was_whole
    monkeypatch.setattr(sparse, "_CHANGES", ("new_extradata", "mpegts_stream_id"))
    reading.assert_same(clips.get("usual.ts"), SAMPLERS["rare"])
    assert reading.was_whole


def test_times_that_are_too_close(tmp_path: Path, reading: Reading) -> None:
    stamps = [0, 4, *(number * 400_000 for number in range(1, COUNT - 1))]
    path = encode(tmp_path / "a.mov", draw_pictures(), options=GOP, stamps=stamps, rate=Fraction(10_000_000))
    reading.assert_same(path, SAMPLERS["rare"])
    assert reading.was_whole


def test_frames_before_the_clock_are_not_sampled(
    clips: ClipShelf, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (sparse, decoder):
        monkeypatch.setattr(module, "get_clock_start", lambda _: 0.9)
    frames = reading.assert_same(clips.get("usual.mp4"), _EleventhSampler)
    # That of 0.9 s is the 23rd frame.
    assert [frame.index for frame in frames] == [23, 34, 45, 56, 67, 78, 89] and not reading.was_whole


class _EleventhSampler:
    """Every eleventh frame that it is asked about."""

    def __init__(self) -> None:
        self.count = 0

    def should_sample(self, index: int, time_s: float) -> bool:
        self.count += 1
        return self.count % 11 == 1


@pytest.mark.parametrize("name", ["vp9.webm", "usual.mp4"])
def test_a_keyframe_that_is_none_is_noticed(
    clips: ClipShelf, reading: Reading, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(sparse, "build_role_reader", lambda _: lambda _: Role.CLOSED)
    for make in SAMPLERS.values():
        reading.assert_same(clips.get(name), make)
        assert reading.was_whole


@pytest.mark.parametrize("damaged", [None, 31, 50])
def test_a_resumed_reading_decodes_what_the_first_one_did(
    clips: ClipShelf, tmp_path: Path, reading: Reading, damaged: int | None
) -> None:
    path = clips.get("usual.mp4") if damaged is None else damage(clips.get("usual.mp4"), tmp_path / "a.mp4", [damaged])
    frames = reading.read(path, EveryNSampler(10), 0)
    first = (reading.packets, reading.was_whole)
    resumed = reading.read(path, EveryNSampler(10), 0, after=25)
    assert_equal(resumed, [frame for frame in frames if frame.index > 25])
    assert len(resumed) < len(frames) and (reading.packets, reading.was_whole) == first
