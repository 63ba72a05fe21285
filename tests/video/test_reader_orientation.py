"""Turned and mirrored videos, against pictures that were drawn: each of the eight ways that a picture can lie."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from fer.video.reader import iter_frames, open_video
from fer.video.sampling import AllFramesSampler
from tests.helpers.encoding import draw_quarters, encode, read_quarters

ONE = 1 << 16
# How a player moves the point (x, y) of the stored picture, as (a, b, c, d) of x' = a x + c y, y' = b x + d y; what it
# does to a picture as NumPy says it; and the clockwise turn, after a mirror, that the table of videos tells.
WAYS = {
    "upright": ((1, 0, 0, 1), lambda image: image, 0),
    "turned 90": ((0, 1, -1, 0), lambda image: np.rot90(image, -1), 90),
    "turned 180": ((-1, 0, 0, -1), lambda image: np.rot90(image, 2), 180),
    "turned 270": ((0, -1, 1, 0), lambda image: np.rot90(image), 270),
    "mirrored": ((-1, 0, 0, 1), lambda image: image[:, ::-1], 0),
    "mirrored upside down": ((1, 0, 0, -1), lambda image: image[::-1], 180),
    "mirrored and turned 90": ((0, -1, -1, 0), lambda image: np.rot90(image[:, ::-1], -1), 90),
    "mirrored and turned 270": ((0, 1, 1, 0), lambda image: np.rot90(image[:, ::-1]), 270),
}


def build_matrix(way: str) -> list[int]:
    a, b, c, d = (number * ONE for number in WAYS[way][0])
    return [a, b, 0, c, d, 0, 0, 0, 1 << 30]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["phone.mp4", "phone.mov"])
def test_pictures_come_as_the_display_matrix_asks(tmp_path: Path, name: str, way: str) -> None:
    stored = draw_quarters(128, 64)
    path = encode(tmp_path / name, [stored] * 3, matrix=build_matrix(way))
    shown = WAYS[way][1](stored)
    frames = list(iter_frames(path, AllFramesSampler()))
    assert len(frames) == 3
    for frame in frames:
        assert frame.bgr is not None and frame.bgr.shape == shown.shape and frame.bgr.flags.c_contiguous
        assert np.abs(read_quarters(frame.bgr).astype(int) - read_quarters(shown)).max() <= 6
    info = open_video(path)
    assert (info.height, info.width) == shown.shape[:2] and info.rotation == WAYS[way][2]


@pytest.mark.parametrize("way", ["turned 90", "turned 180", "turned 270", "mirrored"])
def test_matroska_keeps_the_orientation_as_a_projection(tmp_path: Path, way: str) -> None:
    stored = draw_quarters(128, 64)
    path = encode(tmp_path / "phone.mkv", [stored] * 3, matrix=build_matrix(way))
    frame = next(iter(iter_frames(path, AllFramesSampler())))
    shown = WAYS[way][1](stored)
    assert frame.bgr is not None and frame.bgr.shape == shown.shape
    assert np.abs(read_quarters(frame.bgr).astype(int) - read_quarters(shown)).max() <= 6


@pytest.mark.parametrize(("rotate", "flip"), [(90, ""), (270, ""), (0, "horizontal"), (90, "horizontal")])
def test_a_stream_may_ask_for_its_orientation_itself(tmp_path: Path, rotate: int, flip: str) -> None:
    """The message "display orientation" of H.264: a mirror first, then a turn against the clock."""
    stored = draw_quarters(128, 64)
    plain = encode(tmp_path / "plain.ts", [stored] * 30)
    path = tmp_path / "camera.ts"
    words = f"h264_metadata=display_orientation=insert:rotate={rotate}" + (f":flip={flip}" if flip else "")
    with av.open(str(plain)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        oriented = BitStreamFilterContext(words, stream)
        for packet in source.demux(stream):
            for written in oriented.filter(packet if packet.size else None):
                written.stream = copy
                target.mux(written)
    frame = next(iter(iter_frames(path, AllFramesSampler())))
    shown = np.rot90(stored[:, ::-1] if flip else stored, rotate // 90)
    assert frame.bgr is not None and frame.bgr.shape == shown.shape
    assert np.abs(read_quarters(frame.bgr).astype(int) - read_quarters(shown)).max() <= 6


@pytest.mark.parametrize("way", ["turned 90", "mirrored", "mirrored and turned 270"])
def test_pixels_are_made_square_before_the_picture_is_turned(tmp_path: Path, way: str) -> None:
    path = encode(tmp_path / "phone.mp4", [draw_quarters(128, 64)] * 3, aspect=Fraction(3, 2), matrix=build_matrix(way))
    shown = WAYS[way][1](draw_quarters(192, 64))
    frame = next(iter(iter_frames(path, AllFramesSampler())))
    assert frame.bgr is not None and frame.bgr.shape == shown.shape
    assert np.abs(read_quarters(frame.bgr).astype(int) - read_quarters(shown)).max() <= 6
    assert (open_video(path).height, open_video(path).width) == shown.shape[:2]


@pytest.mark.slow
def test_a_camera_that_is_a_little_askew_is_turned_to_the_nearest_quarter(tmp_path: Path) -> None:
    cos, sin = round(0.9962 * ONE), round(0.0872 * ONE)
    path = encode(tmp_path / "a.mp4", [draw_quarters(128, 64)] * 2, matrix=[-sin, cos, 0, -cos, -sin, 0, 0, 0, 1 << 30])
    assert open_video(path).rotation == 90
