"""The report of a training run: what ``report.html`` shows and where each section comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from fer.reports import evaluation_figures, figures
from fer.reports.audit import build_audit_sections
from fer.reports.epoch_times import compute_epoch_seconds
from fer.reports.evaluation_figures import EvaluationCurves
from fer.reports.explanation import AveragedEmotion, MapFigure
from fer.reports.images import CaptionedImage
from fer.reports.page import render, write_page

__all__ = ["CaptionedImage", "TrainingReport", "write_training_report"]

# The test split comes first: it is what the page's headline is about wherever there is one.
_EVALUATED_SPLITS = {"test": "Test", "val": "Validation"}
_SPLIT_LABELS = {"train": "Training", "val": "Validation", "test": "Test"}
_MAX_CONFUSIONS = 4


@dataclass(frozen=True)
class ReportExplanations:
    """Where the network looked.

    Attributes:
        mistakes: The maps of each of the report's mistakes.
        averages: Maps averaged over faces of each class.
        problem: Why there are none.
    """

    mistakes: list[list[MapFigure]] = field(default_factory=list)
    averages: list[AveragedEmotion] = field(default_factory=list)
    problem: str | None = None


@dataclass(frozen=True)
class TrainingReport:
    """Everything a training run's page is made of.

    Attributes:
        title: Heading of the page.
        status: "finished" or "interrupted".
        command: What started the run.
        reproduce: What repeats it.
        metrics: The content of metrics.json; its splits ("val", "test") may be None, and so may the metrics of a
            class without images.
        history: A row a validation with epoch, lr, train_loss, train_accuracy, val_loss, val_accuracy,
            val_balanced_accuracy, val_macro_f1, seconds, images_per_second.
        classes: Names of the classes, in their order.
        class_counts: Images by class (index) and split (columns).
        findings: What the integrity checks found, how many, what was done.
        samples: Training images as the network sees them, captioned with their class; neighbours of one caption are
            shown together.
        mistakes: Images with the most confident wrong predictions.
        config_yaml: Text of the configuration.
        environment: Facts about machine and code, by name.
        notes: Remarks for the top of the page.
        profile: Name of the page beside this one on what the training spent its time on; None without one.
        curves: ROC, precision-recall and reliability of each split that has them.
        explain: What shows where the network looks in a face.
        explanations: Where it looked; None where that was not asked.
        unit: What the samples are: "images", or "clips".
        fitted_once: Whether a classifier was fitted in one step, so that ``history`` has one row and no epochs.
    """

    title: str
    status: str
    command: str
    reproduce: str
    metrics: dict[str, Any]
    history: pd.DataFrame
    classes: list[str]
    class_counts: pd.DataFrame
    findings: list[tuple[str, int, str]]
    samples: list[CaptionedImage]
    mistakes: list[CaptionedImage]
    config_yaml: str
    environment: dict[str, str]
    notes: list[str]
    profile: str | None = None
    curves: Mapping[str, EvaluationCurves] = field(default_factory=dict)
    explain: str = ""
    explanations: ReportExplanations | None = None
    unit: str = "images"
    fitted_once: bool = False


@dataclass(frozen=True)
class _EvaluatedSplit:
    label: str
    metrics: Mapping[str, Any]
    counts: np.ndarray
    confusion: Markup
    worst_confusions: list["_Confusion"]
    curves: Mapping[str, Markup]


@dataclass(frozen=True)
class _Confusion:
    true: str
    predicted: str
    images: int
    total: int


def write_training_report(report: TrainingReport, path: Path) -> None:
    """Write the page; it appears only once it is complete. Equal reports give equal bytes.

    Args:
        report: What the page shows.
        path: The HTML file.

    Raises:
        ValueError: A confusion matrix does not fit the classes, or an image is not uint8 gray or RGB.
        OSError: The page cannot be written.
    """
    content = {
        "report": report,
        "metrics": report.metrics,
        "audit": build_audit_sections(report.metrics),
        "splits": _build_evaluated_splits(report),
        "best": _find_best_epoch_row(report),
        "history": report.history.to_dict("records"),
        "epoch_seconds": compute_epoch_seconds(report.history["epoch"], report.history["seconds"]),
        "curves": _draw_curves(report),
        "class_bars": _draw_class_bars(report),
        "samples": [
            (caption, list(group)) for caption, group in groupby(report.samples, lambda sample: sample.caption)
        ],
    }
    write_page(render("training.html.j2", content), path)


def _build_evaluated_splits(report: TrainingReport) -> list[_EvaluatedSplit]:
    splits = []
    for name, label in _EVALUATED_SPLITS.items():
        split_metrics = report.metrics[name]
        if split_metrics is None:
            continue
        counts = np.asarray(split_metrics["confusion_matrix"])
        size = len(report.classes)
        if counts.shape != (size, size):
            raise ValueError(f"confusion matrix of {name} is {counts.shape}, but there are {size} classes")
        splits.append(
            _EvaluatedSplit(
                label=label,
                metrics=split_metrics,
                counts=counts,
                confusion=figures.draw_confusion_matrix(counts, report.classes, label.lower()),
                worst_confusions=_find_worst_confusions(counts, report.classes),
                curves=_draw_evaluation_curves(report.curves.get(name), split_metrics, label.lower(), report.unit),
            )
        )
    return splits


def _find_worst_confusions(counts: np.ndarray, classes: Sequence[str]) -> list[_Confusion]:
    """Find the wrong cells that take the largest fraction of their row, largest first."""
    fractions = figures.normalize_rows(counts)
    np.fill_diagonal(fractions, 0)
    totals = counts.sum(axis=1)
    # A stable sort keeps the order of the classes among equals.
    order = np.argsort(-fractions, axis=None, kind="stable")[:_MAX_CONFUSIONS]
    cells = [divmod(int(flat), len(classes)) for flat in order]
    return [
        _Confusion(classes[row], classes[column], int(counts[row, column]), int(totals[row]))
        for row, column in cells
        if fractions[row, column] > 0
    ]


def _draw_evaluation_curves(
    curves: EvaluationCurves | None, metrics: Mapping[str, Any], name: str, unit: str
) -> dict[str, Markup]:
    """Draw the curves of one split; none where it has none."""
    if curves is None:
        return {}
    areas, averages = (
        {emotion: row[metric]["value"] for emotion, row in metrics["per_class"].items()}
        for metric in ("roc_auc", "average_precision")
    )
    errors = (metrics["ece"], metrics["ece_calibrated"])
    return {
        "roc": evaluation_figures.draw_roc_curves(curves.classes, areas, name, unit),
        "precision_recall": evaluation_figures.draw_precision_recall_curves(curves.classes, averages, name, unit),
        "reliability": evaluation_figures.draw_reliability(curves.before, curves.after, errors, name),
    }


def _find_best_epoch_row(report: TrainingReport) -> dict[str, Any] | None:
    rows = report.history[report.history["epoch"] == report.metrics["best_epoch"]].to_dict("records")
    return {str(column): value for column, value in rows[0].items()} if rows else None


def _draw_curves(report: TrainingReport) -> dict[str, Markup] | None:
    if report.history.empty or report.fitted_once:
        return None
    best_epoch = report.metrics["best_epoch"]
    return {
        "loss": figures.draw_loss_curves(report.history, best_epoch),
        "accuracy": figures.draw_accuracy_curves(report.history, best_epoch, report.unit),
        "learning_rate": figures.draw_learning_rate_curve(report.history, best_epoch),
    }


def _draw_class_bars(report: TrainingReport) -> list[tuple[str, int, Markup]]:
    """Draw the bars of each split that has images; returns (label, number of images, figure)."""
    counts = report.class_counts.reindex(report.classes, fill_value=0).fillna(0).astype(int)
    counts = counts.loc[:, counts.sum() > 0]
    max_fraction = float((counts / counts.sum()).to_numpy().max(initial=0))
    return [
        (
            _SPLIT_LABELS.get(str(split), str(split)),
            int(counts[split].sum()),
            figures.draw_class_bars(counts[split], max_fraction, str(split)),
        )
        for split in counts.columns
    ]
