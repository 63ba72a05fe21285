"""The curves of an evaluation: ROC, precision against recall, and reliability.

Each function returns an inline ``<svg>`` with a description of what it shows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from fer.reports.colors import FIRST_CURVE, MUTED, SECOND_CURVE, emotion_colour
from fer.reports.formats import decimals
from fer.reports.svg import create_axes, house_style, render_svg

if TYPE_CHECKING:
    from fer.metrics.ranking import ClassCurves
    from fer.metrics.reliability import Reliability

_WIDTH = 420
_LEGEND_ROW = 19
# What a curve of so many points leaves out is finer than its line.
_MAX_POINTS = 160
_LARGEST_DOT = 130


@dataclass(frozen=True)
class EvaluationCurves:
    """The curves of one split.

    Attributes:
        classes: The curves of each class that has them, by its name.
        before: "Reliability" before calibration.
        after: "Reliability" after it.
    """

    classes: "Mapping[str, ClassCurves]"
    before: "Reliability"
    after: "Reliability"


@house_style
def draw_roc_curves(
    curves: "Mapping[str, ClassCurves]", areas: Mapping[str, float | None], name: str, unit: str = "images"
) -> Markup:
    """Draw the ROC curve of each class against all others.

    Args:
        curves: By class.
        areas: Area under each curve.
        name: Tells the figures of a page apart ("test").
        unit: What the samples are.
    """
    figure, axes = _create_square(len(curves))
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.25, linestyle=(0, (1, 2)), zorder=1)
    for emotion, curve in curves.items():
        _draw_curve(axes, curve.false_positive_rate, curve.recall, emotion, areas[emotion])
    axes.set_xlabel(f"{unit} of other classes taken for it")
    axes.set_ylabel(f"{unit} of the class found")
    _add_legend(axes)
    listed = ", ".join(f"{emotion} {decimals(areas[emotion])}" for emotion in curves)
    return render_svg(figure, f"roc-{name}", f"ROC curves, {name}. Area under the curve: {listed}.")


@house_style
def draw_precision_recall_curves(
    curves: "Mapping[str, ClassCurves]", averages: Mapping[str, float | None], name: str, unit: str = "images"
) -> Markup:
    """Draw precision against recall for each class.

    Args:
        curves: By class.
        averages: Average precision of each.
        name: Tells the figures of a page apart ("test").
        unit: What the samples are.
    """
    figure, axes = _create_square(len(curves))
    for emotion, curve in curves.items():
        _draw_curve(axes, curve.recall, curve.precision, emotion, averages[emotion])
    axes.set_xlabel(f"recall: {unit} of the class found")
    axes.set_ylabel(f"precision: found {unit} that are right")
    _add_legend(axes)
    listed = ", ".join(f"{emotion} {decimals(averages[emotion])}" for emotion in curves)
    return render_svg(figure, f"precision-{name}", f"Precision-recall curves, {name}. Average precision: {listed}.")


@house_style
def draw_reliability(before: "Reliability", after: "Reliability", errors: tuple[float, float], name: str) -> Markup:
    """Draw how often predictions are right by their confidence, before and after calibration.

    Args:
        before: Before calibration.
        after: After it.
        errors: Expected calibration error before and after.
        name: Tells the figures of a page apart ("test").
    """
    figure, axes = _create_square(1)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.25, linestyle=(0, (1, 2)), zorder=1)
    for title, reliability, colour, error in (
        ("before", before, SECOND_CURVE, errors[0]),
        ("after", after, FIRST_CURVE, errors[1]),
    ):
        known = reliability.images > 0
        confidence, accuracy = reliability.confidence[known], reliability.accuracy[known]
        label = f"{title}, error {decimals(error)}"
        dashed = title == "before"
        axes.plot(confidence, accuracy, color=colour, label=label, linestyle=(0, (4, 2)) if dashed else "solid")
        sizes = np.maximum(reliability.images[known] / reliability.images.max(), 0.04) * _LARGEST_DOT
        axes.scatter(confidence, accuracy, s=sizes, color=colour, linewidths=0, alpha=0.75, clip_on=False, zorder=3)
    axes.set_xlabel("mean confidence")
    axes.set_ylabel("share of predictions that are right")
    _add_legend(axes)
    alt = (
        f"Reliability, {name}. Expected calibration error before calibration {decimals(errors[0])}, after "
        f"{decimals(errors[1])}."
    )
    return render_svg(figure, f"reliability-{name}", alt)


def _create_square(entries: int) -> tuple[Figure, Axes]:
    """Square axes from 0 to 100 %, with room below for a legend of so many entries in two columns."""
    rows = -(-entries // 2)
    bottom = 48 + rows * _LEGEND_ROW
    figure, axes = create_axes(_WIDTH, 360 + bottom - 40, left=62, right=12, top=10, bottom=bottom)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks([0, 0.25, 0.5, 0.75, 1])
        axis.set_major_formatter(FuncFormatter(lambda fraction, _: f"{100 * fraction:.3g} %"))
    axes.grid(visible=True, axis="both")
    axes.spines["left"].set_visible(False)
    return figure, axes


def _draw_curve(axes: Axes, x: np.ndarray, y: np.ndarray, emotion: str, area: float | None) -> None:
    rows = _thin(x, y)
    label = f"{emotion} {decimals(area)}"
    axes.plot(x[rows], y[rows], color=emotion_colour(emotion), label=label, linewidth=1.75, clip_on=False)


def _thin(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Indices of points that lie evenly along a curve, both ends among them."""
    length = np.append(0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y))))
    wanted = np.linspace(0, length[-1], min(_MAX_POINTS, len(x)))
    return np.unique(np.append(np.searchsorted(length, wanted[:-1]), len(x) - 1))


def _add_legend(axes: Axes) -> None:
    if not axes.get_legend_handles_labels()[0]:
        # No class has images of others beside it.
        return
    axes.legend(
        loc="upper left", bbox_to_anchor=(0, -0.17), ncols=2, columnspacing=1.6, labelspacing=0.35, handlelength=1.4
    )
