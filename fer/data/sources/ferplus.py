"""FERPlus (microsoft/FERPlus): FER2013's images with the votes of ten annotators."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np

from fer.data.sources.archive import DatasetFiles, build_layout_error
from fer.data.sources.base import ALLOWED_PARTS, SPLITS, Source, build_voted_table, parse_part
from fer.data.sources.fer2013 import (
    TABLES,
    describe_unknown_part,
    find_pixel_table,
    list_row_problems,
    read_pixel_table,
)
from fer.emotions import FERPLUS_VOTES
from fer.errors import DataError

LABELS = "label.csv"
NEW = "fer2013new.csv"


@dataclass(frozen=True)
class VoteRow:
    """A row of votes: its ``line``, the ``image`` it names, and ten ``votes``, or the ``problem`` that it has."""

    line: int
    image: str
    part: str = ""
    votes: list[float] = field(default_factory=list)
    problem: str = ""


def read_ferplus(name: str, root: str, votes: str) -> Source:
    """Read FERPlus in the layout of its preparation script, or as fer2013.csv beside fer2013new.csv.

    ``votes`` names the file that counts: `label.csv`, `fer2013new.csv`, or `auto`. Images and rows are joined on the
    image's name: rows without a name (not a face) make row numbers drift. Of rows with the same name the later wins.
    Raises DataError for another layout or other tables.
    """
    files = DatasetFiles(root)
    folders = _find_part_folders(files)
    if any(f"{folder}{LABELS}" in files for folder in folders.values()):
        return _read_folders(name, files, folders, NEW if votes == NEW else LABELS)
    if files.find(NEW) and folders:
        if votes == LABELS:
            raise _build_no_label_csv_error(files)
        return _read_folders(name, files, folders, NEW)
    if find_pixel_table(files) and files.find(NEW):
        return _read_tables(name, files, votes)
    raise build_layout_error(
        files,
        "FERPlus",
        [
            "FER2013Train|FER2013Valid|FER2013Test/*.png with a label.csv in each or with fer2013new.csv",
            "fer2013.csv with fer2013new.csv",
        ],
    )


def _find_part_folders(files: DatasetFiles) -> dict[str, str]:
    """Find the folder of each part, with a slash behind: those with a label.csv, or named as FER2013Train is.

    Raises DataError for a part that is unknown or there twice.
    """
    folders: dict[str, str] = {}
    labelled = {file.removesuffix(f"/{LABELS}") for file in files.names if file.endswith(f"/{LABELS}")}
    with_images = {str(PurePosixPath(image).parent) for image in files.list_images("")}
    for folder in sorted(labelled | {folder for folder in with_images if _is_part_folder(folder)}):
        name = PurePosixPath(folder).name
        if (part := parse_part(re.sub("^fer2013", "", name, flags=re.IGNORECASE))) is None:
            raise DataError(
                f"{files.root}: the folder {folder!r} is named as no part; allowed are FER2013Train, FER2013Valid, "
                f"FER2013Test and {ALLOWED_PARTS}; rename it, or remove it"
            )
        if folders.setdefault(part, f"{folder}/") != f"{folder}/":
            raise DataError(
                f"{files.root}: {folders[part]} and {folder}/ both stand for the part {part}; keep one of them"
            )
    return {part: folders[part] for part in SPLITS if part in folders}


def _is_part_folder(folder: str) -> bool:
    name = PurePosixPath(folder).name.lower()
    return parse_part(name) is not None or (name.startswith("fer2013") and name != "fer2013")


def _build_no_label_csv_error(files: DatasetFiles) -> DataError:
    return DataError(f"{files.root}: has no label.csv; set votes=fer2013new.csv (or auto) for this source")


def _read_folders(name: str, files: DatasetFiles, folders: dict[str, str], votes: str) -> Source:
    """Read folders of images; ``votes`` is `label.csv` or `fer2013new.csv`. Images without a row in it are problems."""
    new_rows = read_fer2013new(files) if votes == NEW else []
    samples: dict[str, VoteRow] = {}
    splits: list[str] = []
    problems = _list_vote_problems(NEW, new_rows)
    # A malformed row stands for its image too.
    spoilt: list[str] = []
    for part, folder in folders.items():
        if votes == NEW:
            table, rows = NEW, [row for row in new_rows if row.part == part]
        else:
            table = folder + LABELS
            rows = _read_label_csv(files, table) if table in files else []
            problems += _list_vote_problems(table, rows)
        by_image = {row.image: row for row in rows if row.image and not row.problem}
        malformed = {row.image for row in new_rows or rows if row.problem} - by_image.keys()
        images = {PurePosixPath(image).name: image for image in files.list_images(folder.rstrip("/"))}
        spoilt += [path for image, path in images.items() if image in malformed]
        problems += [(folder + image, f"row of {table} without an image") for image in by_image if image not in images]
        problems += [
            (path, f"image without a row in {table}")
            for image, path in images.items()
            if image not in by_image and image not in malformed
        ]
        used = {images[image]: row for image, row in by_image.items() if image in images}
        samples |= used
        splits += [part] * len(used)
    counts = np.array([row.votes for row in samples.values()]).reshape(-1, len(FERPLUS_VOTES))
    others = {file: f"votes come from {votes}" for file in files.names if PurePosixPath(file).name in (NEW, LABELS)}
    unused = files.list_unused([*samples, *spoilt, *(path for path, _ in problems)], others)
    return Source(
        name,
        build_voted_table(list(samples), splits, counts, FERPLUS_VOTES),
        files.read,
        notes=(f"votes from {votes}",),
        problems=tuple(problems),
        unused=tuple(unused),
    )


def _read_tables(name: str, files: DatasetFiles, votes: str) -> Source:
    """Read fer2013.csv, which holds the pixels row by row in the order of fer2013new.csv.

    Only here rows are joined by their number.
    """
    if votes == "label.csv":
        raise _build_no_label_csv_error(files)
    table = find_pixel_table(files) or TABLES[0]
    pixel_rows = read_pixel_table(files, table)
    vote_rows = read_fer2013new(files)
    if len(vote_rows) != len(pixel_rows):
        raise DataError(
            f"{files.root}: fer2013.csv has {len(pixel_rows)} rows and fer2013new.csv {len(vote_rows)}; "
            "both must be the whole files, which have the same rows in the same order"
        )
    samples: dict[str, VoteRow] = {}
    images: dict[str, np.ndarray] = {}
    unused: list[tuple[str, str]] = []
    for pixel_row, row in zip(pixel_rows, vote_rows, strict=True):
        if pixel_row.pixels is None or row.problem:
            continue
        if pixel_row.part != row.part:
            raise DataError(
                f"{files.root}: fer2013.csv says {pixel_row.part} where fer2013new.csv says {row.part} "
                f"({row.image or 'no name'}): the two files do not belong together"
            )
        if row.image in samples:
            unused.append(
                (f"{NEW}, line {samples[row.image].line} ({row.image})", "row of an image that is named again")
            )
        if row.image:
            samples[row.image] = row
            images[row.image] = pixel_row.pixels
        else:
            unused.append((f"{NEW}, line {row.line}", "row without the name of an image: no face"))
    counts = np.array([row.votes for row in samples.values()]).reshape(-1, len(FERPLUS_VOTES))
    return Source(
        name,
        build_voted_table(list(samples), [row.part for row in samples.values()], counts, FERPLUS_VOTES),
        images.__getitem__,
        notes=(f"votes from {NEW}",),
        problems=(*list_row_problems(table, pixel_rows), *_list_vote_problems(NEW, vote_rows)),
        unused=(*unused, *files.list_unused([], {})),
    )


def _read_label_csv(files: DatasetFiles, table: str) -> list[VoteRow]:
    """Read `name, box, ten votes` a row, without header."""
    return [
        _parse_vote_row(line, cells[0].strip(), "", cells[2:])
        for line, cells in files.iter_rows(table)
        if cells[0].strip()
    ]


def read_fer2013new(files: DatasetFiles) -> list[VoteRow]:
    """Read the rows of fer2013new.csv, malformed ones included; the name is empty where there is no face."""
    table = files.find(NEW)
    if table is None:
        raise DataError(f"{files.root}: has no {NEW}; set votes=label.csv (or auto) for this source")
    lines = files.iter_rows(table)
    _, header = next(lines, (1, []))
    columns = [column.strip() for column in header]
    if columns != ["Usage", "Image name", *FERPLUS_VOTES]:
        raise DataError(f"{files.root}: {table} has the columns {', '.join(columns)}; those of FERPlus were expected")
    rows = []
    for line, cells in lines:
        part = parse_part(cells[0])
        image = "".join(cells[1:2]).strip()
        row = _parse_vote_row(line, image, part or "", cells[2:])
        rows.append(row if part else VoteRow(line, image, problem=describe_unknown_part(cells[0])))
    return rows


def _parse_vote_row(line: int, image: str, part: str, cells: Sequence[str]) -> VoteRow:
    """Parse ten votes, each a number from 0 to 10."""
    try:
        votes = [float(cell) for cell in cells]
    except ValueError:
        votes = []
    if len(votes) != len(FERPLUS_VOTES) or not all(0 <= vote <= 10 for vote in votes):
        shown = ", ".join(cells) or "none"
        return VoteRow(line, image, problem=f"row with {shown} instead of ten votes from 0 to 10")
    return VoteRow(line, image, part, votes)


def _list_vote_problems(table: str, rows: Sequence[VoteRow]) -> list[tuple[str, str]]:
    return [
        (f"{table}, line {row.line}" + (f" ({row.image})" if row.image else ""), row.problem)
        for row in rows
        if row.problem
    ]
