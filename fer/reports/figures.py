"""The figures of a training run: learning curves, confusion matrix, class distribution.

Each function returns an inline ``<svg>`` with a description of what it shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup

from fer.reports.colors import (
    FIRST_CURVE,
    INK,
    MATRIX,
    MUTED,
    SECOND_CURVE,
    TILE,
    emotion_colour,
)
from fer.reports.formats import count, percent
from fer.reports.svg import Chart, choose_ticks, format_plain, spread_limits

_CURVES_WIDTH = 420
# With more epochs than this, markers run together into a thick line.
_MAX_MARKED_EPOCHS = 30
# Below it, objective and cross-entropy differ by rounding.
_SAME_LOSS = 1e-5


@dataclass(frozen=True)
class _Curve:
    column: str
    label: str
    colour: str
    dashed: bool = False


_LOSS = (
    _Curve("train_loss", "training", MUTED, dashed=True),
    _Curve("val_loss", "validation", FIRST_CURVE),
)
_OBJECTIVE = (
    _LOSS[0],
    _Curve("val_objective", "validation", FIRST_CURVE),
    _Curve("val_loss", "cross-entropy", SECOND_CURVE),
)
_ACCURACY = (
    _Curve("train_accuracy", "training accuracy", MUTED, dashed=True),
    _Curve("val_accuracy", "accuracy", FIRST_CURVE),
    _Curve("val_macro_f1", "macro-F1", SECOND_CURVE),
)
_LEARNING_RATE = (_Curve("lr", "learning rate", FIRST_CURVE),)


def draw_loss_curves(history: pd.DataFrame, best_epoch: float | None) -> Markup:
    """Draw training and validation loss over epochs; ``history`` has a row a validation (at least one).

    Training minimises another function than cross-entropy where there is label smoothing, a weighting or another loss:
    then both are drawn of the validation.
    """
    objective = pd.to_numeric(history["val_objective"], errors="coerce")
    curves = _OBJECTIVE if (objective - history["val_loss"]).abs().max() > _SAME_LOSS else _LOSS
    chart, limits = _draw_curves(history, curves, best_epoch)
    ticks = choose_ticks(*limits, 5)
    chart.add_y_axis(ticks, format_plain(ticks), "loss")
    return chart.render(_describe("Loss", history, curves, best_epoch))


def draw_accuracy_curves(history: pd.DataFrame, best_epoch: float | None, unit: str = "images") -> Markup:
    """Draw accuracy (training, validation) and validation macro-F1 over epochs."""
    chart, limits = _draw_curves(history, _ACCURACY, best_epoch)
    ticks = choose_ticks(*limits, 5)
    chart.add_y_axis(ticks, [f"{100 * fraction:.3g} %" for fraction in ticks], f"share of {unit}, macro-F1")
    return chart.render(_describe("Accuracy", history, _ACCURACY, best_epoch))


def draw_learning_rate_curve(history: pd.DataFrame, best_epoch: float | None) -> Markup:
    """Draw the learning rate over epochs, a small figure."""
    chart, limits = _draw_curves(history, _LEARNING_RATE, best_epoch, height=150, top=10, low=0)
    ticks = choose_ticks(*limits, 3)
    chart.add_y_axis(ticks, [f"{rate:g}" for rate in ticks], "learning rate")
    return chart.render(_describe("Learning rate", history, _LEARNING_RATE, best_epoch))


def _draw_curves(
    history: pd.DataFrame,
    curves: Sequence[_Curve],
    best_epoch: float | None,
    height: int = 264,
    top: int = 28,
    low: float | None = None,
) -> tuple[Chart, tuple[float, float]]:
    """Draw curves over epochs; the chart, and the limits of its values, of which ``low`` sets the lower one."""
    epochs = history["epoch"].to_numpy()
    values = [_mask_non_finite(history[curve.column]) for curve in curves]
    limits = spread_limits(np.concatenate(values))
    limits = (limits[0] if low is None else low, limits[1])
    # Half an epoch of room on either side, so that a single epoch has a span too.
    x = (float(epochs.min()) - 0.5, float(epochs.max()) + 0.5)
    chart = Chart(_CURVES_WIDTH, height, left=66, right=12, top=top, bottom=40, x=x, y=limits)
    ticks = choose_ticks(*x, 10, integer=True)
    chart.add_x_axis(ticks, [f"{epoch:g}" for epoch in ticks], "epoch")
    if best_epoch is not None:
        chart.add_rule(x=best_epoch)
    marker = 0 if len(epochs) > _MAX_MARKED_EPOCHS else 4 if len(epochs) > 1 else 8
    for curve, numbers in zip(curves, values, strict=True):
        dashes = (8, 4) if curve.dashed else ()
        chart.add_curve(epochs, numbers, curve.colour, label=curve.label, dashes=dashes, marker=marker)
    if len(curves) > 1:
        chart.add_legend(columns=len(curves))
    return chart, limits


def _mask_non_finite(values: pd.Series) -> np.ndarray:
    """Return values as floats; a diverged epoch (infinite loss) becomes a gap instead of breaking the axis."""
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _describe(name: str, history: pd.DataFrame, curves: Sequence[_Curve], best_epoch: float | None) -> str:
    epochs = history["epoch"].to_numpy()
    descriptions = []
    for curve in curves:
        values = _mask_non_finite(history[curve.column])
        descriptions.append(
            f"{curve.label} {values[0]:.3g} at epoch {epochs[0]:g}, {values[-1]:.3g} at epoch {epochs[-1]:g}"
        )
    best = f" Best epoch: {best_epoch}." if best_epoch is not None else ""
    return f"{name} over epochs: {'; '.join(descriptions)}.{best}"


def draw_confusion_matrix(matrix: np.ndarray, classes: Sequence[str], name: str) -> Markup:
    """Draw counts of images by true class (rows) and predicted class (columns).

    The tint of a cell is its fraction of the row, so that rare classes read like frequent ones.

    Args:
        matrix: (classes, classes) of counts.
        classes: Names of the classes.
        name: Tells the matrices of a page apart ("test").
    """
    size = len(classes)
    edges = (-0.5, size - 0.5)
    chart = Chart(420, 420, left=88, right=8, top=8, bottom=88, x=edges, y=edges[::-1])
    _draw_cells(chart, matrix)
    chart.add_x_axis(range(size), classes, "predicted class", slanted=True)
    chart.add_y_axis(range(size), classes, "true class", grid=False, colour=INK)
    recalls = (
        f"{true} {percent(recall)}" for true, recall in zip(classes, normalize_rows(matrix).diagonal(), strict=True)
    )
    alt = f"Confusion matrix, {name}. Share of each true class classified correctly: {', '.join(recalls)}."
    return chart.render(alt)


def _draw_cells(chart: Chart, matrix: np.ndarray) -> None:
    fractions = normalize_rows(matrix)
    for (row, column), images in np.ndenumerate(matrix):
        # The gap between cells is 4 % of a cell.
        cell = ((column - 0.48, column + 0.48), (row - 0.48, row + 0.48))
        chart.add_box(*cell, TILE)
        if images:
            chart.add_box(*cell, MATRIX, float(fractions[row, column]))
        chart.add_text(column, row, str(images), INK if images else MUTED, bold=bool(images) and row == column)


def normalize_rows(matrix: np.ndarray) -> np.ndarray:
    """Divide each row of (classes, classes) counts by its sum; zeros for a class without images."""
    totals = matrix.sum(axis=1, keepdims=True)
    fractions: np.ndarray = matrix / np.maximum(totals, 1)
    return fractions


def draw_class_bars(counts: pd.Series, max_fraction: float, name: str) -> Markup:
    """Draw number and fraction of images of each class, a bar a class.

    Args:
        counts: Images, indexed by class.
        max_fraction: Scales the axis (0-1); the same value for every split makes their bars comparable.
        name: Tells the figures of a page apart ("train").
    """
    row_height = 26
    fractions = counts.to_numpy(dtype=float) / max(int(counts.sum()), 1)
    classes = [str(emotion) for emotion in counts.index]
    # The longest bar leaves nearly half of the width to its label.
    x = (0.0, max(max_fraction, 1e-9) * 1.8)
    chart = Chart(300, len(counts) * row_height, left=76, x=x, y=(len(counts) - 0.5, -0.5))
    chart.add_rule(x=0, strong=True)
    chart.add_y_axis(range(len(counts)), classes, grid=False, colour=INK)
    descriptions = []
    for position, emotion, images, fraction in zip(
        range(len(counts)), classes, counts.tolist(), fractions, strict=True
    ):
        label = f"{count(images)} · {percent(fraction)}"
        chart.add_box((0, fraction), (position - 0.31, position + 0.31), emotion_colour(emotion))
        chart.add_text(fraction, position, label, anchor="start")
        descriptions.append(f"{emotion} {label}")
    return chart.render(f"Images a class, {name}: {'; '.join(descriptions)}.")
