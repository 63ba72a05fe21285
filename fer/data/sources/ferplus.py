"""FERPlus (microsoft/FERPlus): FER2013's images with the votes of ten annotators."""

from collections.abc import Iterable
from pathlib import PurePosixPath

import numpy as np

from fer.data.sources.archive import DatasetFiles, build_layout_error, is_image
from fer.data.sources.base import Source, build_voted_table
from fer.data.sources.fer2013 import USAGE_SPLITS, read_pixel_table
from fer.emotions import FERPLUS_VOTES
from fer.errors import DataError

FOLDERS = {"train": "FER2013Train", "val": "FER2013Valid", "test": "FER2013Test"}
NEW = "fer2013new.csv"
Votes = dict[str, list[float]]


def read_ferplus(name: str, root: str, votes: str) -> Source:
    """Read FERPlus in the layout of its preparation script, or as fer2013.csv beside fer2013new.csv.

    ``votes`` names the file that counts: `label.csv`, `fer2013new.csv`, or `auto`. Images and rows are joined on the
    image's name: rows without a name (not a face) make row numbers drift. Of rows with the same name the later wins.
    Raises DataError for another layout or malformed tables.
    """
    files = DatasetFiles(root)
    if any(files.find(f"{folder}/label.csv") for folder in FOLDERS.values()):
        return _read_folders(name, files, NEW if votes == NEW else "label.csv")
    if files.find(NEW) and any(_find_image_folder(files, folder) for folder in FOLDERS.values()):
        if votes == "label.csv":
            raise _build_no_label_csv_error(files)
        return _read_folders(name, files, NEW)
    if files.find("fer2013.csv") and files.find(NEW):
        return _read_tables(name, files, votes)
    raise build_layout_error(
        files,
        "FERPlus",
        [
            "FER2013Train|FER2013Valid|FER2013Test/*.png with a label.csv in each or with fer2013new.csv",
            "fer2013.csv with fer2013new.csv",
        ],
    )


def _find_image_folder(files: DatasetFiles, folder: str) -> str | None:
    """Find the images of FER2013Train, FER2013Valid or FER2013Test: beside label.csv, or below that name."""
    if table := files.find(f"{folder}/label.csv"):
        return table.removesuffix("label.csv")
    images = (PurePosixPath(name) for name in files.names if is_image(name))
    candidates = {f"{image.parent}/" for image in images if image.parent.name == folder}
    return min(candidates, key=len) if candidates else None


def _build_no_label_csv_error(files: DatasetFiles) -> DataError:
    return DataError(f"{files.root}: has no label.csv; set votes=fer2013new.csv (or auto) for this source")


def _read_folders(name: str, files: DatasetFiles, votes: str) -> Source:
    """Read folders of images; ``votes`` is `label.csv` or `fer2013new.csv`. Images without a row in it are problems."""
    new_votes = _read_fer2013new_votes(files) if votes == NEW else {}
    paths: list[str] = []
    splits: list[str] = []
    counts: list[list[float]] = []
    problems: list[tuple[str, str]] = []
    for split, folder in FOLDERS.items():
        if (base := _find_image_folder(files, folder)) is None:
            continue
        if votes == NEW:
            table, rows = NEW, new_votes.get(split, {})
        else:
            table = base + "label.csv"
            rows = _read_label_csv(files, table) if table in files else {}
        images = {image.removeprefix(base): image for image in files.list_images(base.rstrip("/"))}
        problems += [(base + image, f"row of {table} without an image") for image in rows if image not in images]
        problems += [(path, f"image without a row in {table}") for image, path in images.items() if image not in rows]
        for image in rows:
            if image in images:
                paths.append(images[image])
                splits.append(split)
                counts.append(rows[image])
    samples = build_voted_table(paths, splits, np.array(counts).reshape(-1, len(FERPLUS_VOTES)), FERPLUS_VOTES)
    return Source(name, samples, files.read, notes=(f"votes from {votes}",), problems=tuple(problems))


def _read_tables(name: str, files: DatasetFiles, votes: str) -> Source:
    """Read fer2013.csv, which holds the pixels row by row in the order of fer2013new.csv.

    Only here rows are joined by their number.
    """
    if votes == "label.csv":
        raise _build_no_label_csv_error(files)
    usages, _, pixels = read_pixel_table(files, "fer2013.csv")
    rows = read_fer2013new(files)
    if len(rows) != len(pixels):
        raise DataError(
            f"{files.root}: fer2013.csv has {len(pixels)} rows and fer2013new.csv {len(rows)}; "
            "both must be the whole files, which have the same rows in the same order"
        )
    table, images = {}, {}
    for usage, (new_usage, image, counts), pixel_array in zip(usages, rows, pixels, strict=True):
        if usage != new_usage:
            raise DataError(
                f"{files.root}: fer2013.csv says {usage} where fer2013new.csv says {new_usage} ({image or 'no name'}): "
                "the two files do not belong together"
            )
        if image:
            table[image] = (USAGE_SPLITS[usage], counts)
            images[image] = pixel_array
    counts_array = np.array([counts for _, counts in table.values()]).reshape(-1, len(FERPLUS_VOTES))
    return Source(
        name,
        build_voted_table(list(table), [split for split, _ in table.values()], counts_array, FERPLUS_VOTES),
        images.__getitem__,
        notes=(f"votes from {NEW}",),
    )


def _read_label_csv(files: DatasetFiles, table: str) -> Votes:
    """Read `name, box, ten votes` a row, without header."""
    return {
        row[0].strip(): _parse_votes(row[2:], files, f"{table}, line {line}")
        for line, row in enumerate(files.iter_rows(table), 1)
        if row and row[0].strip()
    }


def _read_fer2013new_votes(files: DatasetFiles) -> dict[str, Votes]:
    """Read the votes of fer2013new.csv by split and image name."""
    if files.find(NEW) is None:
        raise DataError(f"{files.root}: has no {NEW}; set votes=label.csv (or auto) for this source")
    votes: dict[str, Votes] = {}
    for usage, image, counts in read_fer2013new(files):
        if image:
            votes.setdefault(USAGE_SPLITS[usage], {})[image] = counts
    return votes


def read_fer2013new(files: DatasetFiles) -> list[tuple[str, str, list[float]]]:
    """Read (usage, image name, ten votes) from fer2013new.csv; the name is empty where there is no face."""
    table = files.find(NEW) or NEW
    lines = files.iter_rows(table)
    header = [column.strip() for column in next(lines, [])]
    if header != ["Usage", "Image name", *FERPLUS_VOTES]:
        raise DataError(f"{files.root}: {table} has the columns {', '.join(header)}; those of FERPlus were expected")
    rows = []
    for line, row in enumerate(lines, 2):
        if row:
            if row[0] not in USAGE_SPLITS:
                raise DataError(
                    f"{files.root}: {table}, line {line}: usage {row[0]!r}; allowed are {', '.join(USAGE_SPLITS)}"
                )
            rows.append((row[0], "".join(row[1:2]).strip(), _parse_votes(row[2:], files, f"{table}, line {line}")))
    return rows


def _parse_votes(cells: Iterable[str], files: DatasetFiles, location: str) -> list[float]:
    """Parse ten votes. Raises DataError unless each is a number from 0 to 10."""
    cells = list(cells)
    try:
        votes = [float(cell) for cell in cells]
    except ValueError:
        votes = []
    if len(votes) != len(FERPLUS_VOTES) or not all(0 <= vote <= 10 for vote in votes):
        raise DataError(
            f"{files.root}: {location}: ten votes from 0 to 10 were expected, not {', '.join(cells) or 'none'}"
        )
    return votes
