"""Pictures of infer.py are decoded by the rule of the data sets."""

import io
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fer.core.image_decoding import DAMAGED, decode_image
from fer.video.probe import ImageInfo, VideoError
from fer.video.reader import iter_frames, open_video
from fer.video.sampling import AllFramesSampler
from fer.video.small_still import decode_small_still

SMOOTH = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8), (0, 0), 4)


def encode(kind: str, mode: str = "RGB", orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = io.BytesIO()
    Image.fromarray(SMOOTH).convert(mode).save(content, kind, exif=exif)
    return content.getvalue()


PICTURES = [
    *(("TIFF", "RGB", 6), ("JPEG", "RGB", 5), ("PNG", "RGB", 8), ("WEBP", "RGB", 3), ("JPEG", "CMYK", 1)),
    *(("PNG", "LA", 1), ("PNG", "P", 2), ("PNG", "1", 1), ("PNG", "I;16", 1), ("AVIF", "RGB", 1), ("GIF", "P", 1)),
]


@pytest.mark.parametrize(("kind", "mode", "orientation"), PICTURES)
def test_training_and_infer_see_the_same_pixels(kind: str, mode: str, orientation: int, tmp_path: Path) -> None:
    data = encode(kind, mode, orientation)
    (tmp_path / "picture").write_bytes(data)
    expected = decode_image(data)
    info = open_video(tmp_path / "picture")
    (frame,) = iter_frames(info, AllFramesSampler())
    assert frame.problem is None and (info.height, info.width) == expected.shape[:2]
    assert np.array_equal(frame.bgr[..., ::-1], expected if expected.ndim == 3 else np.stack([expected] * 3, -1))
    # As a small image it is opened once.
    named = tmp_path / f"picture.{kind.lower()}"
    named.write_bytes(data)
    if kind == "GIF":  # of which the first frame does not tell whether there are others
        assert decode_small_still(named) is None
        return
    still, pixels = decode_small_still(named) or pytest.fail("it is one")
    assert replace(still, path=info.path) == info and type(still) is type(info) is ImageInfo
    assert np.array_equal(pixels, expected)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF"])
def test_what_moves_is_no_small_still(kind: str, tmp_path: Path) -> None:
    first, second = Image.fromarray(SMOOTH), Image.fromarray(SMOOTH[::-1])
    path = tmp_path / f"moving.{kind.lower()}"
    first.save(path, kind, save_all=True, append_images=[second], duration=500)
    assert decode_small_still(path) is None
    assert not isinstance(open_video(path), ImageInfo)


@pytest.mark.parametrize(
    ("name", "content"),
    [("cut.jpg", encode("JPEG")[:-100]), ("text.png", b"no image"), ("large.png", encode("PNG") + bytes(1 << 16))],
)
def test_damage_foreign_and_large_files_are_left_to_those_who_can_tell(
    name: str, content: bytes, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert decode_small_still(tmp_path / name) is None
    (tmp_path / "empty.png").touch()
    with pytest.raises(VideoError, match="this file is empty"):
        decode_small_still(tmp_path / "empty.png")


def test_damage_is_the_same_in_both(tmp_path: Path) -> None:
    data = encode("JPEG")
    (tmp_path / "cut.jpg").write_bytes(data[:-100])
    (tmp_path / "no-end.jpg").write_bytes(data[:-2])
    (frame,) = iter_frames(tmp_path / "cut.jpg", AllFramesSampler())
    assert (frame.bgr, frame.problem) == (None, DAMAGED)
    (frame,) = iter_frames(tmp_path / "no-end.jpg", AllFramesSampler())
    assert np.array_equal(frame.bgr[..., ::-1], decode_image(data))
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    with pytest.raises(VideoError, match="HEIC images cannot be read; convert it to JPEG or PNG"):
        open_video(tmp_path / "phone.heic")
