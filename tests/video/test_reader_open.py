"""A file that is looked into and then read: how often it is opened."""

from pathlib import Path

import pytest
from av.container import InputContainer

import fer.video.probe
import fer.video.reader
from fer.video.reader import iter_frames, open_for_reading, open_video
from fer.video.sampling import AllFramesSampler
from fer.video.streams import open_container
from tests.helpers.clips import HEIGHT, WIDTH, number_in, write_clip


# A long one is opened for the look, for its parts, and where all frames are sampled, once more.
@pytest.mark.parametrize(("long_frames", "opened"), [(500, 1), (0, 3)])
def test_a_short_video_is_opened_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long_frames: int, opened: int
) -> None:
    paths = []

    def note(path: Path) -> InputContainer:
        paths.append(path)
        return open_container(path)

    monkeypatch.setattr(fer.video.probe, "open_container", note)
    monkeypatch.setattr(fer.video.reader, "open_container", note)
    monkeypatch.setattr(fer.video.reader, "LONG_FRAMES", long_frames)
    path = write_clip(tmp_path / "clip.mp4", range(30))
    assert [frame.index for frame in iter_frames(path, AllFramesSampler())] == list(range(30))
    assert len(paths) == opened


@pytest.mark.parametrize("longest", [500, 30])
def test_what_is_left_open_gives_the_same_frames(tmp_path: Path, longest: int) -> None:
    path = write_clip(tmp_path / "clip.mp4", range(30))
    with open_for_reading(path, lambda pixels: 1 if pixels == WIDTH * HEIGHT else None, longest) as video:
        assert (video.info, video.threads, video.opened is not None) == (open_video(path), 1, longest > 30)
        numbers = [number_in(frame.bgr) for frame in iter_frames(video, AllFramesSampler()) if frame.bgr is not None]
    assert numbers == list(range(30))
