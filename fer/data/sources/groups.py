"""Facts about the people and pictures of a data set, by which its metrics can be told apart."""

import logging
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from fer.data.sources.archive import DatasetFiles
from fer.data.sources.base import SPLITS
from fer.emotions import AFFECT
from fer.errors import DataError

GROUPS_FILE = "groups.csv"
# Columns that hold numbers, and their bounds: degrees that a head is turned, and how the face was rated. Every other
# column holds words.
YAW = "yaw"
_NUMBERS = {YAW: (-180.0, 180.0), **dict.fromkeys(AFFECT, (-1.0, 1.0))}
# Columns of the manifest, which are no facts of a source.
_RESERVED = frozenset(
    {"sample_id", "source", "path", "part", "split", "label", "stratum", "weight", "problem", "reason"}
    | {"content_hash", "perceptual_hash", "duplicate_group"}
)
_PREFIXES = ("votes_", "target_", "p_")
# What other programs write for a value that is not known.
_MARKS = frozenset({"na", "n/a", "nan", "none", "null"})
Rows = dict[str, list[str]]
log = logging.getLogger(__name__)


def read_group_table(files: DatasetFiles) -> tuple[list[str], Rows, list[tuple[str, str]]]:
    """Read groups.csv, which stands beside the folders of images and has a line for each of them.

    Args:
        files: The data set's files.

    Returns:
        The columns beside ``path``; their values by image, "" where one is not known; (line, reason) of lines that
        cannot be used. All empty where there is no such file.

    Raises:
        DataError: There is no column ``path``, or one is named as a column of the manifest.
    """
    table = files.find(GROUPS_FILE)
    if table is None:
        return [], {}, []
    lines = files.iter_rows(table)
    _, header = next(lines, (1, []))
    header = [column.strip() for column in header]
    if "path" not in header:
        raise DataError(
            f"{files.root}: {table} has the columns {', '.join(header) or 'of an empty file'}; one must be path, the "
            "image's path from the folder of this file, and the others name groups, such as path,gender,age"
        )
    columns = [column for column in header if column != "path"]
    check_group_columns(columns, f"{files.root}: {table}")
    folder = PurePosixPath(table).parent
    rows: Rows = {}
    problems = []
    for line, cells in lines:
        values = dict(zip(header, (cell.strip() for cell in [*cells, *[""] * len(header)]), strict=False))
        image = (folder / values.pop("path")).as_posix()
        if image not in files or not files.is_image(image):
            problems.append((f"{table}, line {line} ({image})", f"row of {table} without an image"))
        elif image in rows:
            problems.append((f"{table}, line {line} ({image})", "row of an image that was named before"))
        else:
            rows[image] = [values[column] for column in columns]
    return columns, rows, problems


def check_group_columns(columns: Sequence[str], table: str) -> None:
    """Refuse columns of ``table`` that cannot be groups: names of the manifest's own, or no names. Raises DataError."""
    for number, column in enumerate(columns):
        if column in _RESERVED or column.startswith(_PREFIXES) or column in SPLITS:
            raise DataError(f"{table} has a column {column}, which is the manifest's own; name it otherwise")
        if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", column) is None or column in columns[:number]:
            raise DataError(
                f"{table} has the column {column!r} twice, or one that is no name; use letters, digits and '_'"
            )


def build_group_columns(paths: Sequence[str], columns: Sequence[str], rows: Rows) -> pd.DataFrame | None:
    """Build the groups of a source's images; the log warns of words that often stand for nothing known.

    Args:
        paths: The images, in the order of the source's table.
        columns: Names of the groups.
        rows: The values of the columns by image, "" where one is not known.

    Returns:
        A row an image, missing values where nothing is known; None where there are no groups at all.

    Raises:
        DataError: A value of a column of numbers is none, or out of its bounds.
    """
    if not columns:
        return None
    unknown = [""] * len(columns)
    table = pd.DataFrame([rows.get(path, unknown) for path in paths], columns=list(columns), dtype=object)
    table = table.where(table != "", None)
    if marks := sorted(
        {str(value) for value in table.to_numpy().ravel() if str(value).lower() in _MARKS and value is not None}
    ):
        log.warning(
            "%s: %s are taken for names of groups; where they mean that nothing is known, leave the cells empty",
            *(GROUPS_FILE, ", ".join(marks)),
        )
    for name, (low, high) in _NUMBERS.items():
        if name in table:
            table[name] = _parse_numbers(table[name], low, high)
    return table


def _parse_numbers(column: "pd.Series[Any]", low: float, high: float) -> "pd.Series[float]":
    """A column as numbers. Raises DataError for the first value that is none, or beyond the bounds."""
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = column[column.notna() & ~numbers.between(low, high)]
    if len(wrong):
        raise DataError(
            f"{GROUPS_FILE}: the column {column.name} holds numbers from {low:g} to {high:g}, not "
            f"{str(wrong.iloc[0])!r}"
        )
    return numbers.astype(float)
