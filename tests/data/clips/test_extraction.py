"""Faces of clips, found in videos that the tests draw: who is taken, at which times, and what is wrong with a clip."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from fer.data.clip_store import open_clip_store
from fer.data.clips import extraction
from fer.data.image_store import ImageStore
from fer.data.sources import read_source
from fer.video.detectors import HaarDetector
from tests.helpers.clip_data import OPTIONS
from tests.helpers.face_clips import LEFT, RIGHT, draw_people, write_face_clip

pytestmark = pytest.mark.slow

ALONE, OTHER = ((1, LEFT),), ((2, RIGHT),)
FRAMES: dict[str, list[Any]] = {
    "alone": [ALONE] * 8,
    "two-people": [ALONE + OTHER] * 4 + [OTHER] * 4,
    "nobody": [()] * 6,
    "short": [ALONE] * 2 + [()] * 4,
    "gap": [ALONE] * 3 + [()] * 2 + [ALONE] * 3,
    "row": [ALONE] * 6 + [OTHER] * 6,
    "cut": [ALONE] * 40,
}
ROWS = [
    *((f"{name}.mp4", "", "") for name in ("alone", "two-people", "nobody", "short", "gap", "cut", "broken")),
    ("row.mp4", "0", "0.6"),
    ("row.mp4", "0.6", "1.2"),
    ("row.mp4", "0.8", "1.5"),
    ("row.mp4", "0.9", "3"),
    ("row.mp4", "7", "9"),
    ("row.mp4", "2", ""),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Videos of 320×240 pixels, ten frames a second, and a table."""
    folder = tmp_path_factory.mktemp("clips")
    for name, frames in FRAMES.items():
        write_face_clip(folder / f"{name}.mp4", frames)
    whole = (folder / "cut.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) * 3 // 4])
    (folder / "broken.mp4").write_bytes(b"\0\1" * 500)
    lines = ["path,start_s,end_s,label", *(",".join([*row, "fear"]) for row in ROWS)]
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")
    return folder


def open_store(folder: Path, cache: Path, options=OPTIONS) -> tuple[ImageStore, list[str]]:
    source = read_source("own", "clips", root=str(folder), naming="auto", table="clips.csv", class_map={})
    assert not source.problems
    return open_clip_store([source], 96, str(cache), options), source.table["path"].tolist()


@pytest.fixture(scope="module")
def store(folder, tmp_path_factory) -> tuple[ImageStore, pd.DataFrame]:
    store, paths = open_store(folder, tmp_path_factory.mktemp("cache"))
    return store, store.index.set_index(pd.Index(paths))


def get_clip(store, path: str) -> tuple[np.ndarray, list[float]]:
    opened, index = store
    span = opened.clips.get_frames(index.index.get_loc(path))
    return opened.images[span], [round(float(time_s), 3) for time_s in opened.clips.times[span]]


def measure_likeness(face: np.ndarray, person) -> float:
    """Correlation with the drawn person at the same place, cropped as faces are."""
    bgr = draw_people(person)
    found = HaarDetector(min_size=30).detect(bgr)[0]
    drawn = cv2.resize(extraction.crop_face(bgr, found, HaarDetector.margin), face.shape[1::-1])
    return float(np.corrcoef(face.ravel(), drawn.ravel())[0, 1])


def shows(face: np.ndarray, person, other) -> bool:
    """Whether a face is far more like one person than like the other."""
    return measure_likeness(face, person) > measure_likeness(face, other) + 0.2


def test_a_face_is_found_in_every_frame_and_kept_at_the_networks_side(store):
    frames, times = get_clip(store, "alone.mp4")
    assert frames.shape == (8, 96, 96, 3) and times == [round(number / 10, 3) for number in range(8)]
    assert store[1].loc["alone.mp4", ["problem", "unfit", "people"]].tolist() == ["", "", 1]
    assert all(shows(frame, ALONE, OTHER) for frame in frames)


def test_of_two_people_the_one_seen_longer_is_taken(store):
    frames, times = get_clip(store, "two-people.mp4")
    assert len(frames) == len(times) == 8 and store[1].loc["two-people.mp4", "people"] == 2
    assert all(shows(frame, OTHER, ALONE) for frame in frames)


def test_a_gap_stays_one_and_the_person_the_same(store):
    frames, times = get_clip(store, "gap.mp4")
    assert times == [0.0, 0.1, 0.2, 0.5, 0.6, 0.7] and len(frames) == 6


def test_clips_without_enough_of_a_face_say_so(store):
    unfit = store[1]["unfit"]
    assert unfit["nobody.mp4"] == "no face was found"
    assert unfit["short.mp4"] == "its face is seen in fewer than dataset.clips.min_frames=3 frames"
    assert (store[1].loc[["nobody.mp4", "short.mp4"], "problem"] == "").all()


def test_rows_of_one_video_are_its_stretches_on_their_own_clocks(store):
    first, times = get_clip(store, "row.mp4#t=0,0.6")
    assert times == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5] and shows(first[-1], ALONE, OTHER)
    second, times = get_clip(store, "row.mp4#t=0.6,1.2")
    assert times == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5] and shows(second[0], OTHER, ALONE)
    # A row may reach a little beyond the end, and others may overlap with it.
    overlapping, times = get_clip(store, "row.mp4#t=0.8,1.5")
    assert times == [0.0, 0.1, 0.2, 0.3]
    np.testing.assert_array_equal(overlapping, second[2:])


def test_what_is_wrong_with_a_clip_is_told(store):
    problems = store[1]["problem"]
    assert problems["row.mp4#t=0.9,3"] == "the clip ends at 3 s, but its video at 1.10 s"
    assert problems["row.mp4#t=7,9"] == "the clip ends at 9 s, but its video at 1.10 s"
    assert problems["row.mp4#t=2"] == ("there is no frame from 2 s to the end; the last one of the video is at 1.10 s")
    assert problems["broken.mp4"]
    assert problems["cut.mp4"], "a video that was broken off is not the clip of its label"
    assert (store[1].loc[problems != "", ["unfit", "content_hash"]] == "").all(axis=None)


def test_a_video_is_decoded_once_and_never_again(folder, tmp_path, monkeypatch):
    opened: list[str] = []
    iter_frames = extraction.iter_frames

    def watch(info, sampler):
        opened.append(info.path.name)
        return iter_frames(info, sampler)

    monkeypatch.setattr(extraction, "iter_frames", watch)
    open_store(folder, tmp_path)
    assert sorted(set(opened)) == sorted(opened)
    assert {"row.mp4", "alone.mp4"} <= set(opened)
    opened.clear()
    open_store(folder, tmp_path)
    assert not opened


def test_frames_are_the_same_whatever_the_number_of_threads(folder, tmp_path, store):
    alone, _ = open_store(folder, tmp_path, replace(OPTIONS, threads=1))
    np.testing.assert_array_equal(alone.images, store[0].images)
    assert alone.index["content_hash"].tolist() == store[0].index["content_hash"].tolist()
