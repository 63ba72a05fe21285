"""The metrics that a comparison shows and by which it ranks, and their values of a run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fer.compare.runs import FINISHED, ComparedRun, parse_number

SPLIT_NAMES = {"test": "test", "val": "validation"}
# Metrics of metrics.json, by their names for people.
METRIC_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro-F1",
    "ece_calibrated": "ECE",
    "log_loss": "log loss",
}
TABLE_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "ece_calibrated")
FRACTION_METRICS = ("accuracy", "balanced_accuracy", "macro_f1")
# What chooses an epoch in training: the metric of metrics.json at the best one, and whether higher is better.
MONITOR_METRICS = {
    "val_accuracy": ("accuracy", True),
    "val_balanced_accuracy": ("balanced_accuracy", True),
    "val_macro_f1": ("macro_f1", True),
    "val_loss": ("log_loss", False),
}


@dataclass(frozen=True)
class MetricValue:
    """A value with its 95 % interval; None where it is not known."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Metric:
    """A metric of one split (test, val) of metrics.json."""

    split: str
    key: str

    @property
    def name(self) -> str:
        """Its name for people, such as "validation accuracy"."""
        return f"{SPLIT_NAMES[self.split]} {METRIC_NAMES[self.key]}"

    @property
    def is_fraction(self) -> bool:
        """Whether it lies between 0 and 1 and is shown in percent."""
        return self.key in FRACTION_METRICS

    def get(self, run: ComparedRun) -> MetricValue:
        """Return the run's value, which metrics.json holds with bounds or without."""
        return _parse_metric_value(run.metrics.get(self.split, {}).get(self.key))


@dataclass(frozen=True)
class Ranking:
    """The ``split`` whose metrics are shown, and the ``metric`` by which runs are ranked."""

    split: str
    metric: Metric
    higher_is_better: bool

    @property
    def metrics(self) -> list[Metric]:
        """The metrics of a table, with the one that ranks."""
        shown = [Metric(self.split, key) for key in TABLE_METRICS]
        return shown if self.metric in shown else [self.metric, *shown]

    def score(self, run: ComparedRun) -> float | None:
        """Return the run's value of the ranking metric."""
        return self.metric.get(run).value


def _parse_metric_value(value: Any) -> MetricValue:
    if isinstance(value, dict):
        return MetricValue(*(parse_number(value.get(name)) for name in ("value", "low", "high")))
    return MetricValue(parse_number(value))


def get_recalls(run: ComparedRun, split: str) -> dict[str, MetricValue]:
    """Return the recall of each class."""
    classes = run.metrics.get(split, {}).get("per_class")
    if not isinstance(classes, dict):
        return {}
    return {
        name: _parse_metric_value(class_metrics.get("recall"))
        for name, class_metrics in classes.items()
        if isinstance(class_metrics, dict)
    }


def choose_ranking(runs: Sequence[ComparedRun]) -> Ranking | None:
    """Choose the metrics of test where all evaluated runs have them, else of validation; None without such a run.

    Runs are ranked by the validation metric that chose their epochs if they share it, else by validation accuracy: a
    test metric by which a run was picked can no longer be believed. Where a run was not evaluated on validation, they
    are ranked by accuracy on the split that is shown.
    """
    evaluated = [run for run in runs if run.metrics]
    if not evaluated:
        return None
    counts = {split: sum(split in run.metrics for run in evaluated) for split in SPLIT_NAMES}
    common_splits = [split for split, count in counts.items() if count == len(evaluated)]
    # Without a split that all have, the one that most have.
    shown_split = common_splits[0] if common_splits else max(counts, key=lambda split: counts[split])
    if "val" not in common_splits:
        return Ranking(shown_split, Metric(shown_split, "accuracy"), True)
    monitors = {str(run.facts.get("monitor")) for run in evaluated}
    monitor = monitors.pop() if len(monitors) == 1 else "val_accuracy"
    key, higher_is_better = MONITOR_METRICS.get(monitor, MONITOR_METRICS["val_accuracy"])
    return Ranking(shown_split, Metric("val", key), higher_is_better)


def rank_runs(runs: Sequence[ComparedRun], ranking: Ranking) -> list[ComparedRun]:
    """Sort runs best first; those without the metric come last, in their own order."""
    sign = -1 if ranking.higher_is_better else 1
    return sorted(runs, key=lambda run: math.inf if (score := ranking.score(run)) is None else sign * score)


def find_best_run(runs: Sequence[ComparedRun], ranking: Ranking) -> ComparedRun:
    """Find the best finished run, or the best where none has finished. ``runs`` are ranked, some are evaluated."""
    candidates = [run for run in runs if ranking.score(run) is not None] or [run for run in runs if run.metrics]
    return next((run for run in candidates if run.status == FINISHED), candidates[0])
