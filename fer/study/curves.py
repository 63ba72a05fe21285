"""Curves over respondents, each second with a band that holds for small panels."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from fer.config.study import Study
from fer.study.panel import LEADS, align_steps, list_step_measures, summarize_groups

CURVE_COLUMNS = (
    *("stimulus", "condition", "group_column", "group", "measure", "second"),
    *("respondents", "mean", "low", "high", "share"),
)


def compute_curves(
    steps: pd.DataFrame, study: Study, bounds: Mapping[str, tuple[float, float]], seed: int = 0
) -> pd.DataFrame:
    """Build ``StudyData.curves``.

    Args:
        steps: ``StudyData.steps``.
        study: The study, whose groups of respondents are told apart.
        bounds: The smallest and the largest value that a measure can have; bands end there.
        seed: Of the bands.

    Returns:
        CURVE_COLUMNS, a row for each stimulus, condition, group, measure and step. Each respondent counts once a step.
        ``low`` and ``high`` are the 95 % band of the mean (``fer.metrics.small_samples``; empty for fewer than five
        respondents), ``share`` the part of the respondents in whom the emotion leads a frame of the step. Steps
        without anybody are there too, empty.
    """
    measures = list_step_measures(steps)
    leads = {name: LEADS + name for name in measures if LEADS + name in steps}
    parts = []
    for (stimulus, condition), rows in steps.groupby(["stimulus", "condition"], sort=False):
        panel = align_steps(rows, [*measures, *leads.values()], study.step_s)
        people, length, _ = panel.values.shape
        by_measure = panel.values.transpose(0, 2, 1)
        values, leading = by_measure[:, : len(measures)], by_measure[:, len(measures) :]
        limits = np.array([bounds.get(name, (-np.inf, np.inf)) for name in measures]).reshape(-1, 2).repeat(length, 0)
        for group in summarize_groups(values.reshape(people, -1), panel.respondents, study, seed):
            share = np.full((len(measures), length), np.nan)
            own = leading[group.members]
            known = np.isfinite(own).sum(axis=0)
            shares = np.divide(np.nansum(own, axis=0), known, out=np.full(known.shape, np.nan), where=known > 0)
            share[[measures.index(name) for name in leads]] = shares
            columns = {
                "stimulus": stimulus,
                "condition": condition,
                "group_column": group.group_column,
                "group": group.group,
                "measure": np.repeat(np.array(measures, object), length),
                "second": np.tile(panel.seconds, len(measures)),
                "respondents": group.counts,
                "mean": group.mean,
                # Rounding may leave a mean beyond what is possible; its band does not end on its wrong side.
                "low": np.minimum(np.maximum(group.low, limits[:, 0]), group.mean),
                "high": np.maximum(np.minimum(group.high, limits[:, 1]), group.mean),
                "share": share.reshape(-1),
            }
            parts.append(pd.DataFrame(columns))
    if not parts:
        return pd.DataFrame(columns=list(CURVE_COLUMNS))
    return pd.concat(parts, ignore_index=True)[list(CURVE_COLUMNS)]
