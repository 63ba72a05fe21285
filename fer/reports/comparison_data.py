"""Data for the scripts of the comparison page: curves, axes and pairs as plain lists."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fer.metrics.bootstrap import PAIRED_METRICS

# More points than a screen can tell apart only make the page heavy.
_MAX_POINTS = 200
# From this ratio on between the largest and the smallest value, an axis is logarithmic.
_MIN_LOG_RATIO = 10


def build_curves(history: pd.DataFrame) -> dict[str, list[float | None]]:
    """Return `epoch` and each column with values of a run's history, which may be empty; None where one is missing."""
    if history.empty:
        return {}
    rows = np.unique(np.linspace(0, len(history) - 1, _MAX_POINTS).round().astype(int))
    table = history.iloc[rows].drop(columns="seconds", errors="ignore")
    columns = {
        str(name): _round_values(table[name].to_numpy(dtype=float)) for name in table if table[name].notna().any()
    }
    return {"epoch": _round_values(table.index.to_numpy(dtype=float)), **columns}


def build_axis(name: str, texts: Sequence[str], numbers: Sequence[float | None]) -> dict[str, Any]:
    """Build an axis of the parallel coordinates from a value a run: numeric where all are numbers, else categories."""
    known = [number for number in numbers if number is not None]
    if known and len(known) == len(numbers):
        low, high = min(known), max(known)
        logarithmic = low > 0 and high / low >= _MIN_LOG_RATIO
        return {"name": name, "values": known, "logarithmic": logarithmic, "share": False}
    order = dict(zip(texts, numbers, strict=True))
    categories = sorted(order, key=lambda text: (math.inf if (number := order[text]) is None else number, text))
    return {"name": name, "values": [categories.index(text) for text in texts], "categories": categories}


def build_score_axis(name: str, is_fraction: bool, scores: Sequence[float | None]) -> dict[str, Any]:
    """Build the last axis: the metric that ranks."""
    return {"name": name, "values": list(scores), "logarithmic": False, "share": is_fraction}


def build_pair_rows(pairs: pd.DataFrame) -> list[list[float | bool | str | None]]:
    """Return a list a pair.

    Each holds first, second, images, same_data and differences; then both values, difference, bounds and p of each of
    PAIRED_METRICS.
    """
    columns = [
        f"{name}_{value}" for name in PAIRED_METRICS for value in ("first", "second", "difference", "low", "high", "p")
    ]
    rows: list[list[float | bool | str | None]] = []
    for row in pairs.reindex(columns=["first", "second", "images", "same_data", "differences", *columns]).to_dict(
        "records"
    ):
        same = row["same_data"]
        differences = "" if pd.isna(row["differences"]) else str(row["differences"])
        head: list[float | bool | str | None]
        head = [int(row["first"]), int(row["second"]), int(row["images"]), None if pd.isna(same) else bool(same)]
        head.append(differences)
        rows.append([*head, *(_round_values([row[name] for name in columns]) if row["images"] else [])])
    return rows


def _round_values(values: Sequence[float] | np.ndarray) -> list[float | None]:
    """Round to six significant digits; None for missing numbers."""
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values]
