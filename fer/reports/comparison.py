"""The page that compares runs: what ``comparison.html`` shows and where each section comes from."""

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
_SCRIPTS = ("svg.js", "comparison_charts.js", "comparison.js")
# With more rows than this a table scrolls inside itself, under its heading.
_MAX_ROWS = 16


@dataclass(frozen=True)
class Column:
    """A configuration key that differs between the runs, and its short name for headings."""

    key: str
    short: str


@dataclass(frozen=True)
class MetricColumn:
    """A metric by its name for people ("test accuracy"); a fraction (0-1) is shown in percent."""

    name: str
    is_fraction: bool


@dataclass(frozen=True)
class Setting:
    """A value of a run's configuration. ``number`` is what it sorts by, None where it is no number."""

    text: str
    number: float | None = None


@dataclass(frozen=True)
class RunRow:
    """One run.

    Attributes:
        label: Its short name on the page.
        directory: Its run directory.
        status: How it ended; only "finished" is a complete run.
        reason: Why it has not simply finished.
        settings: A value for each of the report's ``columns``.
        metrics: A value with bounds for each of the report's ``metrics``.
        score: The metric that ranks.
        recalls: Recall of each class, 0-1.
        seconds: Duration of the training.
        images_per_second: Its throughput.
        history: Numeric columns of history.csv, indexed by epoch.
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
    """Runs that differ in the seed alone. ``settings`` has None for the seed, ``metrics`` mean and deviation."""

    runs: tuple[str, ...]
    settings: tuple[Setting | None, ...]
    metrics: tuple[tuple[float | None, float | None], ...]


@dataclass(frozen=True)
class ComparisonReport:
    """Everything the page is made of.

    Attributes:
        root: Directory that holds all runs.
        split: Whose metrics are shown: "test" or "validation".
        metrics: The columns of metrics.
        ranked: The metric by which ``runs`` are ranked.
        ranked_on_split: Whether that metric is of ``split``.
        columns: The configuration keys that are shown.
        runs: Best first.
        best: Index of the best run; None where runs are not of the same data and label rules.
        best_metrics: (name, value with bounds) in its headline.
        commands: (purpose, command) to repeat the best run.
        groups: Runs that differ in the seed alone.
        importance: (hyper-parameter, its fraction of the explained variance, 0-1), largest first.
        importance_reason: Why there is no importance.
        importance_runs: Number of runs it rests on.
        pairs: A row a pair of runs, see `build_pair_rows`.
        untested: Why a run is not in ``pairs``, by its index.
        classes: Names of the classes, in their order.
        notes: Remarks for the top of the page.
    """

    root: str
    split: str
    metrics: list[MetricColumn]
    ranked: MetricColumn
    ranked_on_split: bool
    columns: list[Column]
    runs: list[RunRow]
    best: int | None
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
    """Write the page; it appears only once it is complete. Equal reports give equal bytes.

    Args:
        report: What the page shows.
        path: The HTML file.

    Raises:
        OSError: The page cannot be written.
    """
    scripts = [read_script(name) for name in _SCRIPTS]
    curves = [build_curves(run.history) for run in report.runs]
    scored = [index for index, run in enumerate(report.runs) if run.score is not None]
    data = {
        "part": report.split,
        "runs": [run.label for run in report.runs],
        "scored": scored,
        "curves": curves,
        "axes": [
            *(
                build_axis(column.short, [cell.text for cell in cells], [cell.number for cell in cells])
                for number, column in enumerate(report.columns)
                if (cells := [report.runs[index].settings[number] for index in scored])
            ),
            build_score_axis(
                report.ranked.name, report.ranked.is_fraction, [report.runs[index].score for index in scored]
            ),
        ],
        "pairs": build_pair_rows(report.pairs),
        "untested": {str(index): reason for index, reason in report.untested.items()},
    }
    content: dict[str, Any] = {
        "report": report,
        "best": None if report.best is None else report.runs[report.best],
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
