"""CSV files as people and Excel write them, and the sentences about their mistakes."""

import csv
import random
from pathlib import Path

import pandas as pd
import pytest

from fer.core.csv import MAX_BYTES, check_video_name, neutralise, read_csv, restore, write_csv
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


FORMULAS = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    " =1",
    "\n=1",
    "＝1",
    "'=1",
    "''@x",
    "-",
    "=x,y",
    "\ufeff=1",
    "\x00=1",
    "\u200b\u3000＠x",
    "﹦1",
    '"=1',
]


@pytest.mark.parametrize("cell", FORMULAS)
def test_no_cell_is_taken_for_a_formula_and_its_text_comes_back(cell: str, path: Path) -> None:
    table = pd.DataFrame({"sample_id": [cell, "plain"], "=column": [1.0, -2.5]})
    write_csv(table, path)
    assert table["sample_id"][0] == cell, "the table itself, and so its Parquet, is unchanged"
    with path.open(newline="", encoding="utf-8") as file:
        header, first, second = csv.reader(file)
    assert header == ["sample_id", "'=column"]
    assert first[0].startswith("'") and restore(first[0]) == cell.replace("\r", "\n") and first[1] == "1.0"
    assert second == ["plain", "-2.5"]
    if cell == cell.strip():
        assert read_csv(path, "key", ["sample_id"])["sample_id"].tolist() == [cell, "plain"]


@pytest.mark.parametrize("cell", ["-1.5", "+3", "-2e-05", "1=2", "a-b", "", "–", "'quoted'", "-inf", ".5"])
def test_numbers_and_other_texts_stay(cell: str) -> None:
    assert neutralise(cell) == cell
    assert restore(cell) == cell


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("cell", [*FORMULAS, "a;=1", "a\t=1", "a|+1", "a;'=1", 'a;"=1"', "b; =1", "a\n=1", ";\t;@x"])
def test_no_cell_is_one_in_a_spreadsheet_with_another_separator(cell: str, separator: str, path: Path) -> None:
    write_csv(pd.DataFrame({"video": ["clip.mp4"], "group": [cell], "note": ["=1;=2"]}), path)
    with path.open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file, delimiter=separator) for cell in row]
    begins = [cell for cell in cells if cell.strip("\"' \u3000\ufeff\u200b\x00\t\n")[:1] in tuple("=+-@＝＠﹦")]
    assert all(cell.startswith("'") for cell in begins)


def test_any_text_comes_back() -> None:
    rounds = random.Random(0)
    for _ in range(20_000):
        text = "".join(rounds.choices("=+-@;|\t\n'\" a,5\u3000＝\ufeff", k=rounds.randint(0, 7)))
        assert restore(neutralise(text)) == text


def test_a_carriage_return_begins_no_new_line(path: Path) -> None:
    write_csv(pd.DataFrame({"name": ["a\r=1+1", "b\r\n=1"]}), path, lineterminator="\n")
    assert b"\r" not in path.read_bytes()
    with path.open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["name"], ["a\n'=1+1"], ["b\n'=1"]]


def test_what_is_no_text_stays() -> None:
    assert [neutralise(value) for value in (-1, -1.5, None, True)] == [-1, -1.5, None, True]


def test_a_file_that_no_person_wrote_is_refused_at_once(path: Path) -> None:
    path.write_text("video," * 200_000 + "\n")
    with pytest.raises(DataError, match="names more than 100 columns"):
        read_csv(path, "key", ["video"])
    path.write_bytes(b"video\n" + b"x" * (MAX_BYTES + 1))
    with pytest.raises(DataError, match="larger than"):
        read_csv(path, "key", ["video"])
    with pytest.raises(DataError, match="x…' is not among"):
        check_video_name("x" * 1_000_000, ["anna.mp4", "x" * 200], "labels.csv, line 2")
