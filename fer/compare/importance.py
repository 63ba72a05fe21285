"""How much of the differences between runs each hyper-parameter accounts for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer.compare.hyperparameters import SEED, Hyperparameter, find_hyperparameters, get_value
from fer.compare.ranking import Ranking
from fer.compare.runs import FINISHED, ComparedRun
from fer.config.diff import canonicalize
from fer.metrics.fanova import compute_main_effects

MIN_RUNS_PER_PARAMETER, MIN_RUNS = 3, 6
# The time of the analysis doubles with each category.
MAX_CATEGORIES = 8


@dataclass(frozen=True)
class ImportanceResult:
    """The importance of hyper-parameters.

    Attributes:
        fractions: Fraction of the variance that a random forest explains, for each parameter, largest first, adding
            up to 1; empty where that cannot be told.
        num_runs: The number of runs it rests on.
        reason: Why there are no fractions.
    """

    fractions: tuple[tuple[Hyperparameter, float], ...]
    num_runs: int
    reason: str | None = None


def compute_importance(runs: Sequence[ComparedRun], ranking: Ranking) -> ImportanceResult:
    """Compute functional ANOVA (Hutter et al., ICML 2014) of the ranking metric; equal runs give equal fractions."""
    evaluated = [run for run in runs if run.settings and run.status == FINISHED and ranking.score(run) is not None]
    differing = find_hyperparameters(evaluated)
    scores = [score for run in evaluated if (score := ranking.score(run)) is not None]
    needed = max(MIN_RUNS, MIN_RUNS_PER_PARAMETER * len(differing))
    if not differing:
        return ImportanceResult((), len(evaluated), "The finished runs do not differ in any hyper-parameter.")
    if len(differing) == 1:
        return ImportanceResult(
            (), len(evaluated), f"Only {differing[0].key} differs, so there is nothing to weigh it against."
        )
    if len(evaluated) < needed:
        reason = (
            f"{len(evaluated)} finished runs are too few to weigh {len(differing)} hyper-parameters; {needed} are "
            "needed."
        )
        return ImportanceResult((), len(evaluated), reason)
    if len(set(scores)) == 1:
        return ImportanceResult((), len(evaluated), f"All runs have the same {ranking.metric.name}.")
    fractions = _compute_fanova(
        [[get_value(run, item.key) for run in evaluated] for item in differing], differing, scores
    )
    ordered = sorted(differing, key=lambda item: -fractions[item.key])
    return ImportanceResult(tuple((item, fractions[item.key]) for item in ordered), len(evaluated))


def _compute_fanova(
    columns: Sequence[Sequence[Any]], differing: Sequence[Hyperparameter], scores: Sequence[float]
) -> dict[str, float]:
    """Compute the fraction of each parameter by its key. ``columns`` are its values in the runs.

    Values that are no numbers are categories; more than MAX_CATEGORIES of them, such as many seeds, are numbered.
    """
    features = {}
    for item, values in zip(differing, columns, strict=True):
        if item.key != SEED and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            features[item.key] = np.array(values, np.float64)
            continue
        names, places = np.unique([canonicalize(value) for value in values], return_inverse=True)
        few = len(names) <= MAX_CATEGORIES
        features[item.key] = np.eye(len(names))[places] if few else places.astype(np.float64)
    keys = sorted(features)
    effects = compute_main_effects([features[key] for key in keys], np.array(scores, np.float64))
    return dict(zip(keys, (effects / effects.sum()).tolist(), strict=True))
