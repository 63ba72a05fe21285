"""CSV files as people and Excel write them, and the sentences about their mistakes."""

from pathlib import Path

import pytest

from fer.core.csv import check_video_name, read_csv
from fer.errors import DataError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


def test_columns_are_taken_by_name_and_rows_keep_their_line(path: Path) -> None:
    path.write_text(" Group ;extra;VIDEO\r\n m;1;a.mp4 \r\n\r\n;2;b.mp4\r\n;;\r\n", "utf-8-sig")
    table = read_csv(path, "extraction.groups", ["video", "group"], ["track_id"])
    assert table.columns.tolist() == ["video", "group", "track_id"]
    assert table.to_dict("index") == {
        2: {"video": "a.mp4", "group": "m", "track_id": ""},
        4: {"video": "b.mp4", "group": "", "track_id": ""},
    }


def test_nothing_is_taken_for_a_number_or_for_missing(path: Path) -> None:
    path.write_text('video,group\n007,NA\nnan,"women, young"\n')
    assert read_csv(path, "key", ["video", "group"]).to_numpy().tolist() == [["007", "NA"], ["nan", "women, young"]]


def test_missing_columns_are_named_with_those_that_may_be_there(path: Path) -> None:
    path.write_text("video\na.mp4\n")
    with pytest.raises(DataError) as raised:
        read_csv(path, "extraction.labels", ["video", "emotion"], ["start_s", "end_s"])
    assert str(raised.value) == (
        f"extraction.labels={path}: lacks emotion; its first line must name video, emotion, and may name start_s, end_s"
    )


def test_an_unknown_video_is_refused_with_the_nearest_name() -> None:
    check_video_name("anna.mp4", ["anna.mp4"], "labels.csv, line 2")
    with pytest.raises(DataError) as raised:
        check_video_name("ana.mp4", ["ben.mp4", "anna.mp4"], "labels.csv, line 2")
    sentence = "labels.csv, line 2: 'ana.mp4' is not among the videos"
    assert str(raised.value) == f"{sentence}; the nearest name is 'anna.mp4'"
    with pytest.raises(DataError) as raised:
        check_video_name("ana.mp4", [], "labels.csv, line 2")
    assert str(raised.value) == sentence
