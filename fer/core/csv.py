"""CSV files of people: small ones that they write, and tables that they open in Excel."""

import csv
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer.core.io import atomic_write, read_at_most
from fer.errors import DataError, shorten_error

if TYPE_CHECKING:
    import pandas as pd

# A line for each video of a study, or for each image that is left out.
MAX_BYTES, MAX_COLUMNS = 16 << 20, 100
# Rows of a table that are made texts at a time.
BLOCK_ROWS = 4096
# Names are compared with all others, in time that grows with their length.
_MAX_COMPARED = 300
# A spreadsheet may also divide a line at the list separator of its country, or at a tab, quotes or not: there a cell
# may begin, too.
_START = r"(?:^|(?<=[;|\t\n]))"
# What spreadsheets take for a formula, full-width and small signs included, behind blanks and what nobody sees. Each '
# before it makes it a text. What begins with a tab or a new line is one as well.
_FORMULA = (
    r"(?=['\"]*(?:(?![\t\n])[\s\x00-\x1f\x7f\xad\u200b-\u200f\u2060-\u2064\ufeff])*"
    r"[=+\-@\u2212\ufe62\ufe63\ufe66\ufe6b\uff0b\uff0d\uff1d\uff20]|\A['\"]*[\t\n])"
)
_DANGEROUS, _NEUTRALISED = (
    re.compile(_START + _FORMULA),
    re.compile(_START + "'" + _FORMULA.replace(r"\A", r"(?<=\A')")),
)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:inf|nan)")


def neutralise(value: Any) -> Any:
    """Return a cell of which no spreadsheet takes anything for a formula: a ``'`` stands before it; numbers stay.

    Args:
        value: The cell, of any type.
    """
    # Most cells are a single word, which is no formula in any case.
    if not isinstance(value, str) or value.isalnum():
        return value
    # Python's writer leaves a carriage return without quotes: it would begin a new line, and so a new cell.
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    return text if _NUMBER.fullmatch(text) else _DANGEROUS.sub("'", text)


def restore(value: str) -> str:
    """Return the text of a cell that ``neutralise`` may have changed."""
    return _NEUTRALISED.sub("", value)


def write_csv(table: "pd.DataFrame", path: Path, formats: Mapping[str, str] | None = None, **options: Any) -> None:
    """Write a table for people, completely or not at all; no cell of it is taken for a formula.

    Args:
        table: The table, without its index.
        path: The file.
        formats: How numbers are written, by column, such as ``%.6g``. pandas would take four times as long.
        options: Of ``pandas.DataFrame.to_csv``.
    """
    with atomic_write(path) as temporary:
        # The texts of a whole table would fill the memory.
        for first in range(0, max(len(table), 1), BLOCK_ROWS):
            block = _make_safe(table.iloc[first : first + BLOCK_ROWS], formats or {})
            block.to_csv(temporary, index=False, mode="a" if first else "w", header=not first, **options)


def _make_safe(table: "pd.DataFrame", formats: Mapping[str, str]) -> "pd.DataFrame":
    """The table with its numbers as texts, and no text of it a formula."""
    numbers = {name: _format_numbers(table[name], text) for name, text in formats.items()}
    others = [name for name in table if name not in numbers and not _is_numeric(table[name])]
    texts = {str(name): table[name].map(neutralise) for name in others}
    return table.assign(**texts, **numbers).rename(columns=neutralise)


def _format_numbers(column: "pd.Series[Any]", text: str) -> "pd.Series[Any]":
    """The numbers of a column as texts, empty where they are missing."""
    import pandas as pd

    cells = ["" if is_missing else text % value for value, is_missing in zip(column, column.isna(), strict=True)]
    return pd.Series(cells, column.index, dtype=object)


def _is_numeric(column: "pd.Series[Any]") -> bool:
    import pandas as pd

    return pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)


def read_csv(path: Path, key: str, required: Sequence[str], optional: Sequence[str] = ()) -> "pd.DataFrame":
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
    # What only neutralises a text, such as a refusal of a sweep, does without it.
    import pandas as pd

    text = _read_text(path, key)
    header = text.partition("\n")[0]
    if not header.strip():
        raise DataError(f"{key}={path}: its first line is empty; it must name {', '.join(required)}")
    if header.count(",") + header.count(";") > MAX_COLUMNS:
        raise DataError(f"{key}={path}: its first line names more than {MAX_COLUMNS} columns; keep those that are read")
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
    # Names that were copied from a table of ours mean what they stood for.
    cells = [dict(zip(names, row, strict=False)) for row in rows]
    table = pd.DataFrame(
        [[restore(row.get(name, "").strip()) for name in (*required, *optional)] for row in cells],
        index=pd.RangeIndex(2, len(rows) + 2),
        columns=[*required, *optional],
        dtype=str,
    )
    return table[(table != "").any(axis=1)]


def read_csv_rows(path: Path, key: str) -> list[tuple[int, list[str]]]:
    """Read all fields of a CSV file as text.

    Fields are separated by commas, semicolons or tabs, whichever the first line that has any has most of; Excel's line
    `sep=;` says it outright.

    Args:
        path: The file, in UTF-8.
        key: The configuration key that names the file; messages begin with ``key=path``.

    Returns:
        (number of the line, its fields) for each record, the blank ones included.

    Raises:
        DataError: The file cannot be read.
    """
    text = _read_text(path, key)
    lines = text.splitlines()
    is_told = re.fullmatch(r"sep=(.)", lines[0].strip("\"' ")) if lines else None
    dividing = next((line for line in lines if any(mark in line for mark in ",;\t")), "")
    separator = is_told[1] if is_told else max(",;\t", key=dividing.count)
    if any(line.count(separator) > MAX_COLUMNS for line in lines[:1]):
        raise DataError(f"{key}={path}: its first line names more than {MAX_COLUMNS} columns; keep those that are read")
    reader = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
    rows, start = [], 1
    try:
        for row in reader:
            rows.append((start, [restore(field) for field in row]))
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{key}={path}: line {reader.line_num} cannot be read as CSV ({error}); export it again as CSV"
        ) from None
    return rows[1:] if is_told else rows


def _read_text(path: Path, key: str) -> str:
    try:
        data = read_at_most(path, MAX_BYTES)
        if data is None:
            raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB")
        return data.decode("utf-8-sig")
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
        nearest = get_close_matches(video[:_MAX_COMPARED], videos, n=1, cutoff=0.0)
        hint = f"; the nearest name is {nearest[0]!r}" if nearest else ""
        raise DataError(f"{location}: {shorten_name(video)!r} is not among the videos{hint}")


def shorten_name(name: str) -> str:
    """Return a name that someone wrote, cut to what fits into a sentence."""
    return name if len(name) <= _MAX_COMPARED else f"{name[:_MAX_COMPARED]}…"
