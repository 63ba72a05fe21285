"""Frames that are transparent are laid on white; what lies below is not shown."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from fer.video.reader import iter_frames, open_video
from fer.video.sampling import AllFramesSampler

WIDTH, HEIGHT = 128, 64
# Left transparent over red, in the middle half transparent over green, right opaque blue; BGRA.
PARTS = [((0, 0, 255), 0), ((0, 255, 0), 128), ((255, 0, 0), 255)]
SHOWN = [(255, 255, 255), (127, 255, 127), (255, 0, 0)]
BORDERS = [0, 40, 88, WIDTH]


def draw() -> np.ndarray:
    picture = np.empty((HEIGHT, WIDTH, 4), np.uint8)
    for (colour, alpha), start, stop in zip(PARTS, BORDERS, BORDERS[1:], strict=False):
        picture[:, start:stop] = (*colour, alpha)
    return picture


def read_parts(bgr: np.ndarray) -> np.ndarray:
    scale = bgr.shape[1] / WIDTH
    middles = [round((start + stop) / 2 * scale) for start, stop in zip(BORDERS, BORDERS[1:], strict=False)]
    return bgr[bgr.shape[0] // 2, middles].astype(int)


VIDEOS = [
    *(("a.mkv", "ffv1", "bgra", 0), ("a.mkv", "ffv1", "yuva420p", 4), ("a.mov", "prores_ks", "yuva444p10le", 6)),
    *(("a.mov", "qtrle", "argb", 0), ("a.mov", "png", "rgba", 0), ("a.avi", "rawvideo", "bgra", 0)),
]


@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(4, 3)])
@pytest.mark.parametrize(("name", "codec", "pix_fmt", "tolerance"), VIDEOS)
def test_a_transparent_video_is_laid_on_white(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, tolerance: int, aspect: Fraction
) -> None:
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        stream.codec_context.sample_aspect_ratio = aspect
        frame = av.VideoFrame.from_ndarray(draw(), format="bgra").reformat(format=pix_fmt)
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        container.mux([*stream.encode(frame), *stream.encode(None)])
    (shown,) = iter_frames(tmp_path / name, AllFramesSampler())
    assert shown.bgr is not None and shown.bgr.shape[1] == open_video(tmp_path / name).width
    assert np.abs(read_parts(shown.bgr) - SHOWN).max() <= tolerance


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.gif"])
def test_a_transparent_animation_is_laid_on_white(tmp_path: Path, name: str) -> None:
    layers = draw()[..., [2, 1, 0, 3]]
    if name == "a.gif":  # which knows no half
        layers[..., 3] = np.where(layers[..., 3] > 0, 255, 0)
    other = layers.copy()
    other[:8, -8:, :3] = 200
    frames = [Image.fromarray(picture) for picture in (layers, other)]
    options = {"lossless": True, "exact": True} if name == "a.webp" else {}
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=100, **options)
    expected = [SHOWN[0], (0, 255, 0), SHOWN[2]] if name == "a.gif" else SHOWN
    seen = list(iter_frames(tmp_path / name, AllFramesSampler()))
    assert len(seen) == 2
    for frame in seen:
        assert frame.bgr is not None and np.abs(read_parts(frame.bgr) - expected).max() <= 1
