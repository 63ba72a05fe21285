"""Clocks: the frame at a second is the one that a player shows at that second, wherever the file's clock begins."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from fer.video.reader import Frame, iter_frames, open_video
from fer.video.sampling import AllFramesSampler, EveryNSampler, IntervalSampler
from tests.helpers.encoding import X264, draw_number, encode, read_number

AS_IT_IS = {"avoid_negative_ts": "disabled"}


def read(path: Path) -> list[Frame]:
    return list(iter_frames(path, AllFramesSampler()))


def write_shifted(path: Path, first: int, count: int = 75, sound_from: float | None = None, **options: str) -> Path:
    """Frames 0, 1, 2… at ``first / 25`` s and on, beside sound from ``sound_from`` s on; nothing is moved to 0."""
    muxing = {**AS_IT_IS, **options}
    with av.open(str(path), "w", container_options=muxing) as container:
        stream = container.add_stream("libx264", rate=25, options={**X264, "bf": "2", "g": "25"})
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        sound = None if sound_from is None else container.add_stream("mp2", rate=48_000)
        if sound is not None:
            for number in range(round(count / 25 * 48_000 / 1152)):
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 2304), np.int16), format="s16", layout="stereo")
                silence.sample_rate, silence.time_base = 48_000, Fraction(1, 48_000)
                silence.pts = round((sound_from or 0) * 48_000) + number * 1152
                container.mux(sound.encode(silence))
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(draw_number(number), format="bgr24").reformat(format="yuv420p")
            frame.pts, frame.time_base = first + number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def assert_shown(frames: Sequence[Frame], first: int, clock_start: float) -> None:
    """Each frame's number is that of the picture due at its time on a clock that begins at ``clock_start``."""
    assert len(frames) > 20 and all(frame.time_s >= 0 for frame in frames)
    due = [(frame.time_s + clock_start) * 25 - first for frame in frames]
    assert [read_number(frame.bgr) for frame in frames] == pytest.approx(due, abs=0.3)


@pytest.mark.parametrize("first", [-8, -30, 12])
@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.mp4"])
def test_pictures_that_begin_before_or_after_the_sound(tmp_path: Path, name: str, first: int) -> None:
    path = write_shifted(tmp_path / name, first, sound_from=0.0)
    frames = read(path)
    # Matroska has no times below 0 and MP4 leaves them out: there the clock begins with the sound.
    clock_start = min(0.0, first / 25) if name == "a.ts" else 0.0
    assert_shown(frames, first, clock_start)
    assert frames[-1].time_s + clock_start == pytest.approx((first + 74) / 25, abs=0.012)


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.mp4"])
def test_a_silent_file_that_begins_before_zero(tmp_path: Path, name: str) -> None:
    frames = read(write_shifted(tmp_path / name, -30))
    start = frames[0].index if name == "a.mkv" else read_number(frames[0].bgr)
    assert [read_number(frame.bgr) - start for frame in frames] == pytest.approx(
        [frame.time_s * 25 for frame in frames], abs=0.06
    )
    assert frames[0].time_s == pytest.approx(0, abs=0.04)


@pytest.mark.parametrize("first", [1, 2, 7, 11, 13])
def test_the_first_frame_is_there_however_its_time_is_rounded(tmp_path: Path, first: int) -> None:
    pictures, rate = [draw_number(n) for n in range(30)], Fraction(30_000, 1001)
    path = encode(tmp_path / "a.ts", pictures, rate=rate, stamps=range(first, first + 30))
    frames = read(path)
    assert [read_number(frame.bgr) for frame in frames] == list(range(30))
    assert str(frames[0].time_s) == str(open_video(path).start_s) == "0.0"


def test_frames_before_the_clock_are_counted_but_never_sampled(tmp_path: Path) -> None:
    path = write_shifted(tmp_path / "a.mkv", -30, sound_from=0.0)
    assert open_video(path).start_s == pytest.approx(-1.2, abs=0.002)
    for sampler in (AllFramesSampler(), EveryNSampler(4), IntervalSampler(5.0)):
        frames = list(iter_frames(path, sampler))
        assert [read_number(frame.bgr) for frame in frames] == [frame.index for frame in frames]
        assert 30 <= frames[0].index <= 33


def test_an_edit_list_hides_the_frames_before_its_cut(tmp_path: Path) -> None:
    whole = encode(tmp_path / "whole.mp4", [draw_number(n) for n in range(75)], options={**X264, "g": "25", "bf": "2"})
    cut = tmp_path / "cut.mp4"
    with av.open(str(whole)) as source, av.open(str(cut), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.size:
                shift = round(Fraction(12, 25) / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copy
                target.mux(packet)
    frames = read(cut)
    assert [read_number(frame.bgr) for frame in frames] == list(range(12, 75))
    assert [frame.time_s for frame in frames] == pytest.approx([n / 25 for n in range(63)], abs=1e-3)


@pytest.mark.parametrize(("codec", "delay"), [("libx264", 2), ("mpeg4", 1)])
def test_an_avi_with_reordered_frames_keeps_an_even_pace(tmp_path: Path, codec: str, delay: int) -> None:
    options = {**X264, "bf": "2"} if codec == "libx264" else {"bf": "2", "qmin": "1", "qmax": "3"}
    frames = read(encode(tmp_path / "a.avi", [draw_number(n) for n in range(40)], codec=codec, options=options))
    assert [read_number(frame.bgr) for frame in frames] == list(range(40))
    assert np.diff([frame.time_s for frame in frames]) == pytest.approx(1 / 25)
    assert frames[0].time_s <= delay / 25 + 1e-6


def test_the_clock_of_a_transport_stream_may_wrap(tmp_path: Path) -> None:
    """33 bits of 1/90,000 s are full after 26.5 hours."""
    first = round(2**33 / 3600) - 40
    frames = read(write_shifted(tmp_path / "a.ts", first, muxdelay="0"))
    assert [read_number(frame.bgr) for frame in frames] == list(range(75))
    assert [frame.time_s for frame in frames] == pytest.approx([n / 25 for n in range(75)], abs=1e-3)


@pytest.mark.parametrize("jump", [-500, 500])
def test_a_clock_that_jumps_leaves_times_that_increase(tmp_path: Path, jump: int) -> None:
    parts = [write_shifted(tmp_path / f"{number}.ts", 1000 + number * jump, 50) for number in (0, 1)]
    path = tmp_path / "a.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames = read(path)
    assert [read_number(frame.bgr) for frame in frames] == [*range(50), *range(50)]
    assert (np.diff([frame.time_s for frame in frames]) > 0).all()
    assert [frame.time_s for frame in frames[:50]] == pytest.approx([n / 25 for n in range(50)], abs=1e-3)


@pytest.mark.parametrize("threads", [1, 4])
def test_what_the_decoder_refuses_costs_frames_and_never_ends_the_video(tmp_path: Path, threads: int) -> None:
    path = encode(tmp_path / "a.mov", [draw_number(n) for n in range(60)], codec="png", pix_fmt="rgb24")
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    for position, size in packets[20:23] + packets[40:41]:
        content[position : position + size] = bytes(size)
    path.write_bytes(content)
    frames = list(iter_frames(path, AllFramesSampler(), threads=threads))
    assert [frame.index for frame in frames] == list(range(60))
    assert [frame.index for frame in frames if frame.problem] == [20, 21, 22, 40]
    assert all(read_number(frame.bgr) == frame.index for frame in frames if not frame.problem)
    assert [frame.time_s for frame in frames] == pytest.approx([n / 25 for n in range(60)], abs=1e-3)
