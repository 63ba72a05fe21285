"""What was to be seen in videos, as a CSV says: the truth against which a batch is judged."""

import difflib
import math
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from fer.emotions import CONTEMPT, EMOTIONS, normalize_label
from fer.errors import DataError

COLUMNS = ("video", "emotion", "start_s", "end_s", "track_id")
REQUIRED = COLUMNS[:2]


def read_labels(path: Path, videos: Sequence[str]) -> pd.DataFrame:
    """The labels of a CSV, columns COLUMNS, in the file's order.

    ``start_s`` is -inf and ``end_s`` inf where a line is about the whole video; ``track_id`` is empty where it is
    about everybody. ``videos`` are the names that the file may use; it need not use all. Separated by commas, or by
    semicolons as Excel writes it in much of Europe. Raises DataError, which names the line.
    """
    frame = _read_csv(path)
    frame.columns = frame.columns.str.strip().str.lower()
    missing = [name for name in REQUIRED if name not in frame]
    if missing:
        raise DataError(
            f"extraction.labels={path}: lacks {', '.join(missing)}; its first line must name {', '.join(REQUIRED)}, "
            f"and may name {', '.join(COLUMNS[2:])}"
        )
    texts = frame.reindex(columns=list(COLUMNS), fill_value="").fillna("").apply(lambda column: column.str.strip())
    # Lines of the file: the header is the first.
    texts.index += 2
    texts = texts[(texts != "").any(axis=1)]
    if texts.empty:
        raise DataError(f"extraction.labels={path}: names no video; it needs a line for each label")
    rows = [
        _parse_line(f"extraction.labels={path}, line {line}: ", video, emotion, start, end, track, videos)
        for line, video, emotion, start, end, track in texts.itertuples()
    ]
    labels = pd.DataFrame(rows, columns=list(COLUMNS)).assign(line=texts.index).astype({"track_id": "Int64"})
    _validate_no_overlaps(path, labels)
    return labels[list(COLUMNS)]


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        text = path.read_text(encoding="utf-8-sig")
        header = text.partition("\n")[0]
        separator = ";" if header.count(";") > header.count(",") else ","
        # Without index_col=False a line with too many fields would shift all columns.
        return pd.read_csv(
            StringIO(text), sep=separator, dtype=str, index_col=False, keep_default_na=False, skip_blank_lines=False
        )
    except (OSError, ValueError) as error:
        # What pandas finds wrong with a CSV, and bytes that are no UTF-8, are ValueErrors.
        problem = str(error).splitlines()[0]
        raise DataError(f"extraction.labels={path}: cannot be read as CSV in UTF-8 ({problem})") from None


def _parse_line(
    where: str, video: str, emotion: str, start: str, end: str, track: str, videos: Sequence[str]
) -> tuple[str, str, float, float, int | None]:
    """One line's values; DataError begins with ``where``."""
    empty = [name for name, value in (("video", video), ("emotion", emotion)) if not value]
    if empty:
        raise DataError(f"{where}has no {' and no '.join(empty)}")
    if video not in videos:
        near = difflib.get_close_matches(video, videos, n=1, cutoff=0.0)
        nearest = f"; the nearest name is {near[0]!r}" if near else ""
        raise DataError(f"{where}{video!r} is not among the videos{nearest}")
    name = normalize_label(emotion)
    if name is None:
        raise DataError(f"{where}{emotion!r} is no emotion; choose one of {', '.join((*EMOTIONS, CONTEMPT))}")
    if bool(start) != bool(end):
        given, other = ("start_s", "end_s") if start else ("end_s", "start_s")
        raise DataError(f"{where}has {given} and no {other}; give both, or neither for the whole video")
    begins = _parse_seconds(where, "start_s", start) if start else -math.inf
    ends = _parse_seconds(where, "end_s", end) if end else math.inf
    if begins >= ends:
        raise DataError(f"{where}end_s={end} is not behind start_s={start}")
    if track and not track.isdecimal():
        raise DataError(f"{where}track_id={track!r} is not a whole number; leave it empty to mean everybody")
    return video, name, begins, ends, int(track) if track else None


def _parse_seconds(where: str, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}{column}={text!r} is not a number of seconds, such as 12.5")
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
    """The label of each row of an emotion table, None where it has none; ``end_s`` is not part of an interval."""
    result = pd.Series([None] * len(table), index=table.index, dtype=object)
    rows_by_video = table.groupby("video").groups
    for video, emotion, start, end, track in labels.itertuples(index=False):
        rows = table.loc[rows_by_video.get(video, [])]
        inside = (rows["time_s"] >= start) & (rows["time_s"] < end)
        if not pd.isna(track):
            inside &= (rows["track_id"] == track).fillna(False)
        result.loc[rows.index[inside]] = emotion
    return result
