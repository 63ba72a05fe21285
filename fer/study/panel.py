"""Respondents side by side: their curves on one grid of time, their groups, and means over them with bands."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fer.config.study import Study
from fer.metrics.small_samples import compute_mean_interval
from fer.study.checks import list_group_columns

STEP_KEYS = ("respondent", "stimulus", "condition", "second")
LEADS = "leads_"


@dataclass(frozen=True)
class PanelCurves:
    """Curves of several respondents.

    Attributes:
        respondents: Who they are, in alphabetical order.
        seconds: (steps,) beginnings of the steps, without a gap.
        values: (respondents, steps, columns), NaN where one has no usable frame in a step.
    """

    respondents: tuple[str, ...]
    seconds: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class GroupSummary:
    """Means over the respondents of a group, all of shape (columns,).

    Attributes:
        group_column: The group column; "" for all respondents together.
        group: Its value; "all" for all.
        members: (respondents,) who is in it.
        counts: How many have a value.
        mean: Their mean, NaN of nobody.
        low: Lower end of its 95 % band, see ``compute_mean_interval``.
        high: Upper end.
    """

    group_column: str
    group: str
    members: np.ndarray
    counts: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def list_step_measures(steps: pd.DataFrame) -> list[str]:
    """List the measures of ``StudyData.steps``."""
    return [name for name in steps.columns if name not in STEP_KEYS and not str(name).startswith(LEADS)]


def select_measures(measures: Sequence[str], known: Sequence[str]) -> list[str]:
    """Select the measures that there are, each once."""
    return [name for name in dict.fromkeys(measures) if name in known]


def align_steps(steps: pd.DataFrame, columns: Sequence[str], step_s: float) -> PanelCurves:
    """Put respondents' steps on one grid.

    Args:
        steps: Rows of ``StudyData.steps``; of several rows of one respondent and step the mean counts.
        columns: Those wanted.
        step_s: Length of a step, seconds.
    """
    if steps.empty:
        return PanelCurves((), np.empty(0), np.empty((0, 0, len(columns))))
    number = np.rint(steps["second"].to_numpy(np.float64) / step_s).astype(np.int64)
    means = steps[list(columns)].astype(np.float64).groupby([steps["respondent"].to_numpy(), number], sort=False).mean()
    # Bands are drawn by the order of people, which must not hang on that of the recordings.
    people = tuple(sorted(set(steps["respondent"])))
    places = {name: place for place, name in enumerate(people)}
    values = np.full((len(people), number.max() - number.min() + 1, len(columns)), np.nan)
    rows = means.index.get_level_values(0).map(places).to_numpy()
    values[rows, means.index.get_level_values(1).to_numpy() - number.min()] = means.to_numpy()
    return PanelCurves(people, np.arange(number.min(), number.max() + 1) * step_s, values)


def summarize_groups(values: np.ndarray, respondents: Sequence[str], study: Study, seed: int) -> Iterator[GroupSummary]:
    """Summarize figures over all respondents, and over those of each value of each group column.

    Args:
        values: (respondents, columns), NaN where one has no value.
        respondents: Who they are.
        study: Whose groups they are in.
        seed: Of the bands.
    """
    for column, group, members in list_groups(respondents, study):
        own = values[members]
        counts = np.isfinite(own).sum(axis=0)
        total = np.where(np.isfinite(own), own, 0.0).sum(axis=0)
        mean = np.divide(total, counts, out=np.full(len(counts), np.nan), where=counts > 0)
        yield GroupSummary(column, group, members, counts, mean, *compute_mean_interval(own, seed))


def list_groups(respondents: Sequence[str], study: Study) -> Iterator[tuple[str, str, np.ndarray]]:
    """Each group column and value, with who is in it, (respondents,); first "" and "all" with everybody.

    Who has no value in a column, as where a cell is empty, is in none of its groups.
    """
    yield "", "all", np.ones(len(respondents), bool)
    groups = [study.respondents[name].groups if name in study.respondents else {} for name in respondents]
    for column in list_group_columns(study):
        values = [own.get(column, "") for own in groups]
        for group in dict.fromkeys(person.groups.get(column, "") for person in study.respondents.values()):
            members = np.array([value == group for value in values], bool)
            if group and members.any():
                yield column, group, members
