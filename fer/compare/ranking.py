"""Which figures a comparison shows, by which one it ranks, and what a run has of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fer.compare.runs import FINISHED, ComparedRun, parse_number

SPLIT_NAMES = {"test": "test", "val": "validation"}
# Figures of metrics.json; all but the last are shares between 0 and 1.
METRIC_NAMES = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro-F1"}
METRIC_NAMES |= {"ece_calibrated": "ECE", "log_loss": "log loss"}
TABLE_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "ece_calibrated")
FRACTION_METRICS = ("accuracy", "balanced_accuracy", "macro_f1")
# What chooses an epoch in training, the figure of metrics.json at the best one, and whether more is better.
MONITOR_METRICS = {
    "val_accuracy": ("accuracy", True),
    "val_balanced_accuracy": ("balanced_accuracy", True),
    "val_macro_f1": ("macro_f1", True),
    "val_loss": ("log_loss", False),
}


@dataclass(frozen=True)
class MetricValue:
    """A figure with its 95 % interval; None where it is not known."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Metric:
    """A figure of one part (test, val) of metrics.json."""

    split: str
    key: str

    @property
    def name(self) -> str:
        return f"{SPLIT_NAMES[self.split]} {METRIC_NAMES[self.key]}"

    @property
    def is_fraction(self) -> bool:
        return self.key in FRACTION_METRICS

    def get(self, run: ComparedRun) -> MetricValue:
        """The run's figure, which metrics.json holds with bounds or without."""
        return _parse_metric_value(run.metrics.get(self.split, {}).get(self.key))


@dataclass(frozen=True)
class Ranking:
    """``part`` whose figures are shown, and the figure by which runs are ranked."""

    split: str
    metric: Metric
    higher_is_better: bool

    @property
    def metrics(self) -> list[Metric]:
        """The figures of a table, with that which ranks."""
        shown = [Metric(self.split, key) for key in TABLE_METRICS]
        return shown if self.metric in shown else [self.metric, *shown]

    def score(self, run: ComparedRun) -> float | None:
        return self.metric.get(run).value


def _parse_metric_value(value: Any) -> MetricValue:
    if isinstance(value, dict):
        return MetricValue(*(parse_number(value.get(name)) for name in ("value", "low", "high")))
    return MetricValue(parse_number(value))


def get_recalls(run: ComparedRun, split: str) -> dict[str, MetricValue]:
    """Recall of each class."""
    classes = run.metrics.get(split, {}).get("per_class")
    if not isinstance(classes, dict):
        return {}
    return {
        name: _parse_metric_value(class_metrics.get("recall"))
        for name, class_metrics in classes.items()
        if isinstance(class_metrics, dict)
    }


def choose_ranking(runs: Sequence[ComparedRun]) -> Ranking | None:
    """Figures of test where all runs that were judged have them, else of validation; None where none was judged.

    Runs are ranked by the validation figure that chose their epochs if they share it, else by validation accuracy:
    who picks a run by its test figure can no longer believe that figure. Where a run was not judged on validation,
    they are ranked by accuracy on the part that is shown.
    """
    evaluated = [run for run in runs if run.metrics]
    if not evaluated:
        return None
    common_splits = [part for part in ("test", "val") if all(part in run.metrics for run in evaluated)]
    # Without a part that all have, the one that most have.
    part = (
        common_splits[0]
        if common_splits
        else max(SPLIT_NAMES, key=lambda part: sum(part in run.metrics for run in evaluated))
    )
    if "val" not in common_splits:
        return Ranking(part, Metric(part, "accuracy"), True)
    monitors = {str(run.facts.get("monitor")) for run in evaluated}
    monitor = monitors.pop() if len(monitors) == 1 else "val_accuracy"
    key, higher_is_better = MONITOR_METRICS.get(monitor, MONITOR_METRICS["val_accuracy"])
    return Ranking(part, Metric("val", key), higher_is_better)


def rank_runs(runs: Sequence[ComparedRun], ranking: Ranking) -> list[ComparedRun]:
    """Best first; runs without the figure come last, in their own order."""
    sign = -1 if ranking.higher_is_better else 1
    return sorted(runs, key=lambda run: math.inf if (score := ranking.score(run)) is None else sign * score)


def find_best_run(runs: Sequence[ComparedRun], ranking: Ranking) -> ComparedRun:
    """The best finished run, or the best one where none has finished. ``runs`` are ranked, and some were judged."""
    known = [run for run in runs if ranking.score(run) is not None] or [run for run in runs if run.metrics]
    return next((run for run in known if run.status == FINISHED), known[0])
