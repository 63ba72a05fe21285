"""A made-up comparison: twelve runs of a grid, of which the figures were drawn, not measured."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from fer.reports.comparison import Column, ComparisonReport, GroupRow, MetricColumn, RunRow, Setting

CLASSES = ["anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"]
RATES = (0.0001, 0.001, 0.01)
MODELS = ("mobilenetv2_050", "mobilenetv2_100")


def bounded(value: float) -> dict[str, float | None]:
    return {"value": value, "low": value - 0.03, "high": value + 0.02}


def run_row(place: int, accuracy: float, **fields: Any) -> RunRow:
    """Run ``place`` of the grid; ``fields`` replace what it has."""
    epochs = np.arange(1, 6)
    row = RunRow(
        label=f"lr/{place}",
        directory=f"outputs/sweeps/lr/{place}",
        status="finished",
        reason=None,
        settings=(
            Setting(str(RATES[place % 3]), RATES[place % 3]),
            Setting(MODELS[place // 3 % 2]),
            Setting(str(place // 6), place // 6),
        ),
        metrics=(*(bounded(accuracy + shift) for shift in (0, -0.01, -0.05, -0.04)), {"value": 0.05} | NO_BOUNDS),
        score=accuracy,
        recalls={name: accuracy - 0.02 * number for number, name in enumerate(CLASSES)},
        seconds=60.0 + place,
        images_per_second=300.0 - place,
        history=pd.DataFrame(
            {"val_accuracy": accuracy * epochs / 5, "val_loss": 2 / epochs, "seconds": 10.0}, index=pd.Index(epochs)
        ),
    )
    return replace(row, **fields)


NO_BOUNDS: dict[str, float | None] = {"low": None, "high": None}
NOTHING: dict[str, float | None] = {"value": None, "low": None, "high": None}


def failed_run(place: int, reason: str) -> RunRow:
    nothing: dict[str, Any] = {"score": None, "recalls": {}, "seconds": None, "images_per_second": None}
    nothing |= {"history": pd.DataFrame(), "metrics": (NOTHING,) * 5}
    return run_row(place, 0, status="failed", reason=reason, **nothing)


def pair_table(count: int, **changes: Any) -> pd.DataFrame:
    """Every pair of ``count`` runs; the difference of run i and j is (j - i) points, its interval ± 2 points."""
    rows = []
    for first in range(count):
        for second in range(first + 1, count):
            difference = (second - first) / 100
            row: dict[str, Any] = {"first": first, "second": second, "images": 1200, "same_data": True}
            for name, shift in (("accuracy", 0.0), ("balanced_accuracy", 0.003), ("macro_f1", 0.005)):
                row |= {f"{name}_first": 0.8 - first / 100, f"{name}_second": 0.8 - second / 100}
                row |= {f"{name}_difference": difference + shift, f"{name}_p": 0.0004 if difference > 0.04 else 0.25}
                row |= {f"{name}_low": difference + shift - 0.02, f"{name}_high": difference + shift + 0.02}
            rows.append(row | changes)
    return pd.DataFrame(rows)


def comparison_report(runs: Sequence[RunRow] | None = None, **fields: Any) -> ComparisonReport:
    """A whole comparison; ``fields`` replace what it has."""
    if runs is None:
        runs = [run_row(place, 0.8 - place / 100) for place in range(12)]
        runs = [*runs, failed_run(12, "out of memory; lower dataset.batch_size")]
    judged = sum(run.score is not None for run in runs)
    report = ComparisonReport(
        root="outputs/sweeps",
        split="test",
        metrics=[
            *(MetricColumn(name, True) for name in ("validation accuracy", "test accuracy")),
            *(MetricColumn(name, True) for name in ("test balanced accuracy", "test macro-F1")),
            MetricColumn("test ECE", False),
        ],
        ranked=MetricColumn("validation accuracy", True),
        ranked_on_split=False,
        columns=[
            Column("optimizer.weight_decay", "weight_decay"),
            Column("model.name", "model.name"),
            Column("seed", "seed"),
        ],
        runs=list(runs),
        best=0,
        best_metrics=[("accuracy", bounded(0.79)), ("macro-F1", bounded(0.76))],
        commands=[("Run it again:", "python -m fer.replay outputs/sweeps/lr/0")],
        groups=[
            GroupRow(
                runs=("lr/0", "lr/6"),
                settings=(Setting("0.0001", 0.0001), Setting("mobilenetv2_050"), None),
                metrics=((0.77, 0.0424), (0.76, 0.0424), (0.72, 0.04), (0.73, 0.04), (0.05, 0.01)),
            )
        ],
        importance=[("optimizer.weight_decay", 0.7), ("model.name + model.drop_rate", 0.2), ("seed", 0.1)],
        importance_reason=None,
        importance_runs=12,
        pairs=pair_table(judged),
        untested=dict.fromkeys(range(judged, len(runs)), "has no predictions of test"),
        classes=CLASSES,
        notes=["One run has no figures."],
    )
    return replace(report, **fields)
