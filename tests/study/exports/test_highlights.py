"""The clip of the strongest moments, as PyAV reads it."""

import dataclasses
import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from fer.reports.study_data import StudyData
from fer.study.exports import highlights
from fer.study.exports.export import export_study
from tests.helpers.exported_study import DEFINITIONS

pytestmark = pytest.mark.slow


def draw_video(path: Path, seconds: int = 12, size: tuple[int, int] = (240, 320)) -> Path:
    """Ten frames a second, in which a bright bar of four columns moves by two columns each."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=10, options={"crf": "0"})
        stream.height, stream.width, stream.pix_fmt = *size, "rgb24"
        for number in range(10 * seconds):
            picture = np.full((*size, 3), 40, np.uint8)
            picture[:, 2 * number : 2 * number + 4] = 250
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read_video(path: Path) -> tuple[list[float], np.ndarray]:
    with av.open(str(path)) as container:
        frames = [(float(frame.time or 0.0), frame.to_ndarray(format="bgr24")) for frame in container.decode(video=0)]
    return [time_s for time_s, _ in frames], np.stack([bgr for _, bgr in frames])


def find_bar(rows: np.ndarray) -> list[int]:
    """The number that each frame had in the source."""
    inside = (rows[..., 0] > 145).astype(float)
    return [round((float(np.average(np.arange(inside.shape[1]), weights=row)) - 1.5) / 2) for row in inside]


@pytest.fixture
def moments(study: StudyData) -> StudyData:
    """The strongest at 8 s, the next at 3 s; a third overlaps the first, a fourth is of another stimulus."""
    rows = study.moments[study.moments["stimulus"] == "ad_a"].head(4).copy()
    rows["start_s"], rows["peak_s"], rows["end_s"] = [8.0, 3.0, 8.2, 5.0], [8.5, 3.2, 8.3, 5.0], [9.0, 3.5, 8.4, 5.5]
    rows["rank"], rows["measure"] = [1, 2, 3, 4], "valence"
    rows.loc[rows.index[3], "stimulus"] = "ad_b"
    return dataclasses.replace(study, moments=rows)


def test_clips_show_the_moments_one_after_the_other(moments: StudyData, tmp_path: Path) -> None:
    media = {"ad_a": draw_video(tmp_path / "ad.mp4")}
    written = export_study(moments, tmp_path / "out", ["highlights"], DEFINITIONS, media)
    assert [path.name for path in written if path.suffix == ".mp4"] == ["highlights_ad_a.mp4"]
    times, frames = read_video(tmp_path / "out/highlights_ad_a.mp4")
    # From half a second before to half a second behind: 2.5 to 4 s, then 7.5 to 9.5 s, of which no frame is twice.
    assert frames.shape[1:] == (240, 320, 3)
    assert times == pytest.approx(np.arange(35) / 10)
    assert find_bar(frames[:, 100]) == [*range(25, 40), *range(75, 95)]
    # The caption's letters, and the curve's colour below.
    assert (frames[:, :16].max(axis=(1, 2, 3)) > 200).all()
    below = frames[:, 200:].astype(int)
    assert ((below[..., 2] - below[..., 0]).max(axis=(1, 2)) > 60).all()


def test_the_same_study_gives_the_same_clip(moments: StudyData, tmp_path: Path) -> None:
    media = {"ad_a": draw_video(tmp_path / "ad.mp4")}
    for folder in ("a", "b"):
        export_study(moments, tmp_path / folder, ["highlights"], DEFINITIONS, media)
    first, second = ((tmp_path / folder / "highlights_ad_a.mp4").read_bytes() for folder in ("a", "b"))
    assert first == second


def test_a_long_moment_is_cut_around_its_peak(moments: StudyData, tmp_path: Path) -> None:
    rows = moments.moments.head(1).assign(start_s=0.5, peak_s=8.0, end_s=11.0)
    media = {"ad_a": draw_video(tmp_path / "ad.mp4")}
    export_study(dataclasses.replace(moments, moments=rows), tmp_path / "out", ["highlights"], DEFINITIONS, media)
    times, frames = read_video(tmp_path / "out/highlights_ad_a.mp4")
    assert len(times) == 10 * highlights.MAX_CLIP_S
    assert find_bar(frames[:, 100]) == [*range(50, 110)]


def test_what_has_no_video_or_no_moment_in_it_has_no_clip(
    moments: StudyData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "page.png")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    late = draw_video(tmp_path / "short.mp4", seconds=1, size=(64, 64))
    for media in ({}, {"ad_a": tmp_path / "page.png"}, {"ad_a": late}, {"ad_a": tmp_path / "broken.mp4"}):
        with caplog.at_level(logging.WARNING):
            written = export_study(moments, tmp_path / "out", ["highlights"], DEFINITIONS, media)
        assert not [path for path in written if path.suffix == ".mp4"]
        assert not list((tmp_path / "out").glob("*.mp4*"))
    assert "no highlights of stimulus ad_a" in caplog.text
