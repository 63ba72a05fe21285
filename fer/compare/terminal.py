"""The comparison in a terminal, as wide as that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from fer.compare.groups import Group, Spread
from fer.compare.hyperparameters import SEED, Parameter, text_of, value_of
from fer.compare.ranking import NAMES, Choice, Figure, Measure
from fer.compare.runs import FINISHED, ComparedRun
from fer.reports.formats import DASH, decimals, duration, significant

WIDEST = 10_000  # characters
HEADINGS = {"accuracy": "accuracy %", "balanced_accuracy": "balanced %", "macro_f1": "macro-F1 %"}
SHORT_HEADINGS = {"accuracy": "acc. %", "balanced_accuracy": "bal. %", "macro_f1": "F1 %"}


@dataclass(frozen=True)
class Layout:
    """How a table saves width: intervals below their figures, status and settings below the run's name."""

    intervals_below: bool = False
    status_below: bool = False
    settings_below: bool = False


LAYOUTS = (Layout(), Layout(True), Layout(True, True), Layout(True, True, True))


def print_runs(runs: Sequence[ComparedRun], columns: Sequence[Parameter], choice: Choice | None) -> None:
    """A row a run, laid out so that it fits the terminal; in a very narrow one, names are folded."""
    console = Console(highlight=False)
    tables = (runs_table(runs, columns, choice, layout) for layout in LAYOUTS)
    for table in tables:
        # Asked within the terminal's width, a table answers with that.
        if Measurement.get(console, console.options.update(max_width=WIDEST), table).maximum <= console.width:
            break
    console.print(table)
    for run in runs:
        if run.status != FINISHED:
            console.print(Text(f"{run.label} {run.status}: {run.reason}"), soft_wrap=True)


def runs_table(
    runs: Sequence[ComparedRun], columns: Sequence[Parameter], choice: Choice | None, layout: Layout
) -> Table:
    table = empty_table()
    table.add_column("run", overflow="fold")
    for column in () if layout.settings_below else columns:
        table.add_column(Text(column.short), justify="right", overflow="fold")
    headings = SHORT_HEADINGS if layout.status_below else HEADINGS
    for figure in choice.columns if choice else ():
        add_figure(table, figure, headings)
    if layout.status_below:
        table.add_column("time\nimg/s", justify="right", no_wrap=True)
    else:
        table.add_column("time", justify="right", no_wrap=True)
        table.add_column("img/s", justify="right", no_wrap=True)
        table.add_column("status", no_wrap=True)
    for run in runs:
        table.add_row(*map(Text, cells_of(run, columns, choice, layout)))
    return table


def empty_table() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))


def add_figure(table: Table, figure: Figure, headings: Mapping[str, str]) -> None:
    table.add_column(f"{figure.part}\n{headings.get(figure.key, NAMES[figure.key])}", justify="right", no_wrap=True)


def cells_of(run: ComparedRun, columns: Sequence[Parameter], choice: Choice | None, layout: Layout) -> list[str]:
    """The texts of a run's row."""
    settings = [text_of(value_of(run, column.key)) for column in columns]
    figures = [with_bounds(figure, figure.of(run), layout) for figure in choice.columns] if choice else []
    time, rate = duration(run.seconds), significant(run.images_per_second)
    last = [time, rate, run.status]
    label = run.label
    if layout.status_below:
        label += "" if run.status == FINISHED else f"\n{run.status}"
        last = [f"{time}\n{rate}"]
    if layout.settings_below:
        label += "".join(f"\n{column.short}={text}" for column, text in zip(columns, settings, strict=True))
        settings = []
    return [label, *settings, *figures, *last]


def plain(figure: Figure, value: float | None) -> str:
    """A share in percent without the sign, which stands in the heading; another figure with three decimals."""
    if not figure.is_share:
        return decimals(value)
    return DASH if value is None else f"{100 * value:.1f}"


def with_bounds(figure: Figure, found: Measure, layout: Layout) -> str:
    text = plain(figure, found.value)
    if found.low is None or found.high is None:
        return text
    bounds = f"{plain(figure, found.low)}{DASH}{plain(figure, found.high)}"
    return f"{text}\n{bounds}" if layout.intervals_below else f"{text} [{bounds}]"


def print_groups(groups: Sequence[Group], columns: Sequence[Parameter], choice: Choice) -> None:
    """A row a group of seeds: mean ± standard deviation."""
    console = Console(highlight=False)
    table = empty_table()
    table.add_column("settings but the seed", overflow="fold")
    table.add_column("seeds", justify="right", no_wrap=True)
    for figure in choice.columns:
        add_figure(table, figure, SHORT_HEADINGS)
    for group in groups:
        shown = [column for column in columns if column.key != SEED]
        settings = [f"{column.short}={text_of(value_of(group.runs[0], column.key))}" for column in shown]
        cells = [spread_text(figure, found) for figure, found in group.figures.items()]
        table.add_row(*map(Text, ("\n".join(settings) or DASH, str(len(group.runs)), *cells)))
    console.print("Mean and standard deviation over seeds")
    console.print(table)


def spread_text(figure: Figure, found: Spread) -> str:
    return DASH if found.mean is None else f"{plain(figure, found.mean)}\n± {plain(figure, found.deviation)}"
