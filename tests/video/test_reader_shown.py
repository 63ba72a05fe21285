"""Aspect ratios, streams, sizes, colours and depths: what a player shows, against pictures that were drawn."""

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from fer.video.reader import Frame, iter_frames, open_video
from fer.video.sampling import AllFramesSampler
from tests.helpers.encoding import X264, draw_number, draw_quarters, encode, read_number, read_quarters


def read(path: Path) -> list[Frame]:
    return list(iter_frames(path, AllFramesSampler()))


def get_shape(frame: Frame) -> tuple[int, ...]:
    assert frame.bgr is not None
    return frame.bgr.shape


ASPECTS = [
    ("hdv.mp4", (1440, 1080), Fraction(4, 3), 1920, {}),
    ("pal_wide.mp4", (720, 576), Fraction(64, 45), 1024, {}),
    ("ntsc.mp4", (720, 480), Fraction(8, 9), 640, {}),
    ("ntsc_odd.mkv", (720, 480), Fraction(10, 11), 655, {}),
    ("pal.ts", (720, 576), Fraction(16, 15), 768, {}),
    ("pal.mpg", (720, 576), Fraction(16, 15), 768, {"codec": "mpeg2video"}),
    ("vp9.mp4", (320, 240), Fraction(3, 2), 480, {"codec": "libvpx-vp9", "options": {"cpu-used": "8"}}),
    ("old.avi", (352, 288), Fraction(12, 11), 384, {"codec": "mpeg4"}),
    ("square.mp4", (320, 240), Fraction(1, 1), 320, {}),
    ("unset.mp4", (320, 240), None, 320, {}),
    ("absurd.mp4", (320, 240), Fraction(1, 1000), 320, {}),
    ("absurd_too.ts", (320, 240), Fraction(200, 1), 320, {}),
]


@pytest.mark.parametrize(("name", "size", "aspect", "width", "how"), ASPECTS)
def test_pixels_are_square(
    tmp_path: Path, name: str, size: tuple[int, int], aspect: Fraction | None, width: int, how: dict[str, Any]
) -> None:
    path = encode(tmp_path / name, [draw_number(n, *size) for n in (7, 8, 9)], aspect=aspect, **how)
    info, frames = open_video(path), read(path)
    assert (info.width, info.height) == (width, size[1])
    assert [get_shape(frame) for frame in frames] == [(size[1], width, 3)] * 3
    assert [read_number(frame.bgr) for frame in frames] == [7, 8, 9]


def test_a_circle_stays_a_circle(tmp_path: Path) -> None:
    stored = np.zeros((480, 720, 3), np.uint8)
    cv2.ellipse(stored, (360, 240), (round(150 * 3 / 4), 150), 0, 0, 360, (255, 255, 255), -1)
    frame = read(encode(tmp_path / "disc.mp4", [stored] * 2, aspect=Fraction(4, 3)))[0]
    assert frame.bgr is not None
    rows, columns = np.nonzero(frame.bgr[..., 1] > 128)
    assert np.ptp(rows) == pytest.approx(300, abs=2) and np.ptp(columns) == pytest.approx(300, abs=3)


def test_the_container_is_believed_before_the_codec(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", [draw_number(5, 320, 240)] * 2, aspect=Fraction(2, 1))
    content = path.read_bytes()
    box = content.index(b"pasp") + 4
    path.write_bytes(content[:box] + struct.pack(">II", 3, 2) + content[box + 8 :])
    assert get_shape(read(path)[0]) == (240, 480, 3)


def join(path: Path, parts: list[Path]) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def test_the_aspect_ratio_may_change_in_mid_stream(tmp_path: Path) -> None:
    pictures = [draw_number(n, 320, 240) for n in range(10)]
    parts = [
        encode(tmp_path / f"{ratio}.h264", pictures, aspect=Fraction(ratio, 3), container_format="h264")
        for ratio in (3, 4)
    ]
    widths = [get_shape(frame)[1] for frame in read(join(tmp_path / "a.h264", parts))]
    assert widths == [320] * 10 + [427] * 10


def test_the_size_may_change_in_mid_stream(tmp_path: Path) -> None:
    parts = [
        encode(
            tmp_path / f"{width}.ts", [draw_number(n, width, 128) for n in range(10)], stamps=range(start, start + 10)
        )
        for width, start in ((256, 0), (384, 10))
    ]
    frames = read(join(tmp_path / "a.ts", parts))
    assert [get_shape(frame) for frame in frames] == [(128, 256, 3)] * 10 + [(128, 384, 3)] * 10
    assert [read_number(frame.bgr) for frame in frames] == [*range(10), *range(10)]
    assert [frame.time_s for frame in frames] == pytest.approx([n / 25 for n in range(20)], abs=1e-3)


def write_two_streams(path: Path, default: int, sizes: list[tuple[int, int]]) -> Path:
    """Stream n shows the number 100 + n."""
    with av.open(str(path), "w") as container:
        streams = []
        for number, (width, height) in enumerate(sizes):
            stream = container.add_stream("libx264", rate=25, options=X264)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.disposition = av.stream.Disposition.default if number == default else av.stream.Disposition(0)
            streams.append(stream)
        for pts in range(5):
            for number, stream in enumerate(streams):
                picture = draw_number(100 + number, stream.width, stream.height)
                frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format="yuv420p")
                frame.pts, frame.time_base = pts, Fraction(1, 25)
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
@pytest.mark.parametrize("default", [0, 1, 2])
def test_of_several_streams_the_default_one_is_shown(tmp_path: Path, name: str, default: int) -> None:
    path = write_two_streams(tmp_path / name, default, [(256, 128), (384, 192), (128, 64)])
    assert [read_number(frame.bgr) for frame in read(path)] == [100 + default] * 5
    assert open_video(path).width == (256, 384, 128)[default]


