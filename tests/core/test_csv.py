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


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "its first line is empty; it must name video, group"),
        ("video,group\nä.mp4,m\n".encode("latin-1"), "is no text in UTF-8; save it as CSV in UTF-8"),
        ("video,group\na.mp4,m\n".encode("utf-16"), "is no text in UTF-8; save it as CSV in UTF-8"),
        (b"video\tgroup\na.mp4\tm\n", "lacks video, group (its fields must be separated by commas or semicolons); "),
        (b"video,group,Video\na,m,b\n", "has two columns video; leave one of them out"),
        (
            b"video,group\nZoe, a.mp4,m\n",
            "line 2 has more fields than the first line; put double quotes around a field",
        ),
        (b'video,group\n"a.mp4,m\n', "cannot be read as CSV (unexpected end of data); export it again as CSV"),
    ],
)
def test_files_that_could_be_misread_are_refused(path: Path, content: bytes, sentence: str) -> None:
    path.write_bytes(content)
    with pytest.raises(DataError) as raised:
        read_csv(path, "extraction.groups", ["video", "group"])
    assert str(raised.value).startswith(f"extraction.groups={path}: {sentence}")


def test_empty_fields_at_the_end_and_short_lines_are_read(path: Path) -> None:
    path.write_text("video,group\na.mp4,m,,\nb.mp4\n")
    assert read_csv(path, "key", ["video", "group"]).to_numpy().tolist() == [["a.mp4", "m"], ["b.mp4", ""]]


def test_an_unknown_video_is_refused_with_the_nearest_name() -> None:
    check_video_name("anna.mp4", ["anna.mp4"], "labels.csv, line 2")
    with pytest.raises(DataError) as raised:
        check_video_name("ana.mp4", ["ben.mp4", "anna.mp4"], "labels.csv, line 2")
    sentence = "labels.csv, line 2: 'ana.mp4' is not among the videos"
    assert str(raised.value) == f"{sentence}; the nearest name is 'anna.mp4'"
    with pytest.raises(DataError) as raised:
        check_video_name("ana.mp4", [], "labels.csv, line 2")
    assert str(raised.value) == sentence
