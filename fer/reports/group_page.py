"""Metrics over respondents, as the page takes them."""

from dataclasses import dataclass

import pandas as pd

# Where even the clearest difference, alone among the rows of the table, cannot fall below this, the page says so.
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class GroupPage:
    """Metrics over respondents.

    Attributes:
        curves: A row for each `stimulus`, `group`, `emotion` and `second`, in the order of time, with `respondents`,
            `mean`, `low` and `high` (95 % band of the mean, NaN without), `share` (of respondents in whom the emotion
            leads), `max` and `min`; NaN where nobody was seen.
        comparison: `stimulus`, `emotion`, `group_a`, `group_b`, `respondents_a`, `respondents_b`, `mean_a`, `mean_b`,
            `difference`, `p`, `p_corrected`, `difference_low`, `difference_high`, `effect`, `p_smallest`.
        baseline_seconds: Where not 0, probabilities are changes against each respondent's own mean of so many first
            seconds.
    """

    curves: pd.DataFrame
    comparison: pd.DataFrame
    baseline_seconds: float = 0.0


@dataclass(frozen=True)
class SmallTest:
    """What tests of two groups of such sizes can show.

    Attributes:
        a: Respondents of one group.
        b: Respondents of the other.
        p: The smallest p.
        tests: Number of tests that are corrected for.
        alone: The smallest corrected p of a single row, where all others have p = 1.
    """

    a: int
    b: int
    p: float
    tests: int
    alone: float


def list_small_tests(page: GroupPage) -> list[SmallTest]:
    """List the sizes of groups that are so small that the smallest possible p matters."""
    tested = page.comparison.dropna(subset=["p_smallest"])
    sizes = tested[["respondents_a", "respondents_b", "p_smallest"]].drop_duplicates()
    tests = int(tested["p"].notna().sum())
    small = [SmallTest(int(a), int(b), float(p), tests, min(1.0, float(p) * tests)) for a, b, p in sizes.to_numpy()]
    return [sizes for sizes in small if sizes.alone >= SIGNIFICANT]