def test_without_a_default_stream_the_largest_is_shown(tmp_path: Path) -> None:
    path = write_two_streams(tmp_path / "a.ts", -1, [(256, 128), (384, 192), (128, 64)])
    assert [read_number(frame.bgr) for frame in read(path)] == [101] * 5


DEEP = [
    ("hevc.mp4", "libx265", "yuv420p10le", {"preset": "ultrafast", "x265-params": "log-level=none"}),
    ("high.mkv", "libx264", "yuv422p10le", X264),
    ("av1.mp4", "libsvtav1", "yuv420p10le", {"preset": "13", "crf": "10"}),
    ("av1.webm", "libsvtav1", "yuv420p", {"preset": "13", "crf": "10"}),
    ("alpha.webm", "libvpx-vp9", "yuva420p", {"cpu-used": "8", "deadline": "realtime", "crf": "10", "b": "0"}),
    ("alpha.mov", "prores_ks", "yuva444p10le", {"profile": "4444"}),
    ("motion.avi", "mjpeg", "yuvj422p", {"qmin": "1", "qmax": "2"}),
    ("lossless.mkv", "ffv1", "bgr0", {}),
]


@pytest.mark.parametrize(("name", "codec", "pix_fmt", "options"), DEEP)
def test_colours_of_all_depths_and_kinds(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, options: dict[str, str]
) -> None:
    drawn = draw_quarters(256, 128)
    frames = read(encode(tmp_path / name, [drawn] * 4, codec=codec, pix_fmt=pix_fmt, options=options))
    assert len(frames) == 4
    for frame in frames:
        assert frame.bgr is not None and np.abs(read_quarters(frame.bgr).astype(int) - read_quarters(drawn)).max() <= 8


# Shares of red and blue in luminance, and the number by which streams name the matrix.
MATRICES = {"bt709": (0.2126, 0.0722, 1), "bt601": (0.299, 0.114, 6), "bt2020": (0.2627, 0.0593, 9)}


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
def test_matrix_and_range_of_colours_are_those_the_stream_names(tmp_path: Path, matrix: str, full_range: bool) -> None:
    red, blue, number = MATRICES[matrix]
    drawn = draw_quarters(256, 128)
    b, g, r = np.moveaxis(drawn / 255, -1, 0)
    luma = red * r + (1 - red - blue) * g + blue * b
    chroma = [(b - luma) / (2 - 2 * blue), (r - luma) / (2 - 2 * red)]
    offset, scale, scale_chroma = (0, 255, 255) if full_range else (16, 219, 224)
    planes = [offset + scale * luma, *(128 + scale_chroma * plane for plane in chroma)]
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 256, 128, "yuv444p"
        stream.codec_context.colorspace, stream.codec_context.color_range = number, 2 if full_range else 1
        values = np.round(np.stack(planes)).clip(0, 255).astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(values, format="yuv444p")
        frame.colorspace, frame.color_range = number, 2 if full_range else 1
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        container.mux([*stream.encode(frame), *stream.encode(None)])
    (shown,) = read(path)
    assert shown.bgr is not None and np.abs(shown.bgr.astype(int) - drawn).max() <= 3


@pytest.mark.parametrize("number", [0, 3, 8, 10, 14])
def test_a_matrix_that_ffmpeg_cannot_convert_costs_no_frame(tmp_path: Path, number: int) -> None:
    path = encode(tmp_path / "plain.h264", [draw_number(9)] * 3)
    marked = tmp_path / "marked.h264"
    with av.open(str(path)) as source, av.open(str(marked), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        marker = av.bitstream.BitStreamFilterContext(f"h264_metadata=matrix_coefficients={number}", stream)
        for packet in source.demux(stream):
            for written in marker.filter(packet if packet.size else None):
                written.stream, written.pts, written.dts = copy, packet.pts, packet.dts
                target.mux(written)
    frames = read(marked)
    assert [read_number(frame.bgr) for frame in frames] == [9] * 3


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_a_title_in_another_encoding_does_not_matter(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "Grusse!"
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        frame = av.VideoFrame.from_ndarray(draw_number(6), format="bgr24")
        container.mux([*stream.encode(frame), *stream.encode(None)])
    content = path.read_bytes()
    assert content.count(b"Grusse!") == 1
    path.write_bytes(content.replace(b"Grusse!", b"Gr\xfc\xdfe!!"))
    assert [read_number(frame.bgr) for frame in read(path)] == [6]
