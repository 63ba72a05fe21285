"""Figures over respondents: curves per stimulus and emotion, and the same as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fer.reports.colors import CSS_OF_STAND_IN, FIRST_CURVE, INK, MUTED, RULE, SECOND_CURVE, emotion_colour
from fer.reports.formats import percent
from fer.reports.group_page import GroupPage
from fer.reports.svg import create_axes, house_style, render_svg
from fer.reports.timelines import select_points

Measure = Literal["mean", "share"]
_COLOURS = (FIRST_CURVE, SECOND_CURVE, INK, MUTED)
# Every four groups the colours start anew with other dashes.
_DASHES = ((), (5, 2), (1.5, 1.5))
# With more seconds than this, markers run together into a thick line.
_MAX_MARKED_SECONDS = 30
# Longer curves keep about so many seconds: a figure is 300 pixels wide.
_MAX_SECONDS = 240


@dataclass(frozen=True)
class _LegendEntry:
    """How the curve of a group looks. ``colour`` is a CSS value, ``dashes`` SVG's stroke-dasharray."""

    group: str
    respondents: int
    colour: str
    dashes: str


@dataclass(frozen=True)
class _StimulusFigures:
    """One stimulus: a legend, (emotion, figure) pairs of means, of means on axes of their own and of shares, a table.

    ``withheld`` names the groups without a band anywhere, because too few respondents were seen.
    """

    name: str
    legend: list[_LegendEntry]
    withheld: list[str]
    means: list[tuple[str, Markup]]
    own_means: list[tuple[str, Markup]]
    shares: list[tuple[str, Markup]]
    table: list[dict[str, Any]]


@dataclass(frozen=True)
class Stroke:
    """How a curve is drawn: a stand-in colour, and the lengths of dashes and gaps."""

    colour: str
    dashes: tuple[float, ...]


def build_stimuli(page: GroupPage, classes: Sequence[str], limit: int | None = None) -> list[_StimulusFigures]:
    """Draw the figures of the first ``limit`` stimuli of the page, in the order of the curves."""
    names = list(dict.fromkeys(page.curves["stimulus"]))[:limit]
    quantity = "change of mean" if page.baseline_seconds else "mean probability"
    return [
        _build_stimulus(number, str(name), page.curves[page.curves["stimulus"] == name], classes, quantity)
        for number, name in enumerate(names)
    ]


def _build_stimulus(
    number: int, name: str, curves: pd.DataFrame, classes: Sequence[str], quantity: str
) -> _StimulusFigures:
    """``quantity`` is the title of the axis of means."""
    groups = list(dict.fromkeys(curves["group"]))
    strokes = {group: get_stroke(index) for index, group in enumerate(groups)}
    respondents = curves.groupby("group")["respondents"].max()
    drawn = pd.concat([_thin(rows) for _, rows in curves.groupby(["group", "emotion"], sort=False)])
    limits = _compute_y_limits(curves)
    means, own_means, shares = [], [], []
    for emotion in classes:
        rows = drawn[drawn["emotion"] == emotion]
        # A single group needs no colour to tell it from others, so the emotion's own can be used.
        own_strokes = strokes if len(groups) > 1 else {group: Stroke(emotion_colour(emotion), ()) for group in groups}
        own_limits = _compute_y_limits(rows)
        prefix = f"stimulus-{number}"
        means.append(
            (emotion, _draw_group_curves(rows, "mean", limits, own_strokes, quantity, f"{prefix}-mean-{emotion}"))
        )
        own_means.append(
            (emotion, _draw_group_curves(rows, "mean", own_limits, own_strokes, quantity, f"{prefix}-own-{emotion}"))
        )
        shares.append(
            (
                emotion,
                _draw_group_curves(
                    rows, "share", (0.0, 1.0), own_strokes, "share showing it", f"{prefix}-share-{emotion}"
                ),
            )
        )
    return _StimulusFigures(
        name=name,
        legend=[
            _LegendEntry(
                group=str(group),
                respondents=int(respondents[group]),
                colour=CSS_OF_STAND_IN[stroke.colour],
                dashes=" ".join(f"{2 * length:g}" for length in stroke.dashes),
            )
            for group, stroke in strokes.items()
        ],
        withheld=[str(group) for group in groups if curves.loc[curves["group"] == group, "low"].isna().all()],
        means=means,
        own_means=own_means,
        shares=shares,
        table=_build_table(curves),
    )


def _thin(rows: pd.DataFrame) -> pd.DataFrame:
    """The seconds of a curve at which its mean, band or share is highest or lowest, where there are many."""
    values = rows[["mean", "low", "high", "share"]].to_numpy(dtype=float)
    # A band may be missing throughout; only where the curve itself is missing is there a gap.
    values = np.where(np.isnan(values[:, [0]]), np.nan, np.nan_to_num(values))
    return rows.iloc[select_points(values, _MAX_SECONDS)]


