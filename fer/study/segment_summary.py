"""Scenes and events over respondents."""

import pandas as pd

from fer.config.study import Study
from fer.study.panel import summarize_groups

STATISTICS = ("mean", "peak", "time_to_peak_s", "area", "change")
_KEYS = ["kind", "segment", "measure", "statistic"]
SUMMARY_COLUMNS = (
    *("stimulus", "condition", "kind", "segment", "group_column", "group", "measure", "statistic"),
    *("respondents", "mean", "low", "high"),
)


def summarize_segments(segment_values: pd.DataFrame, study: Study, seed: int = 0) -> pd.DataFrame:
    """Build ``StudyData.segment_summary``.

    Args:
        segment_values: ``StudyData.segment_values``.
        study: The study, whose groups of respondents are told apart.
        seed: Of the bands.

    Returns:
        SUMMARY_COLUMNS, a row for each stimulus, condition, segment, group, measure and statistic that anybody has,
        with the 95 % band of the mean as in ``compute_curves``.
    """
    parts = []
    for (stimulus, condition), rows in segment_values.groupby(["stimulus", "condition"], sort=False):
        long = rows.melt(["respondent", *_KEYS[:-1]], list(STATISTICS), "statistic", "value")
        long["value"] = long["value"].astype("float64")
        wide = long.pivot_table(index="respondent", columns=_KEYS, values="value", sort=False, dropna=True)
        wide = wide.sort_index().reindex(columns=pd.MultiIndex.from_frame(long[_KEYS].drop_duplicates()))
        for group in summarize_groups(wide.to_numpy(), list(wide.index), study, seed):
            table = wide.columns.to_frame(index=False).assign(
                stimulus=str(stimulus),
                condition=str(condition),
                group_column=group.group_column,
                group=group.group,
                respondents=group.counts,
                mean=group.mean,
                low=group.low,
                high=group.high,
            )
            parts.append(table[table["respondents"] > 0])
    if not parts:
        return pd.DataFrame(columns=list(SUMMARY_COLUMNS))
    return pd.concat(parts, ignore_index=True)[list(SUMMARY_COLUMNS)]
