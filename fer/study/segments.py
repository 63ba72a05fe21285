"""Scenes and events as columns: which stretches of a stimulus there are, and what each respondent shows in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import pandas as pd

from fer.config.study import Study, Window
from fer.core.tables import TIME_TOLERANCE_S
from fer.study.frames import KEYS, RECORDING_KEYS

EVENT_S = 2.0  # length of an event without an end
LEAD_S = 1.0  # without a baseline a segment is compared with so many seconds before it
SEGMENT_COLUMNS = ("stimulus", "kind", "segment", "start_s", "end_s")
STATISTICS = ("mean", "peak", "time_to_peak_s", "area", "change", "usable_share")


def build_segments(
    study: Study, durations: Mapping[str, float | None], cuts: Mapping[str, Sequence[float]]
) -> pd.DataFrame:
    """Build ``StudyData.segments``.

    Args:
        study: The study.
        durations: Length of each stimulus, seconds; None, or absent, where it is unknown.
        cuts: Cuts found in a stimulus's video, seconds; absent where none were looked for.

    Returns:
        SEGMENT_COLUMNS: of each stimulus the `whole`, then each `scene` of the study and from one cut to the next, then
        each `event`, which without an end lasts EVENT_S seconds. Nothing reaches beyond the stimulus; an unknown end
        is empty, which is that of the recording. Names that repeat are numbered: `logo`, `logo 2`.
    """
    rows: list[tuple[str, str, str, float, float]] = []
    for name, stimulus in study.stimuli.items():
        duration = durations.get(name)
        end = np.nan if duration is None else duration
        rows.append((name, "whole", "whole", 0.0, end))
        scenes: list[tuple[str, float, float]] = [(item.name, item.start_s, item.end_s) for item in stimulus.scenes]
        found = [cut for cut in sorted(set(cuts.get(name, ()))) if 0 < cut and not cut >= end]
        if found:
            edges = [0.0, *found, end]
            scenes += [(f"cut {number}", *pair) for number, pair in enumerate(zip(edges, edges[1:], strict=False), 1)]
        events = [(event.name, event.time_s, event.end_s or event.time_s + EVENT_S) for event in stimulus.events]
        for kind, items in (("scene", scenes), ("event", events)):
            labels = _number_repeated([label for label, _, _ in items])
            rows += [
                (name, kind, label, start, float(np.fmin(last, end)))
                for label, (_, start, last) in zip(labels, items, strict=True)
            ]
    return pd.DataFrame(rows, columns=list(SEGMENT_COLUMNS)).astype({"start_s": "float64", "end_s": "float64"})


def _number_repeated(labels: Sequence[str]) -> list[str]:
    """Different labels: one that is there already gets the first number from 2 on that makes it new."""
    found: dict[str, None] = {}
    for label in labels:
        numbered = (f"{label} {number}" for number in count(2))
        found[label if label not in found else next(name for name in numbered if name not in {*found, *labels})] = None
    return list(found)


def compute_segment_values(
    frames: pd.DataFrame,
    segments: pd.DataFrame,
    measures: Sequence[str],
    baseline: Window | None = None,
    max_gap_s: float = np.inf,
) -> pd.DataFrame:
    """Build ``StudyData.segment_values``.

    Args:
        frames: ``StudyData.frames``.
        segments: ``StudyData.segments``.
        measures: Columns of ``frames``.
        baseline: The study's.
        max_gap_s: Frames that are further apart are not joined by a line: the ``max_gap_s`` of the smoothing.

    Returns:
        A row a respondent, stimulus, condition, segment and measure, with STATISTICS over the frames from its start
        until before its end that have the measure:

        - mean, and the greatest value as peak; ``time_to_peak_s``, from the start to the first frame with that value;
        - area under the lines from frame to frame, where they lie within the segment, units times seconds;
        - change: the mean less that over the baseline, or without one over the second before the segment; empty where
          that has no frame, as before the onset;
        - ``usable_share``: frames with the measure, of all of the segment; 0 where there is none.

        Of several recordings of one respondent, stimulus and condition the means are given.
    """
    parts = []
    for stimulus, own in segments.groupby("stimulus", sort=False):
        shown = frames[frames["stimulus"] == stimulus].sort_values([*RECORDING_KEYS, "time_s"], kind="stable")
        if shown.empty:
            continue
        curves = _Curves(shown, measures, max_gap_s)
        before = None if baseline is None else curves.describe(baseline.start_s, baseline.end_s)["mean"]
        for kind, name, start, end in zip(own["kind"], own["segment"], own["start_s"], own["end_s"], strict=True):
            found = curves.describe(start, end)
            reference = curves.describe(start - LEAD_S, start)["mean"] if before is None else before
            found["change"] = found["mean"] - reference
            rows = curves.keys.loc[curves.keys.index.repeat(len(measures))].reset_index(drop=True)
            rows = rows.assign(kind=kind, segment=name, measure=np.tile(measures, len(curves.keys)))
            parts.append(rows.assign(**{statistic: found[statistic].ravel() for statistic in STATISTICS}))
    names = [*KEYS, "kind", "segment", "measure"]
    if not parts:
        return pd.DataFrame(columns=[*names, *STATISTICS])
    table = pd.concat(parts, ignore_index=True)
    if table.duplicated(names).any():
        table = table.groupby(names, sort=False)[list(STATISTICS)].mean().reset_index()
    return table


class _Curves:
    """The measures of all recordings of a stimulus, whose frames stand in the order of recordings and time.

    Args:
        frames: Those rows of ``StudyData.frames``.
        measures: Columns of them.
        max_gap_s: As of ``compute_segment_values``.
    """

    def __init__(self, frames: pd.DataFrame, measures: Sequence[str], max_gap_s: float) -> None:
        self.place = frames.groupby(list(RECORDING_KEYS), sort=False).ngroup().to_numpy()
        starts = np.flatnonzero(np.diff(self.place, prepend=-1))
        self.keys = frames.iloc[starts][list(KEYS)].reset_index(drop=True)
        self.times = frames["time_s"].to_numpy(float)
        self.values = frames[list(measures)].to_numpy(float)
        self.lines = [_find_lines(column, self.times, self.place, max_gap_s) for column in self.values.T]

    def describe(self, start: float, end: float) -> dict[str, np.ndarray]:
        """All STATISTICS but the change, from a time until before another; each (recordings, measures)."""
        last = np.inf if np.isnan(end) else end
        inside = (self.times >= start - TIME_TOLERANCE_S) & (self.times < last - TIME_TOLERANCE_S)
        shape = (len(self.keys), self.values.shape[1])
        found = {name: np.full(shape, np.nan) for name in ("mean", "peak", "time_to_peak_s")}
        found["usable_share"] = np.zeros(shape)
        found["area"] = np.stack([_compute_areas(line, start, last, len(self.keys)) for line in self.lines], axis=1)
        if not inside.any():
            return found
        values, place = self.values[inside], self.place[inside]
        starts = np.flatnonzero(np.diff(place, prepend=-1))
        sizes, present = np.diff(starts, append=len(place)), place[starts]
        counts = np.add.reduceat((~np.isnan(values)).astype(float), starts)
        peak = np.fmax.reduceat(values, starts)
        is_peak = values == np.repeat(peak, sizes, axis=0)
        moments = np.where(is_peak, (self.times[inside] - start)[:, None], np.nan)
        sums = np.add.reduceat(np.nan_to_num(values), starts)
        found["mean"][present] = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
        found["peak"][present] = peak
        found["time_to_peak_s"][present] = np.fmin.reduceat(moments, starts)
        found["usable_share"][present] = counts / sizes[:, None]
        return found


@dataclass(frozen=True)
class _Lines:
    """The lines from frame to frame of one measure, each (lines,): recording, both times and both values."""

    place: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    first: np.ndarray
    last: np.ndarray


def _find_lines(column: np.ndarray, times: np.ndarray, place: np.ndarray, max_gap_s: float) -> _Lines:
    """The lines from each frame that has the measure to the recording's next one."""
    rows = np.flatnonzero(~np.isnan(column))
    first, second = rows[:-1], rows[1:]
    joined = (place[first] == place[second]) & (times[second] - times[first] <= max_gap_s + TIME_TOLERANCE_S)
    first, second = first[joined], second[joined]
    return _Lines(place[first], times[first], times[second], column[first], column[second])


def _compute_areas(lines: _Lines, start: float, end: float, recordings: int) -> np.ndarray:
    """(recordings,) area under the lines within a segment; empty where there is none."""
    rows = np.flatnonzero((lines.end > start) & (lines.begin < end))
    place, begin, first = lines.place[rows], lines.begin[rows], lines.first[rows]
    low, high = np.maximum(begin, start), np.minimum(lines.end[rows], end)
    middle = (0.5 * (low + high) - begin) / (lines.end[rows] - begin)
    areas = np.bincount(place, (high - low) * (first + middle * (lines.last[rows] - first)), recordings)
    return np.where(np.bincount(place, minlength=recordings) > 0, areas, np.nan)
