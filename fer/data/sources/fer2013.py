"""FER2013 with its original single labels, as Kaggle's folders or as fer2013.csv."""

import numpy as np

from fer.data.sources.archive import Files, wrong_layout
from fer.data.sources.base import Source, labelled_table
from fer.data.sources.image_folder import part_folders, read_class_folders
from fer.emotions import FER2013_LABELS
from fer.errors import DataError

USAGE_PARTS = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
SIDE = 48


def read_fer2013(name: str, root: str) -> Source:
    """Read FER2013. Raises DataError for another layout or labels out of range."""
    files = Files(root)
    for table in ("fer2013.csv", "icml_face_data.csv"):
        if files.find(table):
            usages, labels, pixels = read_pixel_table(files, table)
            paths = [f"{table}#{row}" for row in range(2, len(pixels) + 2)]
            images = dict(zip(paths, pixels, strict=True))
            parts = [USAGE_PARTS[usage] for usage in usages]
            return Source(name, labelled_table(paths, parts, labels), images.__getitem__)
    if folders := part_folders(files):
        return read_class_folders(name, files, folders, {})
    raise wrong_layout(files, "FER2013", ["train|test/<angry disgust fear happy neutral sad surprise>/", "fer2013.csv"])


def read_pixel_table(files: Files, table: str) -> tuple[list[str], list[str], list[np.ndarray]]:
    """(usages, class names, images (48, 48) uint8) of the rows of fer2013.csv (`emotion,pixels,Usage`)."""
    lines = files.rows(files.find(table) or table)
    header = [column.strip() for column in next(lines, [])]
    if not {"emotion", "pixels", "Usage"} <= set(header):
        raise DataError(
            f"{files.root}: {table} has the columns {', '.join(header)}; emotion, pixels, Usage were expected"
        )
    emotion, pixels, usage = (header.index(column) for column in ("emotion", "pixels", "Usage"))
    usages, labels, images = [], [], []
    for line, row in enumerate(lines, 2):
        if not row:
            continue
        try:
            labels.append(FER2013_LABELS[int(row[emotion])])
            if row[usage] not in USAGE_PARTS:
                raise KeyError(row[usage])
            usages.append(row[usage])
            values = np.array(row[pixels].split(), dtype=np.int64)
            if values.size != SIDE * SIDE or values.min() < 0 or values.max() > 255:
                raise ValueError(f"{values.size} pixels")
        except (KeyError, ValueError, IndexError, OverflowError):
            raise DataError(
                f"{files.root}: {table}, line {line}: expected an emotion from 0 to 6, {SIDE * SIDE} pixels from 0 to "
                f"255 and a usage of {', '.join(USAGE_PARTS)}"
            ) from None
        images.append(values.astype(np.uint8).reshape(SIDE, SIDE))
    return usages, labels, images
