"""Animated pictures are videos, still ones are not, whatever their names say."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer.video.annotate import annotate
from fer.video.annotated_copies import AnnotatedCopies
from fer.video.media import Media, find_media
from fer.video.reader import VideoError, iter_frames, open_video
from fer.video.sampling import AllFramesSampler, IntervalSampler
from tests.helpers.encoding import draw_number, read_number

DURATIONS = [100, 300, 200, 150]
STARTS = [0.0, 0.1, 0.4, 0.6]
NAMES = ["a.gif", "a.webp", "a.png", "a.avif", "named.dat", "two words ü 日本.webp"]


def write_animation(path: Path, numbers: list[int], durations: list[int], **options: object) -> Path:
    first, *others = [Image.fromarray(draw_number(number)) for number in numbers]
    kind = {".dat": "PNG"}.get(path.suffix)
    first.save(path, kind, save_all=True, append_images=others, duration=durations, **options)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_frames_and_times_of_an_animation(tmp_path: Path, name: str) -> None:
    path = write_animation(tmp_path / name, [3, 200, 77, 90], DURATIONS)
    frames = list(iter_frames(path, AllFramesSampler()))
    assert [frame.problem for frame in frames] == [None] * 4
    assert [read_number(frame.bgr) for frame in frames] == [3, 200, 77, 90]
    assert [(frame.index, frame.time_s) for frame in frames] == list(enumerate(STARTS))
    info = open_video(path)
    assert (info.width, info.height, info.start_s) == (128, 64, 0.0)
    assert [frame.index for frame in iter_frames(path, IntervalSampler(2.0))] == [0, 3]
    assert [frame.index for frame in iter_frames(path, IntervalSampler(2.0), after=0)] == [3]


@pytest.mark.parametrize("name", ["a.webp", "a.png", "a.avif"])
def test_a_still_picture_of_the_same_kind_is_an_image(tmp_path: Path, name: str) -> None:
    Image.fromarray(draw_number(9)).save(tmp_path / name)
    (frame,) = iter_frames(tmp_path / name, AllFramesSampler())
    assert (frame.time_s, read_number(frame.bgr)) == (0.0, 9) and open_video(tmp_path / name).fps == 0


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_a_frame_that_covers_a_part_is_put_onto_the_one_before(tmp_path: Path, name: str) -> None:
    """Savers store only what changes: here the last column of the number."""
    path = write_animation(tmp_path / name, [1, 129, 1], [100, 100, 100])
    assert [read_number(frame.bgr) for frame in iter_frames(path, AllFramesSampler())] == [1, 129, 1]


def test_a_webp_frame_without_a_duration_lasts_as_long_as_in_browsers(tmp_path: Path) -> None:
    path = write_animation(tmp_path / "a.webp", [1, 2, 3], [0, 10, 20])
    assert [frame.time_s for frame in iter_frames(path, AllFramesSampler())] == [0.0, 0.1, 0.2]
    assert open_video(path).duration_s == pytest.approx(0.22)


def test_a_webp_that_was_broken_off_is_damaged_where_it_ends(tmp_path: Path) -> None:
    path = write_animation(tmp_path / "a.webp", [1, 2, 3, 4], DURATIONS, lossless=True)
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"ANMF") + 40])
    *frames, last = iter_frames(path, AllFramesSampler())
    assert [read_number(frame.bgr) for frame in frames] == [1, 2, 3]
    assert (last.index, last.time_s, last.bgr) == (3, 0.6, None)
    assert last.problem == "the file ends after 0.6 s: the rest of it is missing"
    path.write_bytes(content[: content.index(b"ANMF")])
    with pytest.raises(VideoError, match="no frame of this video can be decoded"):
        open_video(path)


def _encode_jpeg(number: int, **options: object) -> bytes:
    content = io.BytesIO()
    Image.fromarray(draw_number(number)).save(content, "JPEG", quality=95, **options)
    return content.getvalue()


@pytest.mark.parametrize("name", ["a.mjpeg", "a.MJPG", "no suffix"])
def test_a_stream_of_jpegs_is_a_video(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"".join(_encode_jpeg(number) for number in (3, 5, 77)))
    frames = list(iter_frames(tmp_path / name, AllFramesSampler()))
    assert [(frame.time_s, read_number(frame.bgr)) for frame in frames] == [(0.0, 3), (0.04, 5), (0.08, 77)]
    (media,) = find_media([str(tmp_path)])
    assert media.kind == "video"


def test_a_photograph_with_another_behind_it_is_an_image(tmp_path: Path) -> None:
    two = io.BytesIO()
    first, second = (Image.fromarray(draw_number(number)) for number in (9, 200))
    first.save(two, "MPO", quality=95, save_all=True, append_images=[second])
    (tmp_path / "phone").write_bytes(two.getvalue())
    (tmp_path / "a.jpg").write_bytes(_encode_jpeg(9) + _encode_jpeg(200))
    (tmp_path / "preview").write_bytes(_encode_jpeg(9, exif=b"Exif\0\0" + _encode_jpeg(200)) + b"notes of the camera")
    (tmp_path / "cut").write_bytes(_encode_jpeg(9)[:-2])
    for path in tmp_path.iterdir():
        (frame,) = iter_frames(path, AllFramesSampler())
        assert (frame.time_s, read_number(frame.bgr)) == (0.0, 9), path


def test_an_annotated_animation_is_a_video(tmp_path: Path) -> None:
    path = write_animation(tmp_path / "a.webp", [1, 2, 3, 4], DURATIONS)
    rows = pd.DataFrame({"frame": [0], "face_x": [np.nan]})
    item = Media(path, "a.webp", "image")
    copy = annotate(item, rows, AnnotatedCopies(tmp_path, [item]))
    assert copy.name == "a.webp.mp4"
    assert [read_number(frame.bgr) for frame in iter_frames(copy, AllFramesSampler())] == [1, 2, 3, 4]
