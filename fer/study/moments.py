"""The strongest moments of a stimulus: when respondents show more of a measure than in the rest of it."""

import numpy as np
import pandas as pd

from fer.config.study import Study
from fer.metrics.clusters import find_clusters_paired
from fer.study.panel import align_steps, list_step_measures, select_measures

MOMENT_COLUMNS = (
    *("stimulus", "condition", "measure", "rank", "start_s", "peak_s", "end_s", "value", "low", "high", "respondents"),
)
ALPHA = 0.05


def find_moments(steps: pd.DataFrame, curves: pd.DataFrame, study: Study, seed: int = 0) -> pd.DataFrame:
    """Build ``StudyData.moments``.

    Each respondent's curve is taken as the difference from that respondent's own mean over the stimulus, so that who
    smiles all the time counts like who never does. A moment is a row of neighbouring steps in which Student's 95 % band
    of the mean difference lies above 0, if it is larger than chance makes one: the p of the one-sided cluster test over
    time (``fer.metrics.clusters``), times the number of curves that are searched, is at most ALPHA.

    Args:
        steps: ``StudyData.steps``.
        curves: ``StudyData.curves``.
        study: Whose measures they are.
        seed: Of the test.

    Returns:
        MOMENT_COLUMNS, the moments of each stimulus, condition and measure of the study by ``rank``, the largest peak
        first. ``peak_s`` is the beginning of the step with the largest mean difference; ``value``, ``low``, ``high``
        and ``respondents`` are the curve's there.
    """
    measures = select_measures(study.measures, list_step_measures(steps))
    shown = curves[curves["group_column"] == ""]
    panels = list(steps[steps["second"] >= 0].groupby(["stimulus", "condition"], sort=False))
    rows = []
    for (stimulus, condition), own in panels:
        panel = align_steps(own, measures, study.step_s)
        known = np.isfinite(panel.values)
        totals, counts = np.where(known, panel.values, 0.0).sum(axis=1), np.maximum(known.sum(axis=1), 1)
        deviations = panel.values - (totals / counts)[:, None]
        for place, measure in enumerate(measures):
            curve = shown[
                (shown["stimulus"] == stimulus) & (shown["condition"] == condition) & (shown["measure"] == measure)
            ]
            found = []
            for cluster in find_clusters_paired(deviations[..., place], seed, one_sided=True):
                if cluster.p * len(panels) * len(measures) > ALPHA:
                    continue
                within = deviations[:, cluster.start : cluster.stop, place]
                peak_s = panel.seconds[cluster.start + int(np.nanmean(within, axis=0).argmax())]
                at_peak = curve[np.isclose(curve["second"].astype("float64"), peak_s, atol=study.step_s / 4)].iloc[0]
                ends = (panel.seconds[cluster.start], peak_s, panel.seconds[cluster.stop - 1] + study.step_s)
                found.append((*ends, at_peak["mean"], at_peak["low"], at_peak["high"], at_peak["respondents"]))
            found.sort(key=lambda moment: -moment[3])
            rows += [(stimulus, condition, measure, rank, *moment) for rank, moment in enumerate(found, start=1)]
    return pd.DataFrame(rows, columns=list(MOMENT_COLUMNS))
