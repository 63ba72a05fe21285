"""RAF-DB, basic emotions (Li and Deng, 2019): single labels, official training and test splits."""

import re
from pathlib import PurePosixPath

from fer.data.sources.archive import DatasetFiles, build_layout_error
from fer.data.sources.base import SPLITS, Source, build_labelled_table, parse_part
from fer.data.sources.fer2013 import describe_unknown_part
from fer.data.sources.groups import build_group_columns
from fer.data.sources.image_folder import find_class_folders, read_class_folders
from fer.data.sources.rafdb_attributes import COLUMNS, list_annotations, read_attributes
from fer.emotions import RAFDB_LABELS
from fer.errors import DataError

# The publisher's own spelling.
OFFICIAL_LIST = "EmoLabel/list_patition_label.txt"
ALIGNED = "_aligned"
NUMBERS = {str(number): emotion for number, emotion in RAFDB_LABELS.items()}
Problem = tuple[str, str]


def read_rafdb(name: str, root: str) -> Source:
    """Read RAF-DB in Kaggle's or the official layout. Raises DataError for another."""
    files = DatasetFiles(root)
    if table := files.find(OFFICIAL_LIST):
        return _read_official(name, files, table)
    layout = find_class_folders(files, None, NUMBERS)
    if "" in layout.folders or not layout.folders:
        raise build_layout_error(
            files,
            "RAF-DB",
            ["train|test/<1-7>/*.jpg (Kaggle)", f"Image/aligned/*_aligned.jpg with {OFFICIAL_LIST} (official)"],
        )
    source = read_class_folders(name, files, layout)
    problems = tuple(_find_label_conflicts(files, source))
    named = {path for path, _ in problems}
    agreed = source.table[~source.table["path"].isin(named)].reset_index(drop=True)
    unused = [(path, reason) for path, reason in source.unused if path not in files.tables]
    return Source(name, agreed, files.read, problems=problems, unused=tuple(unused))


def _describe_label(number: str) -> str:
    return f"row with the label {number!r}, which is out of range; RAF-DB's labels are 1 to 7"


def _read_official(name: str, files: DatasetFiles, table: str) -> Source:
    folder = table[: -len(OFFICIAL_LIST)] + "Image/aligned"
    images = {_strip_aligned(image): image for image in files.list_images(folder)}
    paths: list[str] = []
    splits: list[str] = []
    labels: list[str] = []
    problems: list[Problem] = []
    listed: set[str] = set()
    for line, cells in files.iter_rows(table, " "):
        image, number = (" ".join(cells).split(maxsplit=1) + [""])[:2]
        key, part = _strip_aligned(image), parse_part(image.split("_", 1)[0])
        problem = (
            describe_unknown_part(image.split("_", 1)[0])
            if part is None
            else _describe_label(number)
            if number not in NUMBERS
            else "row of an image that was named before"
            if key in listed
            else ""
        )
        listed.add(key)
        if problem:
            problems.append((f"{table}, line {line} ({image})", problem))
        elif key not in images:
            path = f"{folder}/{key}{ALIGNED}{PurePosixPath(image).suffix}"
            problems.append((path, f"row of {table} without an image"))
        else:
            paths.append(images[key])
            splits.append(str(part))
            labels.append(NUMBERS[number])
    problems += [(path, f"image without a row in {table}") for key, path in images.items() if key not in listed]
    attributes, malformed = read_attributes(files)
    rows = {path: attributes[_strip_aligned(path)] for path in paths if _strip_aligned(path) in attributes}
    used = [*images.values(), *paths, *list_annotations(files)]
    return Source(
        name,
        build_labelled_table(paths, splits, labels),
        files.read,
        notes=[f"annotations that cannot be read, left empty: {len(malformed)}, such as {malformed[0]}"]
        if malformed
        else (),
        problems=tuple(problems),
        unused=tuple(files.list_unused(used, {})),
        groups=build_group_columns(paths, COLUMNS if rows else [], rows),
    )


def _strip_aligned(name: str) -> str:
    """The name of an image in the list, where some copies leave out `_aligned` or keep another suffix."""
    return PurePosixPath(name).stem.removesuffix(ALIGNED)


def _find_label_conflicts(files: DatasetFiles, source: Source) -> list[Problem]:
    """Find where Kaggle's train_labels.csv and test_labels.csv disagree with the folders."""
    tables = {
        part: table
        for table in files.names
        if (match := re.fullmatch(r"(?:.*/)?([^/]+)_labels\.csv", table, flags=re.IGNORECASE))
        and (part := parse_part(match[1]))
    }
    return [row for part in SPLITS if part in tables for row in _compare_labels(files, tables[part], source, part)]


def _compare_labels(files: DatasetFiles, table: str, source: Source, part: str) -> list[Problem]:
    lines = files.iter_rows(table)
    _, header = next(lines, (1, []))
    columns = [column.strip() for column in header]
    if columns[:2] != ["image", "label"]:
        raise DataError(f"{files.root}: {table} has the columns {', '.join(columns)}; image, label were expected")
    of_part = source.table[source.table["part"] == part]
    # Folders of several classes may hold images of the same name.
    folder: dict[str, list[tuple[str, str]]] = {}
    for path, label in of_part[["path", "label"]].to_numpy():
        folder.setdefault(path.rsplit("/", 1)[-1], []).append((path, label))
    problems: list[Problem] = []
    named: set[str] = set()
    for line, cells in lines:
        image, number = cells[0].strip(), "".join(cells[1:2]).strip()
        named.add(image)
        images = folder.get(image, [])
        if number not in NUMBERS:
            paths = [path for path, _ in images] or [f"{table}, line {line} ({image})"]
            problems += [(path, f"{table}: {_describe_label(number)}") for path in paths]
        elif not images:
            problems.append((image, f"row of {table} without an image"))
        else:
            label = NUMBERS[number]
            problems += [
                (path, f"{table} says {label}, its folder {given}") for path, given in images if given != label
            ]
    problems += [
        (path, f"image without a row in {table}")
        for name, images in folder.items()
        if name not in named
        for path, _ in images
    ]
    return problems
