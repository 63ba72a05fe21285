"""What the scripts of a study's page draw: curves, the heat map and differences, as small as they can be.

Numbers are whole ones on a scale of their measure, in two blocks of base64: 16 bits for curves and differences, 8 for
the cells of the heat map. An index in JSON says what stands where.
"""

import base64
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from fer.reports.study_data import StudyData
from fer.reports.study_measures import Measure

_MISSING_CURVE, _HIGHEST_CURVE = -32768, 32767
_MISSING_CELL, _HIGHEST_CELL = 255, 254
_COLUMNS = ("mean", "low", "high", "share")


@dataclass(frozen=True)
class Series:
    """``index`` is ready for JSON; ``curves`` and ``cells`` are the blocks."""

    index: dict[str, Any]
    curves: str
    cells: str


@dataclass(frozen=True)
class _Grid:
    """The steps of a stimulus: step ``k`` begins at ``k * width`` seconds; ``merge`` of them are drawn as one."""

    width: float
    steps: int
    merge: int

    @property
    def drawn(self) -> int:
        return -(-self.steps // self.merge)

    def place(self, seconds: np.ndarray) -> np.ndarray:
        """The step of each row; −1 for those outside, as of a baseline before the onset."""
        places = np.floor(seconds / self.width + 1e-6)
        return np.where((places >= 0) & (places < self.steps), places, -1).astype(int)

    def reduce(self, values: np.ndarray) -> np.ndarray:
        """Means of each ``merge`` steps along the last axis, of those that are there."""
        if self.merge == 1:
            return values
        room = self.drawn * self.merge - values.shape[-1]
        padded = np.concatenate([values, np.full((*values.shape[:-1], room), np.nan)], axis=-1)
        parts = padded.reshape(*values.shape[:-1], self.drawn, self.merge)
        known = np.isfinite(parts).sum(axis=-1)
        return np.where(known > 0, np.nansum(parts, axis=-1) / np.maximum(known, 1), np.nan)


@dataclass
class _Block:
    """Numbers one after another."""

    parts: list[np.ndarray] = field(default_factory=list)
    size: int = 0

    def add(self, numbers: np.ndarray) -> int:
        """Return where they begin."""
        start = self.size
        self.parts.append(numbers.ravel())
        self.size += numbers.size
        return start

    def encode(self, kind: str) -> str:
        whole = np.concatenate(self.parts) if self.parts else np.zeros(0)
        return base64.b64encode(whole.astype(kind).tobytes()).decode("ascii")


def build_series(
    data: StudyData,
    measures: Sequence[Measure],
    merge: int = 1,
    heat: bool = True,
    not_over_time: Collection[str] = (),
) -> Series:
    """Build what the page draws.

    Args:
        data: The study.
        measures: The measures that can be chosen.
        merge: So many steps are drawn as one.
        heat: Whether respondents are drawn one by one.
        not_over_time: The contrasts that are not tested over time.
    """
    stimuli = [str(name) for name in data.stimuli["stimulus"]]
    grids = _build_grids(data, merge)
    conditions = list(dict.fromkeys(data.steps["condition"])) if len(data.steps) else [""]
    names = [measure.name for measure in measures]
    groupings = _list_groupings(data)
    curves, cells = _Block(), _Block()
    scales = {name: _find_range(data.curves[data.curves["measure"] == name], _COLUMNS[:3]) for name in names}
    index: dict[str, Any] = {
        "steps": [{"width": grid.width * grid.merge, "count": grid.drawn} for grid in grids],
        "conditions": conditions,
        "groupings": groupings,
        "scales": [scales[name] for name in names],
        "curves": _add_curves(data, stimuli, conditions, groupings, names, grids, scales, curves),
        "heat": [],
        "heat_scales": [],
        "differences": _add_differences(data, stimuli, names, grids, not_over_time, curves),
    }
    if heat and len(data.steps):
        ranges = {name: _find_range(data.steps, (name,)) for name in names}
        index["heat_scales"] = [ranges[name] for name in names]
        index["heat"] = _add_cells(data, stimuli, conditions, names, grids, ranges, cells)
    return Series(index, curves.encode("<i2"), cells.encode("u1"))


def _build_grids(data: StudyData, merge: int) -> list[_Grid]:
    grids, width = [], data.step_s
    durations = data.stimuli["duration_s"].to_numpy(dtype=float)
    for stimulus, duration in zip(data.stimuli["stimulus"], durations, strict=True):
        seconds = [table.loc[table["stimulus"] == stimulus, "second"] for table in (data.steps, data.curves)]
        last = max((float(found.max()) + width for found in seconds if len(found)), default=width)
        end = max(last, duration) if np.isfinite(duration) else last
        grids.append(_Grid(width, max(1, int(np.ceil(end / width - 1e-6))), merge))
    return grids


def _list_groupings(data: StudyData) -> list[dict[str, Any]]:
    """The columns by which curves can be told apart, with their groups; first everybody together."""
    found = []
    for column in ("", *data.group_columns):
        groups = list(dict.fromkeys(data.curves.loc[data.curves["group_column"] == column, "group"]))
        if groups:
            found.append({"column": column, "groups": [str(group) for group in groups]})
    return found or [{"column": "", "groups": []}]


def _find_range(table: pd.DataFrame, columns: Sequence[str]) -> tuple[float, float]:
    """The least and the greatest of all values; 0 and 1 without any."""
    values = table[[column for column in columns if column in table]].to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    return (low, high) if high > low else (low, low + 1.0)


def _quantize(values: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    low, high = scale
    numbers = np.rint((values - low) / (high - low) * 2 * _HIGHEST_CURVE) - _HIGHEST_CURVE
    return np.where(np.isfinite(values), numbers, _MISSING_CURVE)


def _add_curves(
    data: StudyData,
    stimuli: Sequence[str],
    conditions: Sequence[str],
    groupings: Sequence[dict[str, Any]],
    names: Sequence[str],
    grids: Sequence[_Grid],
    scales: dict[str, tuple[float, float]],
    block: _Block,
) -> list[list[int]]:
    """[stimulus, condition, grouping, group, measure, respondents at most, where it begins], each by its number."""
    columns = [grouping["column"] for grouping in groupings]
    found = []
    keys = ["stimulus", "condition", "group_column", "group", "measure"]
    # Hundreds of curves have a few rows each: pandas takes longer to choose rows of a table than of an array.
    texts, numbers = data.curves[keys].to_numpy(dtype=object), data.curves[list(_COLUMNS)].to_numpy(dtype=float)
    seconds = data.curves["second"].to_numpy(dtype=float)
    respondents = data.curves["respondents"].fillna(0).to_numpy()
    for rows in _list_groups(data.curves.groupby(keys, sort=False).ngroup().to_numpy()):
        stimulus, condition, column, group, name = map(str, texts[rows[0]])
        if name not in names or stimulus not in stimuli or column not in columns:
            continue
        which = stimuli.index(stimulus)
        grid = grids[which]
        place = grid.place(seconds[rows])
        values = np.full((4, grid.steps), np.nan)
        values[:, place[place >= 0]] = numbers[rows[place >= 0]].T
        values = grid.reduce(values)
        parts = np.vstack([_quantize(values[:3], scales[name]), _quantize(values[3:], (0.0, 1.0))])
        number = columns.index(column)
        at = [which, conditions.index(condition), number, groupings[number]["groups"].index(group)]
        found.append([*at, names.index(name), int(respondents[rows].max()), block.add(parts)])
    return found


def _list_groups(numbers: np.ndarray) -> list[np.ndarray]:
    """The rows of each group, by its number; those of none have −1."""
    order = np.argsort(numbers, kind="stable")
    starts = np.searchsorted(numbers[order], np.arange(numbers.max(initial=-1) + 2))
    return np.split(order, starts)[1:-1]


def _add_cells(
    data: StudyData,
    stimuli: Sequence[str],
    conditions: Sequence[str],
    names: Sequence[str],
    grids: Sequence[_Grid],
    ranges: dict[str, tuple[float, float]],
    block: _Block,
) -> list[dict[str, Any]]:
    """For each stimulus and condition the respondents, by number, and where measures × respondents × steps begin."""
    people = {name: number for number, name in enumerate(data.respondents["respondent"])}
    found = []
    for (stimulus, condition), rows in data.steps.groupby(["stimulus", "condition"], sort=False):
        if stimulus not in stimuli:
            continue
        which = stimuli.index(stimulus)
        grid = grids[which]
        numbers, respondents = pd.factorize(rows["respondent"])
        place = grid.place(rows["second"].to_numpy(dtype=float))
        inside = place >= 0
        start = None
        for name in names:
            values = np.full((len(respondents), grid.steps), np.nan)
            if name in rows:
                values[numbers[inside], place[inside]] = rows[name].to_numpy(dtype=float)[inside]
            values = grid.reduce(values)
            low, high = ranges[name]
            cells = np.where(np.isfinite(values), np.rint((values - low) / (high - low) * _HIGHEST_CELL), _MISSING_CELL)
            begins = block.add(cells)
            start = begins if start is None else start
        at = {"stimulus": which, "condition": conditions.index(condition), "start": start}
        found.append({**at, "respondents": [people[name] for name in respondents]})
    return found


def _add_differences(
    data: StudyData,
    stimuli: Sequence[str],
    names: Sequence[str],
    grids: Sequence[_Grid],
    not_over_time: Collection[str],
    block: _Block,
) -> list[dict[str, Any]]:
    """The course of each tested difference, A less B, with the clusters in which the two differ."""
    if not len(data.steps):
        return []
    found = []
    tested = data.contrasts[data.contrasts["kind"].isin(["between", "within"])]
    keys = ["contrast", "kind", "factor", "a", "b", "stimulus"]
    for key, rows in tested.groupby(keys, sort=False, dropna=False):
        contrast, kind, factor, a, b, shown = (str(part) for part in key)
        # What differs between stimuli is drawn along the first.
        stimulus = a if factor == "stimulus" else shown
        measures = [name for name in dict.fromkeys(rows["measure"]) if name in names]
        if stimulus not in stimuli or not measures:
            continue
        which = stimuli.index(stimulus)
        # A side of fewer than two people has no p, over time as little as for the whole.
        is_tested = rows["p"].notna().groupby(rows["measure"]).any().to_dict()
        courses = _compute_differences(data, kind, factor, (a, b), stimulus, measures, grids[which])
        for name, course in zip(measures, courses, strict=True):
            if not np.isfinite(course).any():
                continue
            low, high = _find_range(pd.DataFrame({"difference": course}), ("difference",))
            near = data.clusters[(data.clusters["contrast"] == contrast) & (data.clusters["measure"] == name)]
            if factor != "stimulus":
                near = near[near["stimulus"] == shown]
            found.append(
                {
                    "contrast": contrast,
                    "stimulus": which,
                    "between_stimuli": factor == "stimulus",
                    "a": a,
                    "b": b,
                    "measure": names.index(name),
                    "scale": [low, high],
                    "tested": contrast not in not_over_time and is_tested[name],
                    "start": block.add(_quantize(course, (low, high))),
                    "clusters": near[["start_s", "end_s", "p"]].dropna().round(4).to_numpy().tolist(),
                }
            )
    return found


def _compute_differences(
    data: StudyData, kind: str, factor: str, levels: tuple[str, str], stimulus: str, names: Sequence[str], grid: _Grid
) -> np.ndarray:
    """Of each measure the difference in each step; within persons of those who have both."""
    steps = data.steps
    if factor != "stimulus":
        steps = steps[steps["stimulus"] == stimulus]
    if factor in ("stimulus", "condition"):
        level = steps[factor]
    elif factor in data.group_columns:
        level = steps["respondent"].map(data.respondents.drop_duplicates("respondent").set_index("respondent")[factor])
    else:
        return np.full((len(names), grid.drawn), np.nan)
    place = grid.place(steps["second"].to_numpy(dtype=float))
    keep = (place >= 0) & level.isin(levels).to_numpy()
    keyed = steps.loc[keep, list(names)].assign(level=level[keep], place=place[keep], who=steps.loc[keep, "respondent"])
    means = keyed.groupby(["level", "who", "place"])[list(names)].mean()
    found = np.full((len(names), grid.steps), np.nan)
    if set(levels) <= set(keyed["level"]):
        a, b = (means.loc[[level]].droplevel("level").unstack("place") for level in levels)
        for row, name in enumerate(names):
            # Both of people by steps.
            first, second = (pd.DataFrame(side[name]).reindex(columns=range(grid.steps)) for side in (a, b))
            course: pd.Series = (first - second).mean() if kind == "within" else first.mean() - second.mean()
            found[row] = course.to_numpy(dtype=float)
    return grid.reduce(found)
