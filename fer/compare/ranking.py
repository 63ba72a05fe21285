"""Which figures a comparison shows, by which one it ranks, and what a run has of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fer.compare.runs import FINISHED, ComparedRun, number

PART_NAMES = {"test": "test", "val": "validation"}
# Figures of metrics.json; all but the last are shares between 0 and 1.
NAMES = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro-F1"}
NAMES |= {"ece_calibrated": "ECE", "log_loss": "log loss"}
SHOWN = ("accuracy", "balanced_accuracy", "macro_f1", "ece_calibrated")
SHARES = ("accuracy", "balanced_accuracy", "macro_f1")
# What chooses an epoch in training, the figure of metrics.json at the best one, and whether more is better.
MONITORED = {
    "val_accuracy": ("accuracy", True),
    "val_balanced_accuracy": ("balanced_accuracy", True),
    "val_macro_f1": ("macro_f1", True),
    "val_loss": ("log_loss", False),
}


@dataclass(frozen=True)
class Measure:
    """A figure with its 95 % interval; None where it is not known."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Figure:
    """A figure of one part (test, val) of metrics.json."""

    part: str
    key: str

    @property
    def name(self) -> str:
        return f"{PART_NAMES[self.part]} {NAMES[self.key]}"

    @property
    def is_share(self) -> bool:
        return self.key in SHARES

    def of(self, run: ComparedRun) -> Measure:
        """The run's figure, which metrics.json holds with bounds or without."""
        return measure_of(run.metrics.get(self.part, {}).get(self.key))


@dataclass(frozen=True)
class Choice:
    """``part`` whose figures are shown, and the figure by which runs are ranked."""

    part: str
    ranked: Figure
    more_is_better: bool

    @property
    def columns(self) -> list[Figure]:
        """The figures of a table, with that which ranks."""
        shown = [Figure(self.part, key) for key in SHOWN]
        return shown if self.ranked in shown else [self.ranked, *shown]

    def score(self, run: ComparedRun) -> float | None:
        return self.ranked.of(run).value


def measure_of(found: Any) -> Measure:
    if isinstance(found, dict):
        return Measure(*(number(found.get(name)) for name in ("value", "low", "high")))
    return Measure(number(found))


def recalls(run: ComparedRun, part: str) -> dict[str, Measure]:
    """Recall of each class."""
    classes = run.metrics.get(part, {}).get("per_class")
    if not isinstance(classes, dict):
        return {}
    return {name: measure_of(found.get("recall")) for name, found in classes.items() if isinstance(found, dict)}


def choose(runs: Sequence[ComparedRun]) -> Choice | None:
    """Figures of test where all runs that were judged have them, else of validation; None where none was judged.

    Runs are ranked by the validation figure that chose their epochs if they share it, else by validation accuracy:
    who picks a run by its test figure can no longer believe that figure. Where a run was not judged on validation,
    they are ranked by accuracy on the part that is shown.
    """
    judged = [run for run in runs if run.metrics]
    if not judged:
        return None
    in_all = [part for part in ("test", "val") if all(part in run.metrics for run in judged)]
    # Without a part that all have, the one that most have.
    part = in_all[0] if in_all else max(PART_NAMES, key=lambda part: sum(part in run.metrics for run in judged))
    if "val" not in in_all:
        return Choice(part, Figure(part, "accuracy"), True)
    monitors = {str(run.facts.get("monitor")) for run in judged}
    shared = monitors.pop() if len(monitors) == 1 else "val_accuracy"
    key, more_is_better = MONITORED.get(shared, MONITORED["val_accuracy"])
    return Choice(part, Figure("val", key), more_is_better)


def ranked(runs: Sequence[ComparedRun], choice: Choice) -> list[ComparedRun]:
    """Best first; runs without the figure come last, in their own order."""
    sign = -1 if choice.more_is_better else 1
    return sorted(runs, key=lambda run: math.inf if (score := choice.score(run)) is None else sign * score)


def best_of(runs: Sequence[ComparedRun], choice: Choice) -> ComparedRun:
    """The best finished run, or the best one where none has finished. ``runs`` are ranked, and some were judged."""
    known = [run for run in runs if choice.score(run) is not None] or [run for run in runs if run.metrics]
    return next((run for run in known if run.status == FINISHED), known[0])
