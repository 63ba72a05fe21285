"""The page on which runs are compared: what ``comparison.html`` shows and where each part comes from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from fer.reports.comparison_data import build_axis, build_curves, build_pair_rows, build_score_axis
from fer.reports.page import build_script_policy, encode_json_for_script, read_script, render, write_page

__all__ = ["Column", "ComparisonReport", "MetricColumn", "GroupRow", "RunRow", "Setting", "write_comparison"]

Bounded = Mapping[str, float | None]  # value, low, high
_SCRIPTS = ("comparison_charts.js", "comparison.js")
# With more rows than this a table scrolls inside itself, under its heading.
_MAX_ROWS = 16


@dataclass(frozen=True)
class Column:
    """A key that differs between the runs, and what of it stands in headings."""

    key: str
    short: str


@dataclass(frozen=True)
class MetricColumn:
    """A figure in words ("test accuracy"); a share (0-1) is shown in percent."""

    name: str
    is_fraction: bool


@dataclass(frozen=True)
class Setting:
    """A value of a run. ``number``: what it sorts by, None where it is no number."""

    text: str
    number: float | None = None


@dataclass(frozen=True)
class RunRow:
    """One run. ``settings`` and ``figures``: one a column of the report; ``score``: the figure that ranks.
    ``recalls``: of each class, 0-1. ``history``: numbers, indexed by epoch.
    """

    label: str
    directory: str
    status: str
    reason: str | None
    settings: tuple[Setting, ...]
    metrics: tuple[Bounded, ...]
    score: float | None
    recalls: Mapping[str, float | None]
    seconds: float | None
    images_per_second: float | None
    history: pd.DataFrame


@dataclass(frozen=True)
class GroupRow:
    """Runs that differ in the seed alone. ``settings``: None for the seed. ``figures``: mean and deviation."""

    runs: tuple[str, ...]
    settings: tuple[Setting | None, ...]
    metrics: tuple[tuple[float | None, float | None], ...]


@dataclass(frozen=True)
class ComparisonReport:
    """Everything the page is made of.

    ``runs``: best first, by the figure ``ranked``. ``part``: whose figures are shown ("test", "validation"). ``best``:
    place of the best run; ``best_figures``: what its headline says; ``commands`` repeat it, each after what it is for.
    ``importance``: share (0-1) of each hyper-parameter, or the reason why it is not known; it rests on
    ``importance_runs``. ``pairs``: a row a pair, see ``pair_rows``; ``untested``: why runs are not in it, by place.
    ``classes``: in their order. ``notes``: remarks for the top of the page.
    """

    root: str
    split: str
    metrics: list[MetricColumn]
    ranked: MetricColumn
    ranked_on_split: bool
    columns: list[Column]
    runs: list[RunRow]
    best: int
    best_metrics: list[tuple[str, Bounded]]
    commands: list[tuple[str, str]]
    groups: list[GroupRow]
    importance: list[tuple[str, float]]
    importance_reason: str | None
    importance_runs: int
    pairs: pd.DataFrame
    untested: Mapping[int, str]
    classes: list[str]
    notes: list[str]


def write_comparison(report: ComparisonReport, path: Path) -> None:
    """Write the page to ``path``; it is written beside and renamed, so no reader meets half a page.

    Equal reports give equal bytes. Raises OSError if the page cannot be written.
    """
    scripts = [read_script(name) for name in _SCRIPTS]
    curves = [build_curves(run.history) for run in report.runs]
    scored = [place for place, run in enumerate(report.runs) if run.score is not None]
    data = {
        "part": report.split,
        "runs": [run.label for run in report.runs],
        "scored": scored,
        "curves": curves,
        "axes": [
            *(
                build_axis(column.short, [cell.text for cell in cells], [cell.number for cell in cells])
                for number, column in enumerate(report.columns)
                if (cells := [report.runs[place].settings[number] for place in scored])
            ),
            build_score_axis(
                report.ranked.name, report.ranked.is_fraction, [report.runs[place].score for place in scored]
            ),
        ],
        "pairs": build_pair_rows(report.pairs),
        "untested": {str(place): reason for place, reason in report.untested.items()},
    }
    content: dict[str, Any] = {
        "report": report,
        "best": report.runs[report.best],
        "numeric": [
            all(run.settings[number].number is not None for run in report.runs) for number in range(len(report.columns))
        ],
        "scrolls": len(report.runs) > _MAX_ROWS,
        "axes": bool(report.columns and scored),
        "finished": sum(run.status == "finished" for run in report.runs),
        "has_curves": any(len(curve) > 1 for curve in curves),
        "tested": len(report.pairs),
        "data": encode_json_for_script(data),
        "scripts": [Markup(script) for script in scripts],
        "policy": build_script_policy(scripts, "img-src data:"),
    }
    write_page(render("comparison.html.j2", content), path)
