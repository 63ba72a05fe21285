"""Power of a panel: that of statsmodels, and Cohen's tables."""

import math

import numpy as np
import pytest
from statsmodels.stats.power import TTestIndPower, TTestPower

from fer.metrics.power import MOST_RESPONDENTS, compute_power_between, compute_power_paired, find_needed_count


@pytest.mark.parametrize("effect", [0.0, 0.2, 0.5, 0.8, 2.0])
@pytest.mark.parametrize(("count_a", "count_b"), [(2, 2), (5, 12), (30, 30), (64, 64)])
def test_power_is_that_of_statsmodels(effect: float, count_a: int, count_b: int) -> None:
    # statsmodels gives NaN where the power is 1.
    expected = np.nan_to_num(TTestIndPower().power(effect, count_a, 0.05, ratio=count_b / count_a), nan=1.0)
    assert compute_power_between(effect, count_a, count_b) == pytest.approx(expected, abs=1e-8)
    expected = np.nan_to_num(TTestPower().power(effect, count_b, 0.05), nan=1.0)
    assert compute_power_paired(effect, count_b) == pytest.approx(expected, abs=1e-8)
    assert compute_power_paired(-effect, count_b) == compute_power_paired(effect, count_b)


def test_the_needed_number_is_that_of_cohens_tables() -> None:
    # Cohen 1988, table 2.4.1: 64 in each group for d = 0.5, 26 for 0.8, 393 for 0.2, which is 393.4.
    assert [find_needed_count(effect, is_paired=False) for effect in (0.2, 0.5, 0.8)] == [394, 64, 26]
    assert find_needed_count(0.5, is_paired=True) == 34
    for effect, is_paired in ((0.3, True), (0.3, False), (3.0, True), (20.0, False)):
        count = find_needed_count(effect, is_paired)
        compute = compute_power_paired if is_paired else lambda value, n: compute_power_between(value, n, n)
        assert compute(effect, count) >= 0.8 and not compute(effect, count - 1) >= 0.8


def test_nothing_and_nobody() -> None:
    assert math.isnan(compute_power_between(0.5, 1, 9)) and math.isnan(compute_power_paired(0.5, 1))
    assert find_needed_count(1e-6, is_paired=True) == MOST_RESPONDENTS
