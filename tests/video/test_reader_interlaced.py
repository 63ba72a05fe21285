"""Interlaced videos: whole frames of the first field, at the times of the source, never another file's pixels."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer.video.reader import Frame, iter_frames, open_video
from fer.video.sampling import AllFramesSampler, EveryNSampler
from tests.helpers.encoding import INTERLACED_X264, draw_fields, draw_number, encode, read_number

NTSC = Fraction(30_000, 1001)
MPEG2 = {"flags": "+ildct+ilme", "qmin": "1", "qmax": "2", "bf": "2"}
KINDS: dict[str, dict[str, Any]] = {
    "clip.mp4": {"options": INTERLACED_X264},
    "bottom.mkv": {"options": INTERLACED_X264, "field_order": "bff"},
    "wide.mp4": {"options": INTERLACED_X264, "pix_fmt": "yuv422p"},
    "deep.mp4": {"options": INTERLACED_X264, "pix_fmt": "yuv420p10le"},
    "tape.mpg": {"codec": "mpeg2video", "options": MPEG2},
    "tape.m2v": {"codec": "mpeg2video", "options": MPEG2, "field_order": "bff"},
    "tape.ts": {"codec": "mpeg2video", "options": MPEG2},
    "pal.dv": {"codec": "dvvideo", "size": (720, 576), "field_order": "bff"},
    "pal.avi": {"codec": "dvvideo", "size": (720, 576), "field_order": "bff"},
    "ntsc.mov": {"codec": "dvvideo", "size": (720, 480), "pix_fmt": "yuv411p", "rate": NTSC, "field_order": "bff"},
    "studio.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le", "options": {"flags": "+ildct"}},
    "camera.MTS": {"options": INTERLACED_X264, "size": (1920, 1080), "container_format": "mpegts"},
}
COUNT = 8


def write_interlaced(folder: Path, name: str) -> Path:
    kind = dict(KINDS[name])
    (width, height), field_order = kind.pop("size", (256, 128)), kind.pop("field_order", "tff")
    pictures = [draw_fields(number + 20, width, height, field_order == "bff") for number in range(COUNT)]
    return encode(folder / name, pictures, field_order=field_order, **kind)


def read(path: Path) -> list[Frame]:
    return list(iter_frames(path, AllFramesSampler()))


def measure_combing(bgr: np.ndarray) -> float:
    """Mean difference of a line and its neighbours' mean, grey levels, above the foot of the picture."""
    gray = bgr[: bgr.shape[0] * 5 // 8].mean(axis=2)
    return float(np.abs(gray[1:-1] - (gray[:-2] + gray[2:]) / 2).mean())


@pytest.mark.parametrize("name", KINDS)
def test_a_frame_is_the_field_filmed_first_and_nothing_of_the_other(tmp_path: Path, name: str) -> None:
    frames = read(write_interlaced(tmp_path, name))
    assert [frame.problem for frame in frames] == [None] * COUNT
    assert [read_number(frame.bgr) for frame in frames] == [2 * (number + 20) for number in range(COUNT)]
    assert max(measure_combing(frame.bgr) for frame in frames if frame.bgr is not None) < 3
    first, rate = frames[0].time_s, KINDS[name].get("rate", 25)
    assert [frame.index for frame in frames] == list(range(COUNT))
    assert [frame.time_s - first for frame in frames] == pytest.approx([n / rate for n in range(COUNT)], abs=2e-3)


def test_a_file_read_before_leaves_nothing_behind(tmp_path: Path) -> None:
    other = encode(tmp_path / "a.mp4", [draw_number(255, 256, 128)] * 10)
    for name in ("clip.mp4", "tape.mpg", "pal.dv"):
        read(other)
        frames = read(write_interlaced(tmp_path, name))
        assert [read_number(frame.bgr) for frame in frames] == [2 * (number + 20) for number in range(COUNT)]


def test_a_sampled_frame_is_the_same_as_among_all(tmp_path: Path) -> None:
    path = write_interlaced(tmp_path, "clip.mp4")
    every = read(path)
    for frame in iter_frames(path, EveryNSampler(3), threads=1):
        assert np.array_equal(frame.bgr, every[frame.index].bgr)


def test_a_progressive_frame_keeps_every_line(tmp_path: Path) -> None:
    lines = np.zeros((128, 256, 3), np.uint8)
    lines[::2] = 200
    frames = read(encode(tmp_path / "lines.mp4", [lines] * 3, options={"preset": "ultrafast", "qp": "0"}))
    assert all(np.abs(frame.bgr.astype(int) - lines).max() <= 5 for frame in frames if frame.bgr is not None)


def test_interlaced_pictures_lose_no_resolution_of_colour(tmp_path: Path) -> None:
    picture = np.full((128, 256, 3), (60, 90, 200), np.uint8)
    (frame, *_) = read(encode(tmp_path / "red.mp4", [picture] * 3, options=INTERLACED_X264))
    assert frame.bgr is not None and np.abs(frame.bgr.astype(int) - picture).max() <= 4


def test_the_size_of_dv_is_the_one_shown(tmp_path: Path) -> None:
    info = open_video(write_interlaced(tmp_path, "pal.dv"))
    assert (info.width, info.height, info.codec) == (768, 576, "dvvideo")
