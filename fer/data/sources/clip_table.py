"""A table of clips: path and label, and if need be start_s, end_s, subject, part and groups."""

import math
from collections.abc import Mapping
from pathlib import PurePosixPath

from fer.data.clips.media import ClipSpan
from fer.data.sources.archive import DatasetFiles
from fer.data.sources.base import ALLOWED_PARTS, parse_part
from fer.data.sources.clip_labels import LEFT_OUT_BY_MAP, ClipLabels, LabelledClip, resolve_label
from fer.data.sources.groups import check_group_columns
from fer.errors import DataError

COLUMNS = ("path", "start_s", "end_s", "label", "subject", "part")
NOT_NAMED = "video that the table does not name"


def read_clip_table(
    files: DatasetFiles, table: str, videos: list[str], class_map: Mapping[str, str | None]
) -> ClipLabels:
    """Read the table ``table`` below the root; its paths begin where it lies.

    Raises:
        DataError: There is no such table, it lacks a column, or a part of it is unknown.
    """
    name = files.find(table)
    if name is None:
        raise DataError(f"{files.root}: there is no table {table}; found {files.describe()}")
    lines = files.iter_rows(name)
    _, header = next(lines, (1, []))
    header = [column.strip() for column in header]
    if missing := [column for column in ("path", "label") if column not in header]:
        raise DataError(
            f"{files.root}: {name} has the columns {', '.join(header) or 'of an empty file'}, and none is "
            f"{' or '.join(missing)}; needed are path and label, and known are {', '.join(COLUMNS)}"
        )
    extra = [column for column in header if column not in COLUMNS]
    check_group_columns(extra, f"{files.root}: {name}")
    labels = ClipLabels(group_columns=tuple(extra))
    folder = PurePosixPath(name).parent
    seen: dict[str, int] = {}
    rows: list[tuple[int, LabelledClip]] = []
    for line, cells in lines:
        values = dict(zip(header, (cell.strip() for cell in [*cells, *[""] * len(header)]), strict=False))
        video = (folder / values["path"]).as_posix()
        place = f"{name}, line {line} ({video})"
        clip, reason = _parse_row(video, values, extra, files, class_map)
        if reason == LEFT_OUT_BY_MAP:
            labels.unused[video] = reason
        elif clip is None:
            labels.problems.append((place, reason))
            labels.refused.add(video)
        elif clip.path in seen:
            labels.problems.append((place, f"row of a clip that line {seen[clip.path]} names already"))
        else:
            seen[clip.path] = line
            rows.append((line, clip))
    _keep_clear_rows(rows, labels, name)
    named = {clip.span.video for _, clip in rows} | labels.refused
    labels.unused = {**dict.fromkeys(videos, NOT_NAMED), **labels.unused}
    labels.unused = {video: reason for video, reason in labels.unused.items() if video not in named}
    return labels


def _parse_row(
    video: str, values: Mapping[str, str], extra: list[str], files: DatasetFiles, class_map: Mapping[str, str | None]
) -> tuple[LabelledClip | None, str]:
    """The clip of a row, or why there is none."""
    if video not in files:
        return None, "row without a video"
    label, reason = resolve_label(values["label"], class_map)
    if label is None:
        shown = reason if reason == LEFT_OUT_BY_MAP else f"row with the label {values['label']!r}, which is no emotion"
        return None, shown
    start, end = _parse_time(values.get("start_s", ""), 0.0), _parse_time(values.get("end_s", ""), math.inf)
    if start is None or end is None:
        return None, "row whose start_s or end_s is no time in seconds"
    if end <= start:
        return None, "row that ends where it begins, or before"
    part = parse_part(values["part"]) if values.get("part") else ""
    if part is None:
        return None, f"row with the part {values['part']!r}; allowed are {ALLOWED_PARTS}"
    span = ClipSpan(video, start, None if math.isinf(end) else end)
    return LabelledClip(span, label, values.get("subject", ""), part, tuple(values[column] for column in extra)), ""


def _parse_time(text: str, missing: float) -> float | None:
    """Seconds from 0; ``missing`` where there are none; None where the text is no time."""
    if not text:
        return missing
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 <= seconds < math.inf else None


def _keep_clear_rows(rows: list[tuple[int, LabelledClip]], labels: ClipLabels, table: str) -> None:
    """Keep the rows in order of video and time, but those that give a moment two labels."""
    active: list[tuple[int, LabelledClip]] = []
    for line, clip in sorted(rows, key=lambda row: (row[1].span.video, row[1].span.start_s)):
        active = [
            (number, other)
            for number, other in active
            if other.span.video == clip.span.video and (other.span.end_s or math.inf) > clip.span.start_s
        ]
        other_line = next((number for number, other in active if other.label != clip.label), None)
        if other_line is None:
            labels.clips.append(clip)
            active.append((line, clip))
        else:
            reason = f"row that overlaps with line {other_line}, which has another label"
            labels.problems.append((f"{table}, line {line} ({clip.span.video})", reason))
