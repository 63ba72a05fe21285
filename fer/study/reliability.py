"""How reliable the curves of a study are, and how many respondents would be enough."""

import numpy as np
import pandas as pd

from fer.config.study import Study
from fer.metrics.panel_reliability import (
    compute_icc,
    compute_split_half,
    compute_typical_deviation,
    find_needed_respondents,
)
from fer.study.panel import align_steps, list_step_measures, select_measures

RELIABILITY_COLUMNS = (
    *("stimulus", "condition", "measure", "respondents", "split_half", "split_half_low", "split_half_high"),
    *("icc", "icc_low", "icc_high", "band", "needed_respondents"),
)
# The band that is wanted: the mean plus and minus so much.
WANTED_BAND = 0.05
WANTED_DEGREES = 5.0
ANGLES = ("yaw", "pitch", "roll")


def compute_reliability(steps: pd.DataFrame, curves: pd.DataFrame, study: Study, seed: int = 0) -> pd.DataFrame:
    """Build ``StudyData.reliability``.

    Args:
        steps: ``StudyData.steps``.
        curves: ``StudyData.curves``.
        study: Whose measures they are.
        seed: Of the halves.

    Returns:
        RELIABILITY_COLUMNS, a row for each stimulus, condition and measure of the study. ``split_half`` is the
        reliability of the mean curve's course, ``icc`` the ICC(2,k), which counts people's different levels as error,
        too (``fer.metrics.panel_reliability``). ``band`` is the present band, as its mean distance from the mean, and
        ``needed_respondents`` how many bring it to WANTED_BAND (WANTED_DEGREES for angles) in a typical step.
    """
    measures = select_measures(study.measures, list_step_measures(steps))
    all_curves = curves[curves["group_column"] == ""].assign(
        half=lambda table: (table["high"].astype("float64") - table["low"].astype("float64")) / 2
    )
    bands = all_curves.groupby(["stimulus", "condition", "measure"])["half"].mean()
    rows = []
    for (stimulus, condition), own in steps.groupby(["stimulus", "condition"], sort=False):
        panel = align_steps(own, measures, study.step_s)
        for place, measure in enumerate(measures):
            values = panel.values[..., place]
            respondents = int(np.isfinite(values).any(axis=1).sum())
            wanted = WANTED_DEGREES if measure in ANGLES else WANTED_BAND
            figures = (*compute_split_half(values, seed), *compute_icc(values)[1])
            needed = find_needed_respondents(compute_typical_deviation(values), wanted)
            band = float(bands.get((stimulus, condition, measure), np.nan))
            rows.append((stimulus, condition, measure, respondents, *figures, band, needed))
    return pd.DataFrame(rows, columns=list(RELIABILITY_COLUMNS))
