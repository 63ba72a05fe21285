"""The strongest moments of a stimulus, as captions and annotations take them."""

from typing import Any

import pandas as pd

from fer.reports.study_data import StudyData

# The shortest that a player shows, and an annotation may last.
_MIN_LENGTH_S = 0.001


def list_moments(data: StudyData, stimulus: str) -> pd.DataFrame:
    """List the moments of a stimulus, the strongest first.

    Args:
        data: The study.
        stimulus: Its name.

    Returns:
        The rows of ``data.moments`` that have a beginning and an end, within the time of the stimulus, by rank and by
        measure.
    """
    moments = data.moments[data.moments["stimulus"] == stimulus].dropna(subset=["start_s", "end_s"])
    start_s = moments["start_s"].clip(lower=0)
    moments = moments.assign(start_s=start_s, end_s=moments["end_s"].clip(lower=start_s + _MIN_LENGTH_S))
    order = {measure: number for number, measure in enumerate(data.measures)}
    by_measure = moments["measure"].map(lambda measure: order.get(measure, len(order))).rename("by_measure")
    return moments.loc[moments.assign(by_measure=by_measure).sort_values(["rank", "by_measure"], kind="stable").index]


def name_moment(row: "pd.Series[Any]") -> str:
    """Return a moment in words: measure, value and rank, and the condition where there is one."""
    value = "" if pd.isna(row["value"]) else f" {row['value']:.3g}"
    where = f", {row['condition']}" if row["condition"] else ""
    return f"{row['measure']}{value} (no. {row['rank']:.0f}{where})"
