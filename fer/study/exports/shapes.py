"""The study for statistics programs: long, a row a value; and wide, a row a respondent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from fer.reports.study_data import StudyData
from fer.study.exports.columns import STATISTICS, Description
from fer.study.exports.labels import make_label_list, make_labels

_LEADS = "leads_"
_STEP_KEYS = ("respondent", "stimulus", "condition", "second")
_LONG_COLUMNS = (*_STEP_KEYS, "measure", "value")
_SEGMENT_KEYS = ("stimulus", "condition", "kind", "segment", "measure")
# SPSS takes names of 64 bytes; these parts leave room for the measure and the statistic.
MAX_NAME, _MAX_STIMULUS, _MAX_CONDITION, _MAX_SEGMENT = 64, 12, 6, 12
# Stimulus, condition, kind, segment, measure, and whether it is the second (1) of all these.
_Key = tuple[str, str, str, str, str, int]


@dataclass(frozen=True)
class Shape:
    """A table whose columns are legal names in SPSS, R, SAS and Stata but for their length.

    Attributes:
        table: The table.
        descriptions: What each column that is not the same in every study means.
        groups: Those that are group columns of the respondents.
    """

    table: pd.DataFrame
    descriptions: dict[str, Description]
    groups: tuple[str, ...]


def build_long(data: StudyData) -> Shape:
    """Build a row a respondent, stimulus, condition, step and measure.

    Args:
        data: The study.

    Returns:
        Columns `respondent`, the group columns, `stimulus, condition, second, measure, value`. Steps in which a
        measure is missing have no row.
    """
    measures = [name for name in data.steps.columns if name not in _STEP_KEYS and not str(name).startswith(_LEADS)]
    steps = data.steps.astype(dict.fromkeys(measures, "float64"))
    rows = steps.reset_index(names="step").melt(
        id_vars=["step", *_STEP_KEYS], value_vars=measures, var_name="measure", value_name="value"
    )
    # As a reader expects it: the measures of a step one below the other.
    rows = rows.dropna(subset="value").sort_values("step", kind="stable").drop(columns="step")
    names = _name_groups(data, _LONG_COLUMNS)
    groups = _list_groups(data, names)
    table = rows.merge(groups, on="respondent", how="left")[
        ["respondent", *names.values(), *_STEP_KEYS[1:], "measure", "value"]
    ]
    return Shape(table.reset_index(drop=True), _describe_groups(names), tuple(names.values()))


def build_wide(data: StudyData, definitions: Mapping[str, tuple[str, str]]) -> Shape:
    """Build a row a respondent, with a column for each stimulus, condition, segment, measure and statistic.

    Args:
        data: The study.
        definitions: Meaning and unit of each measure.

    Returns:
        Columns `respondent`, the group columns, and STIMULUS_CONDITION_SEGMENT_MEASURE_STATISTIC, cleaned and
        shortened; empty where a respondent has no such value.
    """
    values = data.segment_values.reset_index(drop=True)
    # A scene may come twice under one name.
    values = values.assign(repetition=values.groupby(["respondent", *_SEGMENT_KEYS]).cumcount())
    groups = _name_groups(data, ("respondent",))
    grouped = values.groupby([*_SEGMENT_KEYS, "repetition"], sort=False)
    keys = list(values[[*_SEGMENT_KEYS, "repetition"]].drop_duplicates().itertuples(index=False, name=None))
    names = make_label_list(
        [f"{title}_{statistic}" for title in _title_keys(keys) for statistic in STATISTICS],
        *("x", "_", MAX_NAME),
        used=("respondent", *groups.values()),
    )
    rows, respondents = pd.factorize(values["respondent"])
    cells = np.full((len(respondents), len(keys), len(STATISTICS)), np.nan)
    cells[rows, grouped.ngroup()] = values[list(STATISTICS)].to_numpy(dtype=float)
    wide = pd.DataFrame(cells.reshape(len(respondents), len(names)), columns=names)
    wide.insert(0, "respondent", respondents)
    table = _list_groups(data, groups).merge(wide, on="respondent", how="right")
    legend = {
        name: _describe_column(key, statistic, definitions)
        for name, (key, statistic) in zip(names, product(keys, STATISTICS), strict=True)
    }
    return Shape(table, {**_describe_groups(groups), **legend}, tuple(groups.values()))


def _name_groups(data: StudyData, used: tuple[str, ...]) -> dict[str, str]:
    return make_labels(data.group_columns, "group", max_length=32, used=used)


def _list_groups(data: StudyData, names: Mapping[str, str]) -> pd.DataFrame:
    return data.respondents[["respondent", *names]].rename(columns=names)


def _describe_groups(names: Mapping[str, str]) -> dict[str, Description]:
    return {name: Description(f"Group of the respondent: {column}", "") for column, name in names.items()}


def _title_keys(keys: Sequence[_Key]) -> list[str]:
    """The beginning of the wide columns' names: short labels of what they are about."""
    stimuli = make_labels((key[0] for key in keys), "s", max_length=_MAX_STIMULUS)
    conditions = {"": "", **make_labels((key[1] for key in keys if key[1]), "c", max_length=_MAX_CONDITION)}
    # An event and a scene may have one name.
    segments = {
        kind: make_labels((key[3] for key in keys if key[2] == kind), "part", max_length=_MAX_SEGMENT)
        for kind in dict.fromkeys(key[2] for key in keys)
    }
    return [
        "_".join(filter(None, (stimuli[stimulus], conditions[condition], segments[kind][segment], measure)))
        for stimulus, condition, kind, segment, measure, _ in keys
    ]


def _describe_column(key: _Key, statistic: str, definitions: Mapping[str, tuple[str, str]]) -> Description:
    stimulus, condition, kind, segment, measure, repetition = key
    where = f"{kind} {segment!r} of {stimulus!r}" + (f", condition {condition!r}" if condition else "")
    again = f", the {repetition + 1}. of this name" if repetition else ""
    meaning, unit = STATISTICS[statistic]
    return Description(f"{measure}: {meaning}; {where}{again}", unit.format(definitions.get(measure, ("", ""))[1]))
