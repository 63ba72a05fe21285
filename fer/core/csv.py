"""Small CSV files that people write by hand or in Excel: read as text, mistakes answered by one sentence."""

import csv
from collections.abc import Sequence
from difflib import get_close_matches
from io import StringIO
from pathlib import Path

import pandas as pd

from fer.errors import DataError, shorten_error


def read_csv(path: Path, key: str, required: Sequence[str], optional: Sequence[str] = ()) -> pd.DataFrame:
    """Read some columns of a CSV file as text.

    The first line names the columns, in any order and in capitals or not. Fields are separated by commas, or by
    semicolons as Excel writes them in much of Europe.

    Args:
        path: The file, in UTF-8.
        key: The configuration key that names the file; messages begin with ``key=path``.
        required: Columns that the file must have.
        optional: Columns that are empty where the file lacks them.

    Returns:
        The columns ``required`` and ``optional`` without the blank lines, each field stripped, "" where it is empty.
        The index is the number of the line in the file, of which the header is the first.

    Raises:
        DataError: The file cannot be read, or lacks a column.
    """
    text = _read_text(path, key)
    header = text.partition("\n")[0]
    if not header.strip():
        raise DataError(f"{key}={path}: its first line is empty; it must name {', '.join(required)}")
    separator = ";" if header.count(";") > header.count(",") else ","
    try:
        names, *rows = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
    except csv.Error as error:
        raise DataError(f"{key}={path}: cannot be read as CSV ({error}); export it again as CSV") from None
    names = [name.strip().lower() for name in names]
    _check_header(f"{key}={path}", names, required, optional)
    for line, row in enumerate(rows, 2):
        # Empty fields at the end are what spreadsheets leave of deleted columns.
        if any(field.strip() for field in row[len(names) :]):
            raise DataError(
                f"{key}={path}: line {line} has more fields than the first line; put double quotes around a field that "
                f"has a {separator!r} in it"
            )
    cells = [dict(zip(names, row, strict=False)) for row in rows]
    table = pd.DataFrame(
        [[row.get(name, "").strip() for name in (*required, *optional)] for row in cells],
        index=pd.RangeIndex(2, len(rows) + 2),
        columns=[*required, *optional],
        dtype=str,
    )
    return table[(table != "").any(axis=1)]


def _read_text(path: Path, key: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{key}={path}: is no text in UTF-8; save it as CSV in UTF-8") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{key}={path}: cannot be read ({shorten_error(error)})") from None


def _check_header(location: str, names: Sequence[str], required: Sequence[str], optional: Sequence[str]) -> None:
    """Refuse a first line that lacks a column, or has one twice. Raises DataError."""
    if missing := [name for name in required if name not in names]:
        hint = f", and may name {', '.join(optional)}" if optional else ""
        tabs = " (its fields must be separated by commas or semicolons)" if any("\t" in name for name in names) else ""
        raise DataError(
            f"{location}: lacks {', '.join(missing)}{tabs}; its first line must name {', '.join(required)}{hint}"
        )
    if twice := next((name for name in (*required, *optional) if names.count(name) > 1), None):
        raise DataError(f"{location}: has two columns {twice}; leave one of them out")


def check_video_name(video: str, videos: Sequence[str], location: str) -> None:
    """Refuse a video that is not among ``videos``.

    Args:
        video: The name that a line of a file gives.
        videos: The names of the run's videos.
        location: File and line, with which the message begins.

    Raises:
        DataError: Says which of ``videos`` has the nearest name.
    """
    if video not in videos:
        nearest = get_close_matches(video, videos, n=1, cutoff=0.0)
        hint = f"; the nearest name is {nearest[0]!r}" if nearest else ""
        raise DataError(f"{location}: {video!r} is not among the videos{hint}")