def get_stroke(index: int) -> Stroke:
    """Return how the curve of a stimulus's group looks, by its number."""
    dashes = _DASHES[index // len(_COLOURS) % len(_DASHES)]
    return Stroke(_COLOURS[index % len(_COLOURS)], dashes)


def _compute_y_limits(curves: pd.DataFrame) -> tuple[float, float]:
    """Compute one range for all emotions of a stimulus, to make their curves comparable; zero is always in it."""
    values = curves[["mean", "low", "high"]].to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    low, high = min(0.0, values.min(initial=0.0)), max(0.0, values.max(initial=0.0))
    margin = 0.04 * max(high - low, 0.005)
    return (low - margin if low < 0 else 0.0), high + margin


@house_style
def _draw_group_curves(
    curves: pd.DataFrame,
    measure: Measure,
    bounds: tuple[float, float],
    strokes: dict[Any, Stroke],
    title: str,
    name: str,
) -> Markup:
    """Draw one emotion over the seconds of a stimulus, a curve a group; the mean with its band, or the share.

    ``curves``: rows of one stimulus and emotion. ``bounds``: range of the vertical axis, ``title`` its title. ``name``
    must be unique on the page.
    """
    figure, axes = create_axes(300, 168, left=62, right=10, top=8, bottom=36)
    descriptions = []
    for group, rows in curves.groupby("group", sort=False):
        _draw_curve(axes, rows, measure, strokes[group])
        descriptions.append(f"{group} {_describe(rows, measure)}")
    if bounds[0] < 0:
        axes.axhline(0, color=RULE, linewidth=1.5, zorder=1)
    axes.set_ylim(*bounds)
    seconds = curves["second"].to_numpy(dtype=float)
    axes.set_xlim(seconds.min(initial=0), max(seconds.max(initial=0), seconds.min(initial=0) + 1))
    axes.set_xlabel("second")
    axes.set_ylabel(title)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda fraction, _: f"{100 * fraction:.3g} %".replace("-", "−")))
    axes.grid(visible=True, axis="y")
    axes.spines["left"].set_visible(False)
    emotion = str(curves["emotion"].iat[0]) if len(curves) else ""
    quantity = "Mean probability of" if measure == "mean" else "Share of respondents showing"
    return render_svg(figure, name, f"{quantity} {emotion} over seconds: {'; '.join(descriptions)}.")


def _draw_curve(axes: Axes, rows: pd.DataFrame, measure: Measure, stroke: Stroke) -> None:
    seconds = rows["second"].to_numpy(dtype=float)
    if measure == "mean":
        low, high = (rows[end].to_numpy(dtype=float) for end in ("low", "high"))
        axes.fill_between(seconds, low, high, color=stroke.colour, alpha=0.2, linewidth=0)
    axes.plot(
        seconds,
        rows[measure].to_numpy(dtype=float),
        color=stroke.colour,
        linestyle=(0, stroke.dashes) if stroke.dashes else "solid",
        marker="o" if len(seconds) <= _MAX_MARKED_SECONDS else None,
        markersize=3,
        markeredgewidth=0,
        clip_on=False,
    )


def _describe(rows: pd.DataFrame, measure: Measure) -> str:
    known = rows.dropna(subset=[measure])
    if known.empty:
        return "without figures"
    highest = known.iloc[int(known[measure].to_numpy(dtype=float).argmax())]
    return f"up to {percent(highest[measure])} at second {highest['second']:g}"


def _build_table(curves: pd.DataFrame) -> list[dict[str, Any]]:
    """Build a row for each emotion and group: mean over the seconds, extremes of single respondents, largest share."""
    rows: list[dict[str, Any]] = []
    for (emotion, group), group_curves in curves.groupby(["emotion", "group"], sort=False):
        known = group_curves.dropna(subset=["share"])
        peak = None if known.empty else known.iloc[int(known["share"].to_numpy(dtype=float).argmax())]
        rows.append(
            {
                "emotion": emotion,
                "group": group,
                "mean": group_curves["mean"].mean(),
                "max": group_curves["max"].max(),
                "min": group_curves["min"].min(),
                "share": None if peak is None else float(peak["share"]),
                "share_second": None if peak is None else float(peak["second"]),
            }
        )
    # The order of the first group's emotions, so that groups of one emotion are neighbours.
    order = {emotion: index for index, emotion in enumerate(dict.fromkeys(row["emotion"] for row in rows))}
    return sorted(rows, key=lambda row: order[row["emotion"]])
