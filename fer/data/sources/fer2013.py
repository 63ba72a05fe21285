"""FER2013 with its original single labels, as Kaggle's folders or as fer2013.csv."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from fer.data.sources.archive import TABLE_SUFFIXES, DatasetFiles, build_layout_error
from fer.data.sources.base import ALLOWED_PARTS, Source, build_labelled_table, parse_part
from fer.data.sources.image_folder import find_class_folders, read_class_folders
from fer.emotions import FER2013_LABELS
from fer.errors import DataError

TABLES = ("fer2013.csv", "icml_face_data.csv")
SIDE = 48


@dataclass(frozen=True)
class PixelRow:
    """A row of fer2013.csv: its ``line``, and the image (48, 48) uint8, or the ``problem`` that it has."""

    line: int
    part: str = ""
    label: str = ""
    pixels: np.ndarray | None = None
    problem: str = ""


def read_fer2013(name: str, root: str) -> Source:
    """Read FER2013. Raises DataError for another layout."""
    files = DatasetFiles(root)
    if table := find_pixel_table(files):
        rows = read_pixel_table(files, table)
        images = {f"{PurePosixPath(table).name}#{row.line}": row for row in rows if row.pixels is not None}
        labelled = build_labelled_table(
            list(images), [row.part for row in images.values()], [row.label for row in images.values()]
        )
        return Source(
            name,
            labelled,
            {path: row.pixels for path, row in images.items() if row.pixels is not None}.__getitem__,
            problems=list_row_problems(table, rows),
            unused=tuple(files.list_unused([], {})),
        )
    layout = find_class_folders(files, None)
    if "" in layout.folders or not layout.folders:
        raise build_layout_error(
            files, "FER2013", ["train|test/<angry disgust fear happy neutral sad surprise>/", "fer2013.csv"]
        )
    return read_class_folders(name, files, layout)


def find_pixel_table(files: DatasetFiles) -> str | None:
    """Find fer2013.csv by its names; a table that is the root itself may be named as it likes."""
    if len(files.names) == 1 and files.root.name == files.names[0] and files.root.name.lower().endswith(TABLE_SUFFIXES):
        return files.names[0]
    return next((found for table in TABLES if (found := files.find(table))), None)


def list_row_problems(table: str, rows: Sequence[PixelRow]) -> tuple[tuple[str, str], ...]:
    """List the rows that cannot be used, each with its line and the reason."""
    return tuple((f"{table}, line {row.line}", row.problem) for row in rows if row.problem)


def read_pixel_table(files: DatasetFiles, table: str) -> list[PixelRow]:
    """Read the rows of fer2013.csv (`emotion,pixels,Usage`) in their order, malformed ones included."""
    lines = files.iter_rows(table)
    _, header = next(lines, (1, []))
    columns = [column.strip().lower() for column in header]
    if not {"emotion", "pixels", "usage"} <= set(columns):
        raise DataError(
            f"{files.root}: {table} has the columns {', '.join(column.strip() for column in header)}; "
            "emotion, pixels, Usage were expected"
        )
    places = [columns.index(column) for column in ("emotion", "pixels", "usage")]
    return [_parse_pixel_row(line, cells, places) for line, cells in lines]


def _parse_pixel_row(line: int, cells: Sequence[str], places: Sequence[int]) -> PixelRow:
    try:
        emotion, pixels, usage = (cells[place] for place in places)
        label = FER2013_LABELS[int(emotion)]
        values = np.array(pixels.split(), dtype=np.int64)
        if values.size != SIDE * SIDE or values.min() < 0 or values.max() > 255:
            raise ValueError(f"{values.size} pixels")
    except (KeyError, ValueError, IndexError, OverflowError):
        problem = f"row without an emotion from 0 to 6, {SIDE * SIDE} pixels from 0 to 255 and a usage"
        return PixelRow(line, problem=problem)
    if (part := parse_part(usage)) is None:
        return PixelRow(line, problem=describe_unknown_part(usage))
    return PixelRow(line, part, label, values.astype(np.uint8).reshape(SIDE, SIDE))


def describe_unknown_part(name: str) -> str:
    """Describe a row whose part is none."""
    return f"row of the unknown part {name.strip()!r}; allowed are {ALLOWED_PARTS}"
