"""What the scripts of the comparison page draw: curves, axes and pairs as plain lists."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

# More points than a screen can show apart only make the page heavy.
_MAX_POINTS = 200
# From this ratio on between the largest and the smallest value, an axis is logarithmic.
_MIN_LOG_RATIO = 10


def build_curves(history: pd.DataFrame) -> dict[str, list[float | None]]:
    """``epoch`` and each numeric column of a run's history (which may be empty) that has a value; None is none."""
    if history.empty:
        return {}
    rows = np.unique(np.linspace(0, len(history) - 1, _MAX_POINTS).round().astype(int))
    table = history.iloc[rows].drop(columns="seconds", errors="ignore")
    columns = {
        str(name): _round_values(table[name].to_numpy(dtype=float)) for name in table if table[name].notna().any()
    }
    return {"epoch": _round_values(table.index.to_numpy(dtype=float)), **columns}


def build_axis(name: str, texts: Sequence[str], numbers: Sequence[float | None]) -> dict[str, Any]:
    """An axis of the parallel coordinates, of a value a run: numbers where all are, else categories in order."""
    known = [number for number in numbers if number is not None]
    if known and len(known) == len(numbers):
        low, high = min(known), max(known)
        logarithmic = low > 0 and high / low >= _MIN_LOG_RATIO
        return {"name": name, "values": known, "logarithmic": logarithmic, "share": False}
    order = dict(zip(texts, numbers, strict=True))
    categories = sorted(order, key=lambda text: (math.inf if (number := order[text]) is None else number, text))
    return {"name": name, "values": [categories.index(text) for text in texts], "categories": categories}


def build_score_axis(name: str, is_fraction: bool, scores: Sequence[float | None]) -> dict[str, Any]:
    """The last axis: the figure that ranks."""
    return {"name": name, "values": list(scores), "logarithmic": False, "share": is_fraction}


def build_pair_rows(pairs: pd.DataFrame) -> list[list[float | bool | None]]:
    """A list a pair: first, second, images, same_data; then both values, difference, bounds and p of two figures."""
    columns = [
        f"{name}_{part}"
        for name in ("accuracy", "macro_f1")
        for part in ("first", "second", "difference", "low", "high", "p")
    ]
    rows = []
    for row in pairs.reindex(columns=["first", "second", "images", "same_data", *columns]).to_dict("records"):
        same = row["same_data"]
        head = [int(row["first"]), int(row["second"]), int(row["images"]), None if pd.isna(same) else bool(same)]
        rows.append([*head, *(_round_values([row[name] for name in columns]) if row["images"] else [])])
    return rows


def _round_values(values: Sequence[float] | np.ndarray) -> list[float | None]:
    """Numbers with six significant digits, None for those that are missing."""
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values]
