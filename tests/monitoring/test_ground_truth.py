"""The labels' CSV, its mistakes, and which rows a label is about."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer.errors import DataError
from fer.monitoring.ground_truth import assign_labels, read_labels
from tests.helpers.batches import batch

VIDEOS = ["anna.mp4", "ben.mp4"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "labels.csv"


def refusal(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError) as raised:
        read_labels(path, VIDEOS)
    message = str(raised.value)
    assert message.startswith(f"extraction.labels={path}") and "\n" not in message
    return message


def test_labels_are_read_with_intervals_and_tracks(path: Path) -> None:
    path.write_text(
        "Video;Emotion;start_s;end_s;track_id\nanna.mp4; Happy ;0;2.5;\n\nanna.mp4;sadness;2.5;4;1\n", "utf-8-sig"
    )
    labels = read_labels(path, VIDEOS)
    assert labels[["video", "emotion", "start_s", "end_s"]].to_numpy().tolist() == [
        ["anna.mp4", "happiness", 0.0, 2.5],
        ["anna.mp4", "sadness", 2.5, 4.0],
    ]
    assert labels["track_id"].isna().tolist() == [True, False]
    path.write_text("emotion,video\nfear,ben.mp4\n")
    (only,) = read_labels(path, VIDEOS).to_dict("records")
    assert (only["start_s"], only["end_s"]) == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("video,mood\nanna.mp4,happy\n", ": lacks emotion; its first line must name video, emotion"),
        ("", "its first line is empty"),
        ("video,emotion\n\n", "names no video; it needs a line for each label"),
        (b"video,emotion\nanna.mp4,\xff\n", "is no text in UTF-8; save it as CSV in UTF-8"),
        ("video,emotion\nana.mp4,happy\n", "line 2: 'ana.mp4' is not among the videos; the nearest name is 'anna.mp4'"),
        ("video,emotion\nben.mp4,fear\nanna.mp4,hungry\n", "line 3: 'hungry' is no emotion; choose one of anger"),
        ("video,emotion\nanna.mp4,\n", "line 2: has no emotion"),
        ("video,emotion,start_s,end_s\nanna.mp4,fear,1,\n", "line 2: has start_s and no end_s; give both, or neither"),
        ("video,emotion,start_s,end_s\nanna.mp4,fear,one,2\n", "line 2: start_s='one' is not a number of seconds"),
        ("video,emotion,start_s,end_s\nanna.mp4,fear,0,inf\n", "line 2: end_s='inf' is not a number of seconds"),
        ("video,emotion,start_s,end_s\nanna.mp4,fear,2,2\n", "line 2: end_s=2 is not behind start_s=2"),
        ("video,emotion,track_id\nanna.mp4,fear,-1\n", "line 2: track_id='-1' is not a whole number"),
        (
            "video,emotion,start_s,end_s\nanna.mp4,fear,0,9\nben.mp4,fear,0,9\nanna.mp4,anger,8.5,10\n",
            "line 4: overlaps line 2 of 'anna.mp4'; at any moment a face has one label",
        ),
        ("video,emotion\nanna.mp4,fear\nanna.mp4,fear\n", "line 3: overlaps line 2 of 'anna.mp4'"),
        ("video,emotion,track_id\nanna.mp4,fear,0\nanna.mp4,anger,1\nanna.mp4,sad,\n", "line 4: overlaps line 2"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_that_names_the_line(path: Path, text: str | bytes, said: str) -> None:
    assert said in refusal(path, text)


def test_a_missing_file_is_one_sentence(path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_labels(path, VIDEOS)


def test_two_people_may_have_labels_at_the_same_time(path: Path) -> None:
    path.write_text("video,emotion,track_id\nanna.mp4,fear,0\nanna.mp4,anger,1\n")
    assert read_labels(path, VIDEOS)["track_id"].tolist() == [0, 1]


def test_a_row_gets_the_label_of_its_moment_and_track(path: Path) -> None:
    table = batch(videos=2, faces=4).assign(time_s=np.tile([0.0, 1.0, 2.0, 3.0], 2))
    table["video"] = np.repeat(VIDEOS, 4)
    table["track_id"] = pd.array([0, 0, 0, 0, 0, 1, None, 1], "Int64")
    path.write_text(
        "video,emotion,start_s,end_s,track_id\nanna.mp4,fear,0,1,\nanna.mp4,anger,1,3,0\nben.mp4,sad,0,9,1\n"
    )
    found = assign_labels(table.sample(frac=1, random_state=0), read_labels(path, VIDEOS)).sort_index()
    assert found.tolist() == ["fear", "anger", "anger", None, None, "sadness", None, "sadness"]
    assert assign_labels(table, read_labels(path, VIDEOS).iloc[:0]).isna().all()
