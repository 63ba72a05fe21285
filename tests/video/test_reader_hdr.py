"""HDR videos are shown as on an ordinary screen; the right levels are computed from light, not by the code."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorTrc

from fer.video.reader import iter_frames
from fer.video.sampling import AllFramesSampler

# cd/m²: of grey bars 16 pixels wide.
LIGHT = np.array([0.0, 1, 5, 20, 50, 100, 203, 400, 1000])
TAGS = "colorprim=bt2020:colormatrix=bt2020nc:transfer={}:log-level=none:crf=1:pools=none:frame-threads=1"


def encode_pq(light: np.ndarray) -> np.ndarray:
    power = (light / 10_000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def encode_hlg(light: np.ndarray) -> np.ndarray:
    scene = (light / 1000) ** (1 / 1.2)
    upper = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), upper)


def write_bars(path: Path, levels: np.ndarray, transfer: str, name: int) -> Path:
    """One frame of grey bars."""
    luma = np.repeat(np.round((16 + 219 * levels) * 4).astype(np.uint16), 16)
    planes = np.full((96, len(luma)), 512, np.uint16)
    planes[:64] = luma
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=25, options={"x265-params": TAGS.format(transfer)})
        stream.width, stream.height, stream.pix_fmt = len(luma), 64, "yuv420p10le"
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p10le")
        for item in (frame, stream.codec_context):
            item.colorspace, item.color_trc, item.color_primaries, item.color_range = 9, name, 9, 1
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        [packet] = [*stream.encode(frame), *stream.encode(None)]
        # The only one begins with the video: on a busy machine one came without a time, which cannot be written.
        packet.pts = packet.dts = 0
        container.mux(packet)
    return path


def read_bars(path: Path) -> np.ndarray:
    (frame,) = iter_frames(path, AllFramesSampler())
    assert frame.bgr is not None
    return frame.bgr[32, 8::16].astype(int)


CURVES = [("smpte2084", ColorTrc.SMPTE2084, encode_pq), ("arib-std-b67", ColorTrc.ARIB_STD_B67, encode_hlg)]


@pytest.mark.parametrize(("transfer", "name", "encode"), CURVES)
def test_light_below_half_of_white_is_kept_and_the_rest_is_told_apart(
    tmp_path: Path, transfer: str, name: int, encode: Callable[[np.ndarray], np.ndarray]
) -> None:
    shown = read_bars(write_bars(tmp_path / "a.mkv", encode(LIGHT), transfer, name))
    # Grey stays grey.
    assert (np.ptp(shown, axis=1) <= 1).all()
    kept = LIGHT <= 100
    screen = 255 * (LIGHT / 203) ** (1 / 2.4)
    assert np.abs(shown[kept, 0] - screen[kept]).max() <= 3
    brighter = shown[~kept, 0]
    assert (np.diff([shown[5, 0], *brighter]) >= 5).all() and 215 <= brighter[0] <= 235 and brighter[-1] < 255


def test_without_its_name_a_curve_is_not_guessed(tmp_path: Path) -> None:
    levels = np.linspace(0, 1, 9)
    shown = read_bars(write_bars(tmp_path / "a.mkv", levels, "bt2020-10", ColorTrc.BT2020_10))
    assert np.abs(shown[:, 0] - 255 * levels).max() <= 1
