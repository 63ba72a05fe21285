"""Cut points of a stimulus: where the picture changes at once, a scene begins."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from fer.study.cuts import find_scenes
from fer.video.reader import VideoError

COLOURS = ((240, 240, 240), (15, 15, 15), (200, 40, 40))


def write_scenes(path: Path, lengths: list[int], stamps: list[int] | None = None, rate: int = 25) -> Path:
    """A video of plain scenes of so many frames each."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        number = 0
        for scene, length in enumerate(lengths):
            picture = np.full((64, 128, 3), COLOURS[scene % len(COLOURS)], np.uint8)
            for _ in range(length):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
                frame.pts = stamps[number] if stamps else number * 1000 // rate
                frame.time_base = Fraction(1, 1000)
                container.mux(stream.encode(frame))
                number += 1
        container.mux(stream.encode(None))
    return path


def test_scenes_go_from_cut_to_cut(tmp_path: Path) -> None:
    scenes = find_scenes(write_scenes(tmp_path / "spot.mp4", [25, 50, 30]))
    assert [scene.name for scene in scenes] == ["scene 1", "scene 2", "scene 3"]
    edges = [(scene.start_s, scene.end_s) for scene in scenes]
    assert edges == [
        (0.0, pytest.approx(1.0)),
        (pytest.approx(1.0), pytest.approx(3.0)),
        (pytest.approx(3.0), pytest.approx(4.2)),
    ]


def test_a_video_without_a_cut_is_one_scene(tmp_path: Path) -> None:
    (scene,) = find_scenes(write_scenes(tmp_path / "spot.mp4", [50]))
    assert (scene.name, scene.start_s, scene.end_s) == ("scene 1", 0.0, pytest.approx(2.0))


def test_times_are_those_of_the_frames_where_their_rate_changes(tmp_path: Path) -> None:
    """The first 25 frames take two seconds, the others one."""
    stamps = [*(number * 80 for number in range(25)), *(2000 + number * 40 for number in range(25))]
    scenes = find_scenes(write_scenes(tmp_path / "spot.mkv", [25, 25], stamps))
    assert [scene.start_s for scene in scenes] == [0.0, pytest.approx(2.0)]


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "spot.mp4"
    path.write_bytes(b"\0\1\2")
    with pytest.raises(VideoError):
        find_scenes(path)
