"""FER2013 with its original single labels, as Kaggle's folders or as fer2013.csv."""

import numpy as np

from fer.data.sources.archive import DatasetFiles, build_layout_error
from fer.data.sources.base import Source, build_labelled_table
from fer.data.sources.image_folder import find_split_folders, read_class_folders
from fer.emotions import FER2013_LABELS
from fer.errors import DataError

USAGE_SPLITS = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
SIDE = 48


def read_fer2013(name: str, root: str) -> Source:
    """Read FER2013. Raises DataError for another layout or labels out of range."""
    files = DatasetFiles(root)
    for table in ("fer2013.csv", "icml_face_data.csv"):
        if files.find(table):
            usages, labels, pixels = read_pixel_table(files, table)
            paths = [f"{table}#{line}" for line in range(2, len(pixels) + 2)]
            images = dict(zip(paths, pixels, strict=True))
            splits = [USAGE_SPLITS[usage] for usage in usages]
            return Source(name, build_labelled_table(paths, splits, labels), images.__getitem__)
    if folders := find_split_folders(files):
        return read_class_folders(name, files, folders, None)
    raise build_layout_error(
        files, "FER2013", ["train|test/<angry disgust fear happy neutral sad surprise>/", "fer2013.csv"]
    )


def read_pixel_table(files: DatasetFiles, table: str) -> tuple[list[str], list[str], list[np.ndarray]]:
    """Read (usages, class names, images (48, 48) uint8) from the rows of fer2013.csv (`emotion,pixels,Usage`)."""
    lines = files.iter_rows(files.find(table) or table)
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
            if row[usage] not in USAGE_SPLITS:
                raise KeyError(row[usage])
            usages.append(row[usage])
            values = np.array(row[pixels].split(), dtype=np.int64)
            if values.size != SIDE * SIDE or values.min() < 0 or values.max() > 255:
                raise ValueError(f"{values.size} pixels")
        except (KeyError, ValueError, IndexError, OverflowError):
            raise DataError(
                f"{files.root}: {table}, line {line}: expected an emotion from 0 to 6, {SIDE * SIDE} pixels from 0 to "
                f"255 and a usage of {', '.join(USAGE_SPLITS)}"
            ) from None
        images.append(values.astype(np.uint8).reshape(SIDE, SIDE))
    return usages, labels, images
