"""Importance of hyper-parameters: many seeds are weighed in the time of few."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer.compare.importance import MAX_CATEGORIES, compute_importance
from fer.compare.ranking import choose_ranking
from fer.compare.runs import ComparedRun


def make_compared_run(seed: int, lr: float, accuracy: float) -> ComparedRun:
    metrics = {split: {"accuracy": {"value": accuracy}, "samples": 10} for split in ("val", "test")}
    settings = {"seed": seed, "optimizer.lr": lr}
    return ComparedRun(Path(str(seed)), "", settings, "finished", None, metrics, {}, pd.DataFrame(), None, None)


@pytest.mark.parametrize("seeds", [3, MAX_CATEGORIES + 40])
def test_the_learning_rate_explains_more_than_the_seed(seeds: int) -> None:
    rng = np.random.default_rng(0)
    runs = [
        make_compared_run(seed, lr, 0.5 + 100 * lr + rng.normal(0, 0.01))
        for seed in range(seeds)
        for lr in (1e-3, 2e-3)
    ]
    ranking = choose_ranking(runs)
    assert ranking is not None
    result = compute_importance(runs, ranking)
    assert result.num_runs == 2 * seeds
    fractions = {item.key: fraction for item, fraction in result.fractions}
    assert fractions["optimizer.lr"] > 0.8 and sum(fractions.values()) == pytest.approx(1)
