"""Runs of one configuration with several seeds: mean and standard deviation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fer.compare.hyperparameters import SEED, all_differing, has_effect, value_of
from fer.compare.ranking import Choice, Figure
from fer.compare.runs import FINISHED, ComparedRun
from fer.config.diff import token


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (n - 1 in the denominator) over the seeds; None where a run lacks the figure."""

    mean: float | None
    deviation: float | None


@dataclass(frozen=True)
class Group:
    """Finished runs that differ in their seed alone, and the figures of a table over them."""

    runs: tuple[ComparedRun, ...]
    figures: dict[Figure, Spread]


def seed_groups(runs: Sequence[ComparedRun], choice: Choice) -> list[Group]:
    """The groups of two and more seeds, best mean first. ``runs`` are ranked."""
    keys = [key for key in all_differing(runs) if has_effect(key) and key != SEED]
    alike: dict[tuple[str, ...], list[ComparedRun]] = {}
    for run in runs:
        if run.settings and run.metrics and run.status == FINISHED:
            alike.setdefault(tuple(token(value_of(run, key)) for key in keys), []).append(run)
    groups = [
        Group(
            tuple(members),
            {figure: spread([figure.of(run).value for run in members]) for figure in choice.columns},
        )
        for members in alike.values()
        if len({token(value_of(run, SEED)) for run in members}) > 1
    ]
    sign = -1 if choice.more_is_better else 1
    means = [group.figures[choice.ranked].mean for group in groups]
    order = sorted(range(len(groups)), key=lambda place: math.inf if (mean := means[place]) is None else sign * mean)
    return [groups[place] for place in order]


def spread(values: Sequence[float | None]) -> Spread:
    known = np.array([value for value in values if value is not None])
    if len(known) < len(values):
        return Spread(None, None)
    return Spread(float(known.mean()), float(known.std(ddof=1)))
