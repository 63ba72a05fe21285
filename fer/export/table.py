"""The table of a model's exported files, in a terminal."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from fer.export.check import CheckedModel
from fer.export.measurement import BATCH_SIZES, METRICS, Metrics
from fer.reports.formats import DASH, percent, with_sign

HEADINGS = {"accuracy": "accuracy", "macro_f1": "macro-F1"}


def print_models(models: Sequence[CheckedModel], metrics: Sequence[Metrics]) -> None:
    """Print a row a model, the bundle's first; differences from it in percentage points with 95 % intervals."""
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False)
    table.add_column("", overflow="fold")
    headings = ["MB", *(f"ms, batch {size}" for size in BATCH_SIZES), "differs by"]
    for heading in (*headings, *(HEADINGS[metric] for metric in METRICS)):
        table.add_column(heading, justify="right")
    for model, figures in zip(models, metrics, strict=True):
        table.add_row(
            model.title,
            f"{model.bytes / 1e6:.1f}",
            *(f"{model.milliseconds[size]:.1f}" for size in BATCH_SIZES),
            DASH if model.difference is None else f"{model.difference:.1g}",
            *(_format_metric(figures[metric]) for metric in METRICS),
        )
    Console(highlight=False).print(table)


def _format_metric(metric: dict[str, float]) -> str:
    text = percent(metric["value"])
    if "difference" not in metric:
        return text
    difference, low, high = (with_sign(100 * metric[name], 2) for name in ("difference", "low", "high"))
    return f"{text}\n{difference}\n[{low}, {high}]"
