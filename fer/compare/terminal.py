"""The comparison in a terminal, fitted to its width."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from fer.compare.groups import SeedGroup, SeedStatistics
from fer.compare.hyperparameters import SEED, Hyperparameter, format_value, get_value
from fer.compare.ranking import METRIC_NAMES, Metric, MetricValue, Ranking
from fer.compare.runs import FINISHED, ComparedRun
from fer.core.visible import make_visible
from fer.reports.formats import DASH, decimals, duration, significant

MAX_WIDTH = 10_000  # characters
HEADINGS = {"accuracy": "accuracy %", "balanced_accuracy": "balanced %", "macro_f1": "macro-F1 %"}
SHORT_HEADINGS = {"accuracy": "acc. %", "balanced_accuracy": "bal. %", "macro_f1": "F1 %"}


@dataclass(frozen=True)
class _Layout:
    """How a table saves width: intervals below their values, status and settings below the run's name."""

    intervals_below: bool = False
    status_below: bool = False
    settings_below: bool = False


LAYOUTS = (_Layout(), _Layout(True), _Layout(True, True), _Layout(True, True, True))


def print_runs(runs: Sequence[ComparedRun], columns: Sequence[Hyperparameter], ranking: Ranking | None) -> None:
    """Print a row a run, laid out so that it fits the terminal; in a very narrow one, names are folded."""
    console = Console(highlight=False)
    tables = (_build_runs_table(runs, columns, ranking, layout) for layout in LAYOUTS)
    for table in tables:
        # Measured within the terminal's width, a table is never wider than that.
        if Measurement.get(console, console.options.update(max_width=MAX_WIDTH), table).maximum <= console.width:
            break
    console.print(table)
    for run in runs:
        if run.status != FINISHED:
            console.print(Text(make_visible(f"{run.label} {run.status}: {run.reason}")), soft_wrap=True)


def _build_runs_table(
    runs: Sequence[ComparedRun], columns: Sequence[Hyperparameter], ranking: Ranking | None, layout: _Layout
) -> Table:
    table = _create_table()
    table.add_column("run", overflow="fold")
    for column in () if layout.settings_below else columns:
        table.add_column(_build_text(column.short), justify="right", overflow="fold")
    headings = SHORT_HEADINGS if layout.status_below else HEADINGS
    for metric in ranking.metrics if ranking else ():
        _add_metric_column(table, metric, headings)
    if layout.status_below:
        table.add_column("time\nimg/s", justify="right", no_wrap=True)
    else:
        table.add_column("time", justify="right", no_wrap=True)
        table.add_column("img/s", justify="right", no_wrap=True)
        table.add_column("status", no_wrap=True)
    for run in runs:
        table.add_row(*map(_build_text, _build_cells(run, columns, ranking, layout)))
    return table


def _build_text(text: str) -> Text:
    return Text(make_visible(text))


def _create_table() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))


def _add_metric_column(table: Table, metric: Metric, headings: Mapping[str, str]) -> None:
    table.add_column(
        f"{metric.split}\n{headings.get(metric.key, METRIC_NAMES[metric.key])}", justify="right", no_wrap=True
    )


def _build_cells(
    run: ComparedRun, columns: Sequence[Hyperparameter], ranking: Ranking | None, layout: _Layout
) -> list[str]:
    """Build the texts of a run's row."""
    settings = [format_value(get_value(run, column.key)) for column in columns]
    metrics = [_format_interval(metric, metric.get(run), layout) for metric in ranking.metrics] if ranking else []
    time, rate = duration(run.seconds), significant(run.images_per_second)
    last = [time, rate, run.status]
    label = run.label
    if layout.status_below:
        label += "" if run.status == FINISHED else f"\n{run.status}"
        last = [f"{time}\n{rate}"]
    if layout.settings_below:
        label += "".join(f"\n{column.short}={text}" for column, text in zip(columns, settings, strict=True))
        settings = []
    return [label, *settings, *metrics, *last]


def _format_number(metric: Metric, value: float | None) -> str:
    """Format a fraction in percent without the sign, which the heading has; another metric with three decimals."""
    if not metric.is_fraction:
        return decimals(value)
    return DASH if value is None else f"{100 * value:.1f}"


def _format_interval(metric: Metric, value: MetricValue, layout: _Layout) -> str:
    text = _format_number(metric, value.value)
    if value.low is None or value.high is None:
        return text
    bounds = f"{_format_number(metric, value.low)}{DASH}{_format_number(metric, value.high)}"
    return f"{text}\n{bounds}" if layout.intervals_below else f"{text} [{bounds}]"


def print_groups(groups: Sequence[SeedGroup], columns: Sequence[Hyperparameter], ranking: Ranking) -> None:
    """Print a row a group of seeds: mean ± standard deviation."""
    console = Console(highlight=False)
    table = _create_table()
    table.add_column("settings but the seed", overflow="fold")
    table.add_column("seeds", justify="right", no_wrap=True)
    for metric in ranking.metrics:
        _add_metric_column(table, metric, SHORT_HEADINGS)
    for group in groups:
        shown = [column for column in columns if column.key != SEED]
        settings = [f"{column.short}={format_value(get_value(group.runs[0], column.key))}" for column in shown]
        cells = [_format_seed_statistics(metric, stats) for metric, stats in group.metrics.items()]
        table.add_row(*map(_build_text, ("\n".join(settings) or DASH, str(len(group.runs)), *cells)))
    console.print("Mean and standard deviation over seeds")
    console.print(table)


def _format_seed_statistics(metric: Metric, stats: SeedStatistics) -> str:
    return (
        DASH if stats.mean is None else f"{_format_number(metric, stats.mean)}\n± {_format_number(metric, stats.std)}"
    )
