"""Metrics over respondents, as the page takes them."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class GroupPage:
    """Metrics over respondents.

    Attributes:
        curves: A row for each `stimulus`, `group`, `emotion` and `second`, in the order of time, with `respondents`,
            `mean`, `low` and `high` (95 % band of the mean, NaN without), `share` (of respondents in whom the emotion
            leads), `max` and `min`; NaN where nobody was seen.
        comparison: `stimulus`, `emotion`, `group_a`, `group_b`, `respondents_a`, `respondents_b`, `mean_a`, `mean_b`,
            `difference`, `p`, `p_corrected`.
        baseline_seconds: Where not 0, probabilities are changes against each respondent's own mean of so many first
            seconds.
    """

    curves: pd.DataFrame
    comparison: pd.DataFrame
    baseline_seconds: float = 0.0
