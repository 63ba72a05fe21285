"""The curves of an evaluation: ROC, precision against recall, and reliability.

Each function returns an inline ``<svg>`` with a description of what it shows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from fer.reports.colors import FIRST_CURVE, SECOND_CURVE, emotion_colour
from fer.reports.formats import decimals
from fer.reports.svg import Chart

if TYPE_CHECKING:
    from fer.metrics.ranking import ClassCurves
    from fer.metrics.reliability import Reliability

_WIDTH = 420
_LEGEND_ROW = 19
# What a curve of so many points leaves out is finer than its line.
_MAX_POINTS = 160
_LEGEND_BELOW = 53
_LARGEST_DOT = 11.4


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
    chart = _create_square(len(curves), f"{unit} of other classes taken for it", f"{unit} of the class found")
    chart.add_diagonal()
    for emotion, curve in curves.items():
        _draw_curve(chart, curve.false_positive_rate, curve.recall, emotion, areas[emotion])
    chart.add_legend(columns=2, below=_LEGEND_BELOW)
    listed = ", ".join(f"{emotion} {decimals(areas[emotion])}" for emotion in curves)
    return chart.render(f"ROC curves, {name}. Area under the curve: {listed}.")


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
    titles = f"recall: {unit} of the class found", f"precision: found {unit} that are right"
    chart = _create_square(len(curves), *titles)
    for emotion, curve in curves.items():
        _draw_curve(chart, curve.recall, curve.precision, emotion, averages[emotion])
    chart.add_legend(columns=2, below=_LEGEND_BELOW)
    listed = ", ".join(f"{emotion} {decimals(averages[emotion])}" for emotion in curves)
    return chart.render(f"Precision-recall curves, {name}. Average precision: {listed}.")


def draw_reliability(before: "Reliability", after: "Reliability", errors: tuple[float, float], name: str) -> Markup:
    """Draw how often predictions are right by their confidence, before and after calibration.

    Args:
        before: Before calibration.
        after: After it.
        errors: Expected calibration error before and after.
        name: Tells the figures of a page apart ("test").
    """
    chart = _create_square(1, "mean confidence", "share of predictions that are right")
    chart.add_diagonal()
    for title, reliability, colour, error in (
        ("before", before, SECOND_CURVE, errors[0]),
        ("after", after, FIRST_CURVE, errors[1]),
    ):
        known = reliability.images > 0
        confidence, accuracy = reliability.confidence[known], reliability.accuracy[known]
        label = f"{title}, error {decimals(error)}"
        chart.add_curve(confidence, accuracy, colour, label=label, dashes=(8, 4) if title == "before" else ())
        sizes = np.maximum(reliability.images[known] / reliability.images.max(), 0.04)
        chart.add_dots(confidence, accuracy, np.sqrt(sizes) * _LARGEST_DOT, colour, opacity=0.75)
    chart.add_legend(columns=2, below=_LEGEND_BELOW)
    alt = (
        f"Reliability, {name}. Expected calibration error before calibration {decimals(errors[0])}, after "
        f"{decimals(errors[1])}."
    )
    return chart.render(alt)


def _create_square(entries: int, x_title: str, y_title: str) -> Chart:
    """Square axes from 0 to 100 %, with room below for a legend of so many entries in two columns."""
    rows = -(-entries // 2)
    bottom = 48 + rows * _LEGEND_ROW
    ends = (0.0, 1.0)
    chart = Chart(_WIDTH, 360 + bottom - 40, left=62, right=12, top=10, bottom=bottom, x=ends, y=ends)
    ticks = [0, 0.25, 0.5, 0.75, 1]
    labels = [f"{100 * tick:.3g} %" for tick in ticks]
    chart.add_x_axis(ticks, labels, x_title, grid=True)
    chart.add_y_axis(ticks, labels, y_title)
    return chart


def _draw_curve(chart: Chart, x: np.ndarray, y: np.ndarray, emotion: str, area: float | None) -> None:
    rows = _thin(x, y)
    chart.add_curve(x[rows], y[rows], emotion_colour(emotion), label=f"{emotion} {decimals(area)}", width=1.75)


def _thin(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Indices of points that lie evenly along a curve, both ends among them."""
    length = np.append(0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y))))
    wanted = np.linspace(0, length[-1], min(_MAX_POINTS, len(x)))
    return np.unique(np.append(np.searchsorted(length, wanted[:-1]), len(x) - 1))
