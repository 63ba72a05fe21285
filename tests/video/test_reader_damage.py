"""Files that were broken off or damaged: what is whole comes, at its time, and then a word."""

from pathlib import Path

import av
import pytest

from fer.video.reader import VideoError, iter_frames, open_video
from fer.video.sampling import AllFramesSampler, EveryNSampler
from tests.helpers.clips import number_in, write_clip


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi"])
def test_of_a_truncated_file_the_frames_before_the_damage_come_and_then_a_word(tmp_path: Path, name: str) -> None:
    codec = "mpeg4" if name.endswith("avi") else "libx264"
    front = {"movflags": "faststart"} if name.endswith("mp4") else {}
    whole = write_clip(tmp_path / name, range(200), codec=codec, container_options=front, options={"g": "25"})
    cut = tmp_path / f"cut-{name}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    *frames, last = iter_frames(cut, EveryNSampler(10))
    assert 6 <= len(frames) <= 16
    good = [frame for frame in frames if frame.bgr is not None]
    assert [number_in(frame.bgr) for frame in good[:-1]] == [frame.index for frame in good[:-1]]
    # Where the cut costs a frame that is shown before the last one, the index lags by it; the time never does.
    assert last.bgr is None and last.index <= 160 and last.time_s == pytest.approx(last.index / 25, abs=0.05)
    assert last.problem == f"the file ends after {last.time_s:.1f} s, but declares 8.0 s"


@pytest.mark.parametrize("percent", [55, 60, 62, 65])
def test_the_frames_before_a_cut_do_not_depend_on_the_threads_of_the_decoder(tmp_path: Path, percent: int) -> None:
    front = {"movflags": "faststart"}
    whole = write_clip(tmp_path / "clip.mp4", range(200), container_options=front, options={"g": "25"})
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * percent // 100])
    with av.open(str(cut)) as container:
        stored = [round(packet.pts * packet.time_base * 25) for packet in container.demux(video=0) if packet.size][:-1]
    for threads in (1, 2, 8):
        *frames, last = iter_frames(cut, AllFramesSampler(), threads=threads)
        # All whole frames that the file holds, and not the one that it holds a part of.
        assert [number_in(frame.bgr) for frame in frames] == sorted(stored)
        assert last.time_s == pytest.approx((max(stored) + 1) / 25)


def test_part_of_a_picture_at_the_end_of_a_file_is_no_frame(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "clip.avi", range(50), codec="mjpeg", options={"strict": "unofficial"})
    with av.open(str(whole)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: packets[12].pos + packets[12].size // 2])
    *frames, last = iter_frames(cut, AllFramesSampler())
    assert [number_in(frame.bgr) for frame in frames] == list(range(12)) and last.bgr is None
    cut.write_bytes(whole.read_bytes()[: packets[0].pos + packets[0].size // 2])
    with pytest.raises(VideoError, match="no frame of this video can be decoded"):
        open_video(cut)


def test_damage_in_the_middle_costs_frames_but_neither_the_rest_nor_its_times(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", range(200), options={"g": "20", "bf": "0"})
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.pos is not None and p.size]
    content = bytearray(path.read_bytes())
    for start, size in packets[90:96]:
        content[start : start + size] = bytes(size)
    path.write_bytes(content)
    frames = list(iter_frames(path, AllFramesSampler()))
    assert [frame.index for frame in frames] == list(range(200))
    assert [frame.time_s for frame in frames] == pytest.approx([index / 25 for index in range(200)])
    assert [number_in(frame.bgr) for frame in frames[:90] + frames[100:]] == [*range(90), *range(100, 200)]
