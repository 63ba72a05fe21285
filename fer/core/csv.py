"""Small CSV files that people write by hand or in Excel: read as text, mistakes answered by one sentence."""

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
    try:
        text = path.read_text(encoding="utf-8-sig")
        header = text.partition("\n")[0]
        separator = ";" if header.count(";") > header.count(",") else ","
        # Without index_col=False a line with too many fields would shift all columns.
        table = pd.read_csv(
            StringIO(text), sep=separator, dtype=str, index_col=False, keep_default_na=False, skip_blank_lines=False
        )
    except (OSError, ValueError) as error:
        # What pandas finds wrong with a CSV, and bytes that are no UTF-8, are ValueErrors.
        raise DataError(f"{key}={path}: cannot be read as CSV in UTF-8 ({shorten_error(error)})") from None
    table.columns = table.columns.str.strip().str.lower()
    if missing := [name for name in required if name not in table]:
        hint = f", and may name {', '.join(optional)}" if optional else ""
        raise DataError(
            f"{key}={path}: lacks {', '.join(missing)}; its first line must name {', '.join(required)}{hint}"
        )
    table = table.reindex(columns=[*required, *optional], fill_value="").fillna("")
    table = table.apply(lambda column: column.str.strip())
    table.index += 2
    return table[(table != "").any(axis=1)]


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
