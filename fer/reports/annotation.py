"""The page of an annotation: how labels are distributed, how far annotators agree, how batches drift."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fer.core.places import hide_places
from fer.reports.colors import FIRST_CURVE, MUTED, SECOND_CURVE, emotion_colour
from fer.reports.page import render, write_page
from fer.reports.svg import create_axes, house_style, render_svg

_WIDTH, _HEIGHT = 420, 264
_DASHES = ("solid", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))
_MAX_MARKED_BATCHES = 30
_HASH = re.compile(r"@sha256:([0-9a-f]{8})[0-9a-f]+")


@dataclass(frozen=True)
class AnnotationReport:
    """What the page is made of.

    Attributes:
        title: Heading.
        faces: How many faces there are.
        doubtful: On how many of them annotators disagree.
        corrected: How many people have looked at.
        annotators: Names of the annotators.
        emotions: The classes.
        shares: A row an annotator: ``annotator``, ``labelled``, ``mean_confidence`` and ``share_<emotion>``.
        agreement: ``annotators``, ``measure``, ``faces``, ``agreement`` and ``kappa``.
        log: Rows of label_monitor_log.csv.
        limits: Indices above which a batch has moved moderately, and shifted.
        problems: (reason, number of faces) of what could not be labelled.
        command: What trains on the labels.
        notes: Remarks for the top of the page.
    """

    title: str
    faces: int
    doubtful: int
    corrected: int
    annotators: Sequence[str]
    emotions: Sequence[str]
    shares: pd.DataFrame
    agreement: pd.DataFrame
    log: pd.DataFrame
    limits: tuple[float, float]
    problems: Sequence[tuple[str, int]]
    command: str
    notes: Sequence[str] = ()


def write_annotation_page(report: AnnotationReport, path: Path) -> None:
    """Write the page; it appears only once it is complete.

    Args:
        report: What it shows.
        path: The HTML file.
    """
    has_batches = report.log["batch"].nunique() > 1
    charts = [
        (
            shorten_annotator(name),
            draw_label_shares(report.log[report.log["annotator"] == name], report.emotions, number),
        )
        for number, name in enumerate(report.annotators)
        if has_batches
    ]
    content: dict[str, Any] = {
        "report": report,
        "annotators": [shorten_annotator(name) for name in report.annotators],
        "shares": _to_records(report.shares),
        "agreement": _to_records(report.agreement),
        "charts": charts,
        "drift": draw_drift(report.log, report.annotators, report.limits) if has_batches else None,
        "shifted": _to_records(report.log[report.log["state"] == "shift"]),
    }
    write_page(render("annotation.html.j2", content), path)


def _to_records(table: pd.DataFrame) -> list[Mapping[str, Any]]:
    """Rows whose names of annotators a page has room for."""
    named = {key: table[key].map(shorten_annotator) for key in ("annotator", "annotators") if key in table}
    return [{str(key): value for key, value in row.items()} for row in table.assign(**named).to_dict("records")]


@house_style
def draw_label_shares(log: pd.DataFrame, emotions: Sequence[str], number: int = 0) -> Markup:
    """Draw the share of each label by batch.

    Args:
        log: Rows of label_monitor_log.csv of one annotator.
        emotions: The classes.
        number: Of the figure on its page.
    """
    figure, axes = create_axes(_WIDTH, _HEIGHT, left=56, right=12, top=10, bottom=76)
    batches = log["batch"].to_numpy(float)
    for name in emotions:
        axes.plot(batches, log[f"share_{name}"].to_numpy(float), label=name, color=emotion_colour(name))
    axes.set_ylim(bottom=0)
    axes.set_ylabel("share of labels")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.3g} %"))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=4, columnspacing=1.2, fontsize=11)
    _finish_axes(axes)
    ends = {name: 100 * log[f"share_{name}"].iloc[[0, -1]].to_numpy(float) for name in emotions}
    shown = "; ".join(f"{name} {first:.0f} % at first, {last:.0f} % at last" for name, (first, last) in ends.items())
    return render_svg(figure, f"shares-{number}", f"Share of each label by batch: {shown}.")


@house_style
def draw_drift(log: pd.DataFrame, annotators: Sequence[str], limits: tuple[float, float]) -> Markup:
    """Draw the population stability index by batch, a line an annotator, with the limits across.

    Args:
        log: Rows of label_monitor_log.csv.
        annotators: Names of the annotators.
        limits: Indices above which a batch has moved moderately, and shifted.
    """
    figure, axes = create_axes(_WIDTH, _HEIGHT, left=56, right=12, top=10, bottom=76)
    for number, name in enumerate(annotators):
        own = log[(log["annotator"] == name) & log["psi"].notna()]
        axes.plot(
            own["batch"].to_numpy(float),
            own["psi"].to_numpy(float),
            label=shorten_annotator(name),
            color=FIRST_CURVE if number % 2 == 0 else SECOND_CURVE,
            linestyle=_DASHES[number // 2 % len(_DASHES)],
            marker="o" if len(own) <= _MAX_MARKED_BATCHES else None,
            markersize=4,
            markeredgewidth=0,
        )
    for limit in limits:
        axes.axhline(limit, color=MUTED, linewidth=1.25, linestyle=(0, (1, 2)), zorder=1)
    highest = float(log["psi"].max()) if log["psi"].notna().any() else 0.0
    axes.set_ylim(0, max(1.15 * highest, 1.2 * limits[-1]))
    axes.set_ylabel("PSI")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2, columnspacing=1.2, fontsize=11)
    _finish_axes(axes)
    return render_svg(figure, "drift", f"Population stability index by batch; the largest is {highest:.3f}.")


def _finish_axes(axes: Axes) -> None:
    axes.set_xlabel("batch")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.grid(visible=True, axis="y")
    axes.spines["left"].set_visible(False)


def shorten_annotator(name: str) -> str:
    """An annotator's name, or several of them, as a page has room for it: no whole hash, and no path."""
    return hide_places(_HASH.sub(r"@\1…", name))
