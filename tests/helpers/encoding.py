"""Clips of any codec, size and field order, drawn in the test: what they show is known without decoding them."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.filter import Graph

from tests.helpers.clips import HEIGHT, WIDTH, number_in, numbered

X264 = {"preset": "ultrafast", "crf": "10"}
INTERLACED_X264 = {**X264, "flags": "+ildct+ilme"}
# BGR of the quarters of a picture by rows.
QUARTERS = np.array([[(40, 40, 220), (40, 220, 40)], [(220, 40, 40), (230, 230, 230)]], np.uint8)


def draw_number(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """(height, width, 3) uint8: ``numbered``, enlarged."""
    return cv2.resize(numbered(number % 256), (width, height), interpolation=cv2.INTER_NEAREST)


def read_number(bgr: np.ndarray | None) -> int:
    """The number that an upright frame of any size carries."""
    assert bgr is not None
    return number_in(cv2.resize(bgr, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))


def draw_fields(number: int, width: int, height: int, bottom_first: bool = False) -> np.ndarray:
    """An interlaced picture: the field filmed first carries ``2 * number``, the other the number after that."""
    picture, other = draw_number(2 * number, width, height), draw_number(2 * number + 1, width, height)
    second = 0 if bottom_first else 1
    picture[second::2] = other[second::2]
    return picture


def draw_quarters(width: int, height: int) -> np.ndarray:
    """(height, width, 3) uint8: a colour in each quarter."""
    return cv2.resize(QUARTERS, (width, height), interpolation=cv2.INTER_NEAREST)


def read_quarters(bgr: np.ndarray) -> np.ndarray:
    """(2, 2, 3): the colour in the middle of each quarter."""
    height, width = bgr.shape[:2]
    return bgr[height // 4 :: height // 2, width // 4 :: width // 2][:2, :2]


def encode(
    path: Path,
    pictures: Sequence[np.ndarray],
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    aspect: Fraction | None = None,
    matrix: Sequence[int] | None = None,
    stamps: Sequence[int] | None = None,
    container_options: dict[str, str] | None = None,
    container_format: str | None = None,
    rate: Fraction = Fraction(25),
    field_order: str = "",
) -> Path:
    """Encode BGR pictures, one a tick of ``rate``, or at the given ``stamps`` in ticks.

    ``aspect`` is that of the pixels, ``matrix`` the display matrix, ``field_order`` tff or bff of interlaced pictures.
    """
    with av.open(str(path), "w", format=container_format, container_options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=options or (X264 if codec == "libx264" else {}))
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pix_fmt
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if matrix is not None:
            stream.set_display_matrix(matrix)
        for stamp, picture in zip(stamps or range(len(pictures)), pictures, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24")
            frame = frame.reformat(format=pix_fmt)
            frame.pts, frame.time_base = stamp, 1 / rate
            container.mux(stream.encode(_flag_fields(frame, field_order) if field_order else frame))
        container.mux(stream.encode(None))
    return path


def _flag_fields(frame: av.VideoFrame, field_order: str) -> av.VideoFrame:
    graph = Graph()
    source = graph.add_buffer(template=frame)
    graph.link_nodes(source, graph.add("setfield", field_order), graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull()
