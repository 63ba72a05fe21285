"""What every reader returns: a table of samples and functions that read their images."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from fer.data.clips.media import DrawnClips, VideoClips
from fer.emotions import FERPLUS_VOTES

SPLITS = ("train", "val", "test")
# How data sets name their parts, without spaces, marks and case; what follows the first is shown in messages.
PART_NAMES = {
    "train": ("training",),
    "val": ("valid", "validation", "dev", "PublicTest", "devel", "development"),
    "test": ("testing", "eval", "PrivateTest", "evaluation"),
}
ALLOWED_PARTS = ", ".join(f"{part} ({', '.join(names[:4])})" for part, names in PART_NAMES.items()) + ", in any case"
_PARTS = {name.lower(): part for part, names in PART_NAMES.items() for name in (part, *names)}
VOTE_COLUMNS = tuple(f"votes_{name}" for name in FERPLUS_VOTES)


def parse_part(name: str) -> str | None:
    """Return the part that a name stands for, train, val or test, or None.

    Args:
        name: Name of a folder, or a value of a column, such as `PublicTest`, `Valid_Set` or `dev`.
    """
    folded = re.sub(r"[\s_.-]", "", name).lower()
    return _PARTS.get(folded) or _PARTS.get(folded.removesuffix("set"))


@dataclass(frozen=True)
class ImageInfo:
    """Facts about an image: a ``digest`` of its content, its longer ``side`` in pixels, whether it has ``colour``."""

    digest: str
    side: int
    colour: bool


@dataclass(frozen=True)
class Source:
    """A data set as read, before any rule, split or check.

    Attributes:
        name: Name of the source in the configuration.
        table: One row an image: `path` (unique in the source), `part` (the official split: train, val, test, or ""
            where there is none), `label` (a class name, or None where there are votes), the columns `votes_*`
            (NaN where there is a label) and, where the data set weighs its images, `weight`.
        read: Gives, for a path, the image's encoded bytes, or its pixels (H, W) or (H, W, 3) uint8 RGB. Raises
            DataError.
        get_info: Gives, for a path, facts about the image without reading it; None where only reading tells.
        notes: Remarks for the report.
        problems: (path, reason) of rows without image, images without row, and rows that are malformed.
        unused: (path, reason) of files and folders that are there and belong to no sample.
        groups: What is known of the people and pictures, a row for each of ``table`` and a column a fact, such as
            gender; missing values where it is not known. None where the data set says nothing.
        clips: Where the frames of clips come from; then a row of ``table`` is a clip. None where it is an image.
    """

    name: str
    table: pd.DataFrame
    read: Callable[[str], bytes | np.ndarray]
    get_info: Callable[[str], ImageInfo] | None = None
    notes: Sequence[str] = field(default_factory=tuple)
    problems: Sequence[tuple[str, str]] = field(default_factory=tuple)
    unused: Sequence[tuple[str, str]] = field(default_factory=tuple)
    groups: pd.DataFrame | None = None
    clips: VideoClips | DrawnClips | None = None


def _build_path_columns(paths: Sequence[str], splits: Sequence[str]) -> dict[str, "pd.Series[str]"]:
    """Build the first two columns, text even where there are no rows."""
    return {"path": pd.Series(list(paths), dtype="str"), "part": pd.Series(list(splits), dtype="str")}


def build_labelled_table(paths: Sequence[str], splits: Sequence[str], labels: Sequence[str]) -> pd.DataFrame:
    """Build the table of a source whose images have one label each."""
    table = pd.DataFrame({**_build_path_columns(paths, splits), "label": pd.Series(list(labels), dtype=object)})
    for column in VOTE_COLUMNS:
        table[column] = np.nan
    return table


def build_voted_table(
    paths: Sequence[str], splits: Sequence[str], votes: np.ndarray, order: Sequence[str]
) -> pd.DataFrame:
    """Build the table of a source with votes: (N, len(order)) counts whose columns stand in ``order``."""
    table = pd.DataFrame({**_build_path_columns(paths, splits), "label": pd.Series([None] * len(paths), dtype=object)})
    for name, column in zip(FERPLUS_VOTES, VOTE_COLUMNS, strict=True):
        table[column] = votes[:, order.index(name)].astype(float) if name in order else 0.0
    return table
