"""Ground truth of a batch: a CSV of which emotion each video shows, and when."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fer.core.csv import check_video_name, read_csv, shorten_name
from fer.emotions import CONTEMPT, EMOTIONS, normalize_label
from fer.errors import DataError

MAX_LABELS = 20_000
# Of a whole number of 64 bits.
MAX_DIGITS = 18
REQUIRED, OPTIONAL = ("video", "emotion"), ("start_s", "end_s", "track_id")


def read_labels(path: Path, videos: Sequence[str]) -> pd.DataFrame:
    """Read which emotion each video shows, and when.

    Args:
        path: A CSV file, see ``fer.core.csv.read_csv``.
        videos: The names of the run's videos; the file need not use all.

    Returns:
        A row a label in the file's order: ``video``, ``emotion`` (one of EMOTIONS or contempt), ``start_s`` and
        ``end_s`` (seconds; -inf and inf where a label is about the whole video) and ``track_id`` (missing where it is
        about everybody).

    Raises:
        DataError: The first line that is incomplete, unknown or contradicts another, or why there is none.
    """
    table = read_csv(path, "extraction.labels", REQUIRED, OPTIONAL)
    if table.empty:
        raise DataError(f"extraction.labels={path}: names no video; it needs a line for each label")
    if len(table) > MAX_LABELS:
        raise DataError(f"extraction.labels={path}: holds more than {MAX_LABELS:,} labels; label fewer videos at once")
    rows = [
        _parse_line(f"extraction.labels={path}, line {line}", videos, *fields) for line, *fields in table.itertuples()
    ]
    labels = pd.DataFrame(rows, columns=[*REQUIRED, *OPTIONAL]).assign(line=table.index)
    labels = labels.astype({"track_id": "Int64"})
    _validate_no_overlaps(path, labels)
    return labels.drop(columns="line")


def _parse_line(
    location: str, videos: Sequence[str], video: str, emotion: str, start: str, end: str, track: str
) -> tuple[str, str, float, float, int | None]:
    """One line's values. Raises DataError, which begins with ``location``."""
    empty = [name for name, value in (("video", video), ("emotion", emotion)) if not value]
    if empty:
        raise DataError(f"{location}: has no {' and no '.join(empty)}")
    check_video_name(video, videos, location)
    name = normalize_label(emotion)
    if name is None:
        raise DataError(f"{location}: {emotion!r} is no emotion; choose one of {', '.join((*EMOTIONS, CONTEMPT))}")
    if bool(start) != bool(end):
        present, missing = ("start_s", "end_s") if start else ("end_s", "start_s")
        raise DataError(f"{location}: has {present} and no {missing}; give both, or neither for the whole video")
    start_s = _parse_seconds(location, "start_s", start) if start else -math.inf
    end_s = _parse_seconds(location, "end_s", end) if end else math.inf
    if start_s >= end_s:
        raise DataError(f"{location}: end_s={end} is not behind start_s={start}")
    if track and not (track.isdecimal() and len(track) <= MAX_DIGITS):
        raise DataError(
            f"{location}: track_id={shorten_name(track)!r} is not a whole number; leave it empty to mean everybody"
        )
    return video, name, start_s, end_s, int(track) if track else None


def _parse_seconds(location: str, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{location}: {column}={text!r} is not a number of seconds, such as 12.5")
    return value


def _validate_no_overlaps(path: Path, labels: pd.DataFrame) -> None:
    """Raise DataError where two lines label the same person at the same time."""
    for video, video_labels in labels.groupby("video", sort=False):
        ordered = video_labels.sort_values(["start_s", "line"])
        tracks = ordered["track_id"].dropna().unique()
        # A line for everybody meets the lines of each track.
        for track in tracks if len(tracks) else [None]:
            track_labels = (
                ordered if track is None else ordered[(ordered["track_id"].isna()) | (ordered["track_id"] == track)]
            )
            line, start, end = (track_labels[name].to_numpy() for name in ("line", "start_s", "end_s"))
            for index in np.flatnonzero(start[1:] < end[:-1])[:1]:
                first, second = sorted((int(line[index]), int(line[index + 1])))
                raise DataError(
                    f"extraction.labels={path}, line {second}: overlaps line {first} of {video!r}; "
                    "at any moment a face has one label"
                )


def assign_labels(table: pd.DataFrame, labels: pd.DataFrame) -> pd.Series:
    """Find the label of each row of an emotion table.

    Args:
        table: Rows with ``video``, ``time_s`` and ``track_id``.
        labels: As ``read_labels`` returns them. ``end_s`` is not part of an interval.

    Returns:
        The emotion, with the index of ``table``; None where a row has no label.
    """
    result = pd.Series([None] * len(table), index=table.index, dtype=object)
    rows_by_video = table.groupby("video").groups
    for video, emotion, start, end, track in labels.itertuples(index=False):
        rows = table.loc[rows_by_video.get(video, [])]
        inside = (rows["time_s"] >= start) & (rows["time_s"] < end)
        if not pd.isna(track):
            inside &= (rows["track_id"] == track).fillna(False)
        result.loc[rows.index[inside]] = emotion
    return result
