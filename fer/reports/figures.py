"""The figures of a training run: learning curves, confusion matrix, class distribution.

Each function returns an inline ``<svg>`` with a description of what it shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

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
from fer.reports.svg import create_axes, house_style, render_svg

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


@house_style
def draw_loss_curves(history: pd.DataFrame, best_epoch: float | None) -> Markup:
    """Draw training and validation loss over epochs; ``history`` has a row a validation (at least one).

    Training minimises another function than cross-entropy where there is label smoothing, a weighting or another loss:
    then both are drawn of the validation.
    """
    figure, axes = create_axes(_CURVES_WIDTH, 264, left=60, right=12, top=28, bottom=40)
    objective = pd.to_numeric(history["val_objective"], errors="coerce")
    curves = _OBJECTIVE if (objective - history["val_loss"]).abs().max() > _SAME_LOSS else _LOSS
    _draw_curves(axes, history, curves, best_epoch)
    axes.set_ylabel("loss")
    return render_svg(figure, "loss", _describe("Loss", history, curves, best_epoch))


@house_style
def draw_accuracy_curves(history: pd.DataFrame, best_epoch: float | None, unit: str = "images") -> Markup:
    """Draw accuracy (training, validation) and validation macro-F1 over epochs."""
    figure, axes = create_axes(_CURVES_WIDTH, 264, left=60, right=12, top=28, bottom=40)
    _draw_curves(axes, history, _ACCURACY, best_epoch)
    axes.set_ylabel(f"share of {unit}, macro-F1")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda fraction, _: f"{100 * fraction:.3g} %"))
    return render_svg(figure, "accuracy", _describe("Accuracy", history, _ACCURACY, best_epoch))


@house_style
def draw_learning_rate_curve(history: pd.DataFrame, best_epoch: float | None) -> Markup:
    """Draw the learning rate over epochs, a small figure."""
    figure, axes = create_axes(_CURVES_WIDTH, 150, left=76, right=12, top=10, bottom=40)
    _draw_curves(axes, history, _LEARNING_RATE, best_epoch)
    axes.set_ylabel("learning rate")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
    return render_svg(figure, "learning-rate", _describe("Learning rate", history, _LEARNING_RATE, best_epoch))


def _draw_curves(axes: Axes, history: pd.DataFrame, curves: Sequence[_Curve], best_epoch: float | None) -> None:
    epochs = history["epoch"].to_numpy()
    for curve in curves:
        values = _mask_non_finite(history[curve.column])
        axes.plot(
            epochs,
            values,
            label=curve.label,
            color=curve.colour,
            linestyle=(0, (4, 2)) if curve.dashed else "solid",
            marker="o" if len(epochs) <= _MAX_MARKED_EPOCHS else None,
            markersize=4 if len(epochs) > 1 else 8,
            markeredgewidth=0,
            clip_on=False,
        )
    # Half an epoch of room on either side, so that a single epoch has a span too.
    axes.set_xlim(epochs.min() - 0.5, epochs.max() + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.grid(visible=True, axis="y")
    if best_epoch is not None:
        axes.axvline(best_epoch, color=MUTED, linewidth=1.25, linestyle=(0, (1, 2)), zorder=1)
    axes.spines["left"].set_visible(False)
    if len(curves) > 1:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.04), ncols=len(curves), columnspacing=1.4)


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


@house_style
def draw_confusion_matrix(matrix: np.ndarray, classes: Sequence[str], name: str) -> Markup:
    """Draw counts of images by true class (rows) and predicted class (columns).

    The tint of a cell is its fraction of the row, so that rare classes read like frequent ones.

    Args:
        matrix: (classes, classes) of counts.
        classes: Names of the classes.
        name: Tells the matrices of a page apart ("test").
    """
    size = len(classes)
    figure, axes = create_axes(420, 420, left=88, right=8, top=8, bottom=88)
    _draw_cells(axes, matrix)
    axes.set_xlim(-0.5, size - 0.5)
    axes.set_ylim(size - 0.5, -0.5)
    # Anchored rotation keeps the label's end under its column whatever font the reader's device has.
    axes.set_xticks(range(size), classes, rotation=40, ha="right", rotation_mode="anchor", color=INK)
    axes.set_yticks(range(size), classes, color=INK)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted class", labelpad=4)
    axes.set_ylabel("true class", labelpad=6)
    recalls = (
        f"{true} {percent(recall)}" for true, recall in zip(classes, normalize_rows(matrix).diagonal(), strict=True)
    )
    alt = f"Confusion matrix, {name}. Share of each true class classified correctly: {', '.join(recalls)}."
    return render_svg(figure, f"confusion-{name}", alt)


def _draw_cells(axes: Axes, matrix: np.ndarray) -> None:
    fractions = normalize_rows(matrix)
    for (row, column), images in np.ndenumerate(matrix):
        # The gap between cells is 4 % of a cell.
        corner, side = (column - 0.48, row - 0.48), 0.96
        # Not as patches, of which each would move limits that are set anyhow.
        axes.add_artist(Rectangle(corner, side, side, facecolor=TILE, linewidth=0))
        if images:
            fraction = float(fractions[row, column])
            axes.add_artist(Rectangle(corner, side, side, facecolor=MATRIX, alpha=fraction, linewidth=0))
        axes.text(
            column,
            row,
            str(images),
            ha="center",
            va="center_baseline",
            color=INK if images else MUTED,
            fontweight="bold" if images and row == column else "normal",
        )


def normalize_rows(matrix: np.ndarray) -> np.ndarray:
    """Divide each row of (classes, classes) counts by its sum; zeros for a class without images."""
    totals = matrix.sum(axis=1, keepdims=True)
    fractions: np.ndarray = matrix / np.maximum(totals, 1)
    return fractions


@house_style
def draw_class_bars(counts: pd.Series, max_fraction: float, name: str) -> Markup:
    """Draw number and fraction of images of each class, a bar a class.

    Args:
        counts: Images, indexed by class.
        max_fraction: Scales the axis (0-1); the same value for every split makes their bars comparable.
        name: Tells the figures of a page apart ("train").
    """
    row_height = 26
    figure, axes = create_axes(300, len(counts) * row_height, left=76)
    fractions = counts.to_numpy(dtype=float) / max(int(counts.sum()), 1)
    positions = range(len(counts))
    classes = [str(emotion) for emotion in counts.index]
    axes.barh(positions, fractions, height=0.62, color=[emotion_colour(emotion) for emotion in classes])
    descriptions = []
    for position, emotion, images, fraction in zip(positions, classes, counts.tolist(), fractions, strict=True):
        label = f"{count(images)} · {percent(fraction)}"
        axes.annotate(
            label,
            (fraction, position),
            xytext=(5, 0),
            textcoords="offset points",
            va="center_baseline",
            color=INK,
        )
        descriptions.append(f"{emotion} {label}")
    # The longest bar leaves nearly half of the width to its label.
    axes.set_xlim(0, max(max_fraction, 1e-9) * 1.8)
    axes.set_ylim(len(counts) - 0.5, -0.5)
    axes.set_yticks(positions, classes, color=INK)
    axes.tick_params(length=0)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    return render_svg(figure, f"classes-{name}", f"Images a class, {name}: {'; '.join(descriptions)}.")
