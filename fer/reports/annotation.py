"""The page of an annotation: how labels are distributed, how far annotators agree, how batches drift."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from fer.core.places import hide_places
from fer.reports.colors import FIRST_CURVE, SECOND_CURVE, emotion_colour
from fer.reports.page import render, write_page
from fer.reports.svg import Chart, choose_ticks, format_plain, spread_limits

_WIDTH, _HEIGHT = 420, 264
_DASHES = ((), (10, 4), (2, 3), (10, 4, 2, 4))
_MAX_MARKED_BATCHES = 30
_LEGEND_BELOW = 48
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
            draw_label_shares(report.log[report.log["annotator"] == name], report.emotions),
        )
        for name in report.annotators
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


def draw_label_shares(log: pd.DataFrame, emotions: Sequence[str]) -> Markup:
    """Draw the share of each label by batch.

    Args:
        log: Rows of label_monitor_log.csv of one annotator.
        emotions: The classes.
    """
    shares = {name: log[f"share_{name}"].to_numpy(float) for name in emotions}
    highest = 1.05 * max((float(np.nanmax(values, initial=0)) for values in shares.values()), default=0.0)
    chart = _create_chart(log["batch"], highest or 1.0)
    ticks = choose_ticks(0, highest or 1.0, 5)
    chart.add_y_axis(ticks, [f"{100 * share:.3g} %" for share in ticks], "share of labels")
    for name, values in shares.items():
        chart.add_curve(log["batch"].to_numpy(float), values, emotion_colour(name), label=name)
    chart.add_legend(columns=4, below=_LEGEND_BELOW, centred=True)
    ends = {name: 100 * log[f"share_{name}"].iloc[[0, -1]].to_numpy(float) for name in emotions}
    shown = "; ".join(f"{name} {first:.0f} % at first, {last:.0f} % at last" for name, (first, last) in ends.items())
    return chart.render(f"Share of each label by batch: {shown}.")


def draw_drift(log: pd.DataFrame, annotators: Sequence[str], limits: tuple[float, float]) -> Markup:
    """Draw the population stability index by batch, a line an annotator, with the limits across.

    Args:
        log: Rows of label_monitor_log.csv.
        annotators: Names of the annotators.
        limits: Indices above which a batch has moved moderately, and shifted.
    """
    highest = float(log["psi"].max()) if log["psi"].notna().any() else 0.0
    top = max(1.15 * highest, 1.2 * limits[-1])
    chart = _create_chart(log["batch"], top)
    ticks = choose_ticks(0, top, 5)
    chart.add_y_axis(ticks, format_plain(ticks), "PSI")
    for limit in limits:
        chart.add_rule(y=limit)
    for number, name in enumerate(annotators):
        own = log[(log["annotator"] == name) & log["psi"].notna()]
        chart.add_curve(
            own["batch"].to_numpy(float),
            own["psi"].to_numpy(float),
            FIRST_CURVE if number % 2 == 0 else SECOND_CURVE,
            label=shorten_annotator(name),
            dashes=_DASHES[number // 2 % len(_DASHES)],
            marker=4 if len(own) <= _MAX_MARKED_BATCHES else 0,
        )
    chart.add_legend(columns=2, below=_LEGEND_BELOW, centred=True)
    return chart.render(f"Population stability index by batch; the largest is {highest:.3f}.")


def _create_chart(batches: pd.Series, highest: float) -> Chart:
    """A chart over batches, whose values go from zero to ``highest``."""
    x = spread_limits(batches.to_numpy(float))
    chart = Chart(_WIDTH, _HEIGHT, left=56, right=12, top=10, bottom=76, x=x, y=(0, highest))
    ticks = choose_ticks(*x, 10, integer=True)
    chart.add_x_axis(ticks, [f"{batch:g}" for batch in ticks], "batch")
    return chart


def shorten_annotator(name: str) -> str:
    """An annotator's name, or several of them, as a page has room for it: no whole hash, and no path."""
    return hide_places(_HASH.sub(r"@\1…", name))
