"""RAF-DB's annotations of people, one file an image: five points of the face, gender, race and age.

The publisher's readme: the points are the centres of two eyes, the nose tip and the corners of the mouth, in the
original image; the three lines below are numbers.
"""

import re
from pathlib import PurePosixPath

import numpy as np

from fer.data.sources.archive import DatasetFiles
from fer.data.sources.groups import YAW, Rows
from fer.errors import DataError
from fer.video.quality import compute_yaw

SUFFIX = "_manu_attri.txt"
AUTOMATIC = "_auto_attri.txt"
ATTRIBUTES = {
    "gender": ("male", "female", "unsure"),
    "race": ("Caucasian", "African-American", "Asian"),
    "age": ("0-3", "4-19", "20-39", "40-69", "70+"),
}
COLUMNS = [*ATTRIBUTES, YAW]
_POINTS = 5


def read_attributes(files: DatasetFiles) -> tuple[Rows, list[str]]:
    """Read the annotations of all images.

    Args:
        files: The data set's files, which may have none.

    Returns:
        The values of COLUMNS by the image's name without suffix (`train_00001`), and the files that are malformed.
    """
    rows: Rows = {}
    malformed = []
    for name in files.names:
        if not name.endswith(SUFFIX):
            continue
        values = _parse(files, name)
        if values is None:
            malformed.append(name)
        else:
            rows[PurePosixPath(name).name.removesuffix(SUFFIX)] = values
    return rows, malformed


def list_annotations(files: DatasetFiles) -> list[str]:
    """List the files of annotations, those of automatic points, which nothing needs, among them."""
    return [name for name in files.names if name.endswith((SUFFIX, AUTOMATIC))]


def _parse(files: DatasetFiles, name: str) -> list[str] | None:
    """The values of COLUMNS in one file; None where it is laid out otherwise."""
    try:
        lines = [line for line in files.read(name).decode().splitlines() if line.strip()]
        points = np.array([[float(number) for number in re.split(r"\s+", line.strip())] for line in lines[:_POINTS]])
        words = [
            names[int(line)] for names, line in zip(ATTRIBUTES.values(), lines[_POINTS:], strict=True) if int(line) >= 0
        ]
    except (DataError, UnicodeDecodeError, ValueError, IndexError):
        return None
    if points.shape != (_POINTS, 2) or len(words) != len(ATTRIBUTES) or not (points[1] - points[0]).any():
        return None
    return [*words, f"{compute_yaw(points):.1f}"]
