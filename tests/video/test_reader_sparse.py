"""Reading no more than the sampled frames need: the same frames as from decoding everything, to the last byte."""

import struct
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

import fer.video.reader
from fer.video import sparse
from fer.video.reader import LONG_FRAMES, iter_frames
from fer.video.sampling import AllFramesSampler, EveryNSampler, SceneSampler
from fer.video.sparse import PROVEN_PACKETS
from tests.helpers.clips import write_clip
from tests.helpers.encoding import encode
from tests.helpers.partial_reading import (
    COUNT,
    GOP,
    PARTS,
    SAMPLERS,
    WHOLE,
    ChosenSampler,
    ClipShelf,
    Reading,
    draw_pictures,
)
from tests.helpers.paths import SHARED

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", PARTS)
def test_parts_give_the_frames_of_the_whole(clips: ClipShelf, reading: Reading, name: str) -> None:
    for kind, make in SAMPLERS.items():
        for threads in (1, 2):
            frames = reading.assert_same(clips.get(name), make, threads)
            assert len(frames) > 2 and not reading.was_whole
            assert kind == "often" or reading.packets < COUNT


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_out_of_the_ordinary_is_decoded_as_a_whole(clips: ClipShelf, reading: Reading, name: str) -> None:
    reading.assert_same(clips.get(name), SAMPLERS["rare"])
    assert reading.was_whole


def find_all(segment: Any) -> set[int]:
    """Of a segment that is needed everything up to its last sampled frame."""
    last = max((frame.stamp for frame in segment.frames if frame.is_sampled), default=None)
    return set() if last is None else set(segment.stamps[: segment.stamps.index(last) + 1])


def test_what_no_frame_needs_is_left_out(clips: ClipShelf, reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    reading.assert_same(clips.get("camera.avi"), SAMPLERS["rare"])
    # The first ten, frames 29, 58 and 87, and the last one.
    assert reading.packets == 14
    path = encode(clips.get("short.mp4").with_name("p.mp4"), draw_pictures(), options={**GOP, "g": "20", "bf": "0"})
    reading.assert_same(path, SAMPLERS["rare"])
    # The first twenty, 20 to 29, 40 to 58, and the last ten.
    assert reading.packets == 20 + 10 + 19 + 10
    # The same frames; of each four pictures two are needed by none.
    reading.assert_same(clips.get("usual.mp4"), lambda: EveryNSampler(23))
    some = reading.packets
    monkeypatch.setattr(sparse._Segment, "find_needed", find_all)
    reading.assert_same(clips.get("usual.mp4"), lambda: EveryNSampler(23))
    assert reading.packets > some + 8


def test_frames_shown_before_their_keyframe_need_the_frames_before_it(clips: ClipShelf, reading: Reading) -> None:
    with av.open(str(clips.get("open.mkv"))) as container:
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
        (frame,) = reading.assert_same(clips.get("open.mkv"), lambda number=number: ChosenSampler({number}))  # type: ignore[misc]
        assert frame.index == number and not reading.was_whole


def test_an_edit_list_hides_frames_from_parts_too(clips: ClipShelf, tmp_path: Path, reading: Reading) -> None:
    with av.open(str(clips.get("long.mov"))) as source, av.open(str(tmp_path / "cut.mp4"), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.pts is not None and packet.dts is not None:
                shift = round(Fraction(37, 25) / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copy
                target.mux(packet)
    frames = reading.assert_same(tmp_path / "cut.mp4", lambda: EveryNSampler(20))
    assert [frame.index for frame in frames] == [0, 20, 40] and not reading.was_whole


def test_an_edit_list_hides_the_end_from_parts_too(clips: ClipShelf, tmp_path: Path, reading: Reading) -> None:
    content = bytearray(clips.get("short.mp4").read_bytes())
    place = content.index(b"elst") + 12
    # Of 3.6 seconds, in thousandths.
    content[place : place + 4] = struct.pack(">I", 2600)
    (tmp_path / "cut.mp4").write_bytes(content)
    frames = reading.assert_same(tmp_path / "cut.mp4", lambda: EveryNSampler(20))
    assert [frame.index for frame in frames if frame.bgr is not None] == [0, 20, 40, 60] and not reading.was_whole


def test_a_leap_over_hundreds_of_frames(tmp_path: Path, reading: Reading) -> None:
    options = {"preset": "ultrafast", "x265-params": "log-level=none:keyint=10:min-keyint=10:open-gop=1:bframes=3"}
    # Of smaller pictures x265 fails at random.
    path = encode(tmp_path / "a.mkv", draw_pictures(500, (96, 64)), codec="libx265", options=options)
    for step in (139, 203):
        assert len(reading.assert_same(path, lambda step=step: EveryNSampler(step))) > 2  # type: ignore[misc]
        assert not reading.was_whole and reading.packets < 70


def test_samplers_of_every_kind(clips: ClipShelf, reading: Reading) -> None:
    path = clips.get("usual.mp4")
    reading.assert_same(path, AllFramesSampler)
    assert reading.was_whole and reading.packets == 0
    scenes = SceneSampler(path, threshold=5.0)
    assert reading.assert_same(path, lambda: scenes) and not reading.was_whole
    assert reading.assert_same(path, lambda: ChosenSampler(set())) == []


def test_a_long_stretch_without_keyframe_is_decoded_as_a_whole(
    clips: ClipShelf, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparse, "MAX_PACKETS", 29)
    reading.assert_same(clips.get("long.mov"), SAMPLERS["rare"])
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


@pytest.mark.parametrize("long_frames", [0, 1000])
def test_closing_stops_the_thread_even_where_nothing_more_is_sampled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long_frames: int
) -> None:
    asked = set()

    class FirstOnly:
        def should_sample(self, index: int, time_s: float) -> bool:
            time.sleep(0.002)  # else the thread is through before it is stopped
            asked.add(index)
            return index == 0

    monkeypatch.setattr(fer.video.reader, "LONG_FRAMES", long_frames)
    before = threading.active_count()
    frames = iter_frames(write_clip(tmp_path / "clip.mp4", range(500), options={"g": "20"}), FirstOnly())
    assert isinstance(frames, Iterator) and next(frames).index == 0
    frames.close()
    assert threading.active_count() == before and len(asked) < 500


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not on this machine")
@pytest.mark.parametrize("path", sorted(SHARED.glob("data/videos/*.m*")) + sorted(SHARED.glob("cases/*/*.m*")))
def test_real_clips_give_the_same_frames(reading: Reading, path: Path) -> None:
    reading.assert_same(path, SAMPLERS["rare"], threads=2)
