"""Runs of one configuration with several seeds: mean and standard deviation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fer.compare.hyperparameters import SEED, find_varying_keys, get_value, has_effect
from fer.compare.ranking import Metric, Ranking
from fer.compare.runs import FINISHED, ComparedRun
from fer.config.diff import canonicalize


@dataclass(frozen=True)
class SeedStatistics:
    """Mean and standard deviation (n - 1 in the denominator) over the seeds; None where a run lacks the metric."""

    mean: float | None
    std: float | None


@dataclass(frozen=True)
class SeedGroup:
    """Finished runs that differ in their seed alone, and statistics of the metrics of a table over them."""

    runs: tuple[ComparedRun, ...]
    metrics: dict[Metric, SeedStatistics]


def find_seed_groups(runs: Sequence[ComparedRun], ranking: Ranking) -> list[SeedGroup]:
    """Find the groups of two and more seeds, best mean first. ``runs`` are ranked."""
    keys = [key for key in find_varying_keys(runs) if has_effect(key) and key != SEED]
    groups_by_config: dict[tuple[str, ...], list[ComparedRun]] = {}
    for run in runs:
        if run.settings and run.metrics and run.status == FINISHED:
            groups_by_config.setdefault(tuple(canonicalize(get_value(run, key)) for key in keys), []).append(run)
    groups = [
        SeedGroup(
            tuple(members),
            {
                metric: _compute_seed_statistics([metric.get(run).value for run in members])
                for metric in ranking.metrics
            },
        )
        for members in groups_by_config.values()
        if len({canonicalize(get_value(run, SEED)) for run in members}) > 1
    ]
    sign = -1 if ranking.higher_is_better else 1
    means = [group.metrics[ranking.metric].mean for group in groups]
    order = sorted(range(len(groups)), key=lambda index: math.inf if (mean := means[index]) is None else sign * mean)
    return [groups[index] for index in order]


def _compute_seed_statistics(values: Sequence[float | None]) -> SeedStatistics:
    known = np.array([value for value in values if value is not None])
    if len(known) < len(values):
        return SeedStatistics(None, None)
    return SeedStatistics(float(known.mean()), float(known.std(ddof=1)))
