"""A table of labelled images, CSV or Parquet: path and label, and if need be split, subject, weight and groups."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path, PureWindowsPath

import pandas as pd

from fer.core.csv import restore
from fer.core.parquet import read_parquet
from fer.data.sources.archive import DatasetFiles
from fer.data.sources.base import ALLOWED_PARTS, Source, build_labelled_table, parse_part
from fer.data.sources.clip_labels import LEFT_OUT_BY_MAP, resolve_label
from fer.data.sources.groups import build_group_columns, check_group_columns
from fer.errors import DataError, shorten_error

# Names of the columns that mean something, the first of each as this project writes it.
COLUMNS = {"path": ("path", "image"), "label": ("label",), "split": ("split", "part"), "weight": ("weight",)}
# What annotators say in probabilities is no group, nor a fact about the image.
PROBABILITY = "p_"
NOT_NAMED = "image that the table does not name"
NO_LABEL = "row without a label"
NO_IMAGE, ABSOLUTE = "row without an image", "row with an absolute path, which must begin in the source's root"
Row = dict[str, str]


def read_table(name: str, table: str, root: str, class_map: Mapping[str, str | None]) -> Source:
    """Read a table that names images and their labels.

    Args:
        name: Name of the source.
        table: The file. Its columns are ``path`` (or ``image``) and ``label``, and if need be ``split``, ``weight``
            (above 0, of training images); ``subject`` and further ones are groups.
        root: Directory or archive in which the paths begin.
        class_map: Label: class, or None to leave its images out; usual spellings need none.

    Raises:
        DataError: The table cannot be read, or lacks a column.
    """
    header, rows = _read_rows(table)
    names = _find_columns(table, header)
    files = DatasetFiles(root)
    groups = [column for column in header if column not in names.values() and not column.startswith(PROBABILITY)]
    check_group_columns(groups, table)
    samples: list[tuple[str, str, str, float]] = []
    values: dict[str, list[str]] = {}
    problems: list[tuple[str, str]] = []
    unused: dict[str, str] = {}
    for line, row in rows:
        path = row[names["path"]].replace("\\", "/").removeprefix("./")
        sample, reason = _parse_row(path, row, names, files, class_map)
        if reason in (LEFT_OUT_BY_MAP, NO_LABEL):
            unused[path] = reason
        elif path in values:
            problems.append((f"{Path(table).name}, line {line} ({path})", "row of an image that was named before"))
        elif sample is None:
            problems.append((f"{Path(table).name}, line {line} ({path})", reason))
        else:
            samples.append(sample)
            values[path] = [row[column] for column in groups]
    named = {*values, *unused}
    left = [(path, NOT_NAMED) for path in files.list_images("") if path not in named]
    paths, parts, labels, weights = (list(column) for column in zip(*samples, strict=True)) if samples else ([],) * 4
    built = build_labelled_table(paths, parts, labels)
    if "weight" in names:
        built["weight"] = pd.Series(weights, dtype="float64")
    return Source(
        name,
        built,
        files.read,
        problems=tuple(problems),
        unused=(*unused.items(), *left),
        groups=build_group_columns(paths, groups, values),
    )


def _find_columns(table: str, header: list[str]) -> dict[str, str]:
    """The names in this table of what COLUMNS lists. Raises DataError where one is missing, or there twice."""
    if twice := sorted({column for column in header if header.count(column) > 1}):
        raise DataError(f"{table}: has the column {twice[0]!r} twice; leave one out")
    names = {key: found for key, known in COLUMNS.items() if (found := next((n for n in known if n in header), None))}
    if missing := [key for key in ("path", "label") if key not in names]:
        raise DataError(
            f"{table}: has the columns {', '.join(header) or 'of an empty file'}, and none is {' or '.join(missing)}; "
            "needed are path (the image's, from root) and label, and known are split, subject and weight"
        )
    return names


def _parse_row(
    path: str, row: Row, names: Mapping[str, str], files: DatasetFiles, class_map: Mapping[str, str | None]
) -> tuple[tuple[str, str, str, float] | None, str]:
    """Path, part, label and weight of a row; or None, and why there is no sample."""
    text = row[names["label"]]
    if not text:
        return None, NO_LABEL
    label, reason = resolve_label(text, class_map)
    if label is None:
        return None, reason if reason == LEFT_OUT_BY_MAP else f"row with the label {text!r}, which is no emotion"
    if path not in files or not files.is_image(path):
        return None, ABSOLUTE if PureWindowsPath(path).root else NO_IMAGE
    given = row[names["split"]] if "split" in names else ""
    part = parse_part(given) if given else ""
    if part is None:
        return None, f"row with the split {given!r}; allowed are {ALLOWED_PARTS}"
    weight = _parse_weight(row[names["weight"]]) if "weight" in names else 1.0
    if weight is None:
        return None, f"row with the weight {row[names['weight']]!r}, which is no number above 0"
    return (path, part, label, weight), ""


def _parse_weight(text: str) -> float | None:
    """A weight, 1 where none is given, None where the text is none."""
    try:
        weight = float(text or 1)
    except ValueError:
        return None
    return weight if 0 < weight < math.inf else None


def _read_rows(table: str) -> tuple[list[str], Iterator[tuple[int, Row]]]:
    """The columns, and the number of each line with its cells as text. Raises DataError."""
    if Path(table).suffix.lower() == ".parquet":
        return _read_parquet_rows(Path(table))
    files = DatasetFiles(table)
    if files.names != [Path(table).name]:
        raise DataError(f"{table}: is no table; name a .csv or .parquet file")
    lines = files.iter_rows(files.names[0])
    header = [column.strip() for column in next(lines, (1, []))[1]]

    def iter_cells() -> Iterator[tuple[int, Row]]:
        for line, cells in lines:
            filled = [restore(cell.strip()) for cell in [*cells, *[""] * len(header)]]
            yield line, dict(zip(header, filled, strict=False))

    return header, iter_cells()


def _read_parquet_rows(table: Path) -> tuple[list[str], Iterator[tuple[int, Row]]]:
    try:
        content = read_parquet(table)
    except (OSError, ValueError) as error:
        raise DataError(f"{table}: cannot be read as Parquet ({shorten_error(error)})") from None
    texts = content.astype(object).where(content.notna(), "").astype(str)
    header = [str(column) for column in texts.columns]
    rows = (dict(zip(header, row, strict=True)) for row in texts.itertuples(index=False, name=None))
    return header, enumerate(rows, 1)
