"""Reliability of a panel's curves: published examples, missing values, and what the intervals cover."""

import math

import numpy as np
import pytest
from scipy.stats import t as student_t

from fer.metrics.panel_reliability import (
    compute_icc,
    compute_split_half,
    compute_typical_deviation,
    find_needed_respondents,
)

# Shrout & Fleiss 1979, table 2: six targets, four judges.
JUDGES = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)


def panel(seed: int, people: int, signal: float = 1.0, steps: int = 40) -> np.ndarray:
    random = np.random.default_rng(seed)
    curve = signal * np.exp(-(((np.arange(steps) - steps / 2) / 4) ** 2))
    return curve + random.normal(size=(people, steps)) + random.normal(0, 0.7, (people, 1))


def test_the_icc_is_that_of_shrout_and_fleiss() -> None:
    single, mean = compute_icc(JUDGES.T)
    assert (single[0], mean[0]) == pytest.approx((0.29, 0.62), abs=0.005)
    # From four people no interval.
    assert math.isnan(single[1]) and math.isnan(mean[2])


def test_the_icc_is_that_of_the_analysis_of_variance() -> None:
    values = panel(0, 8)
    people, steps = values.shape
    mean_steps = people * values.mean(axis=0).var(ddof=1)
    mean_people = steps * values.mean(axis=1).var(ddof=1)
    residual = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    error = (residual**2).sum() / ((people - 1) * (steps - 1))
    single, mean = compute_icc(values)
    assert mean[0] == pytest.approx((mean_steps - error) / (mean_steps + (mean_people - error) / steps))
    spread = mean_steps + (people - 1) * error + people * (mean_people - error) / steps
    assert single[0] == pytest.approx((mean_steps - error) / spread)
    assert mean[1] < mean[0] < mean[2] and single[1] < single[0] < single[2]


def test_few_missing_values_change_little_and_empty_people_nothing() -> None:
    values = panel(1, 12, signal=2.0)
    holes = values.copy()
    holes[np.random.default_rng(0).uniform(size=values.shape) < 0.05] = np.nan
    assert compute_icc(holes)[1][0] == pytest.approx(compute_icc(values)[1][0], abs=0.05)
    assert compute_split_half(holes, 0)[0] == pytest.approx(compute_split_half(values, 0)[0], abs=0.08)
    absent = np.vstack([values, np.full((3, values.shape[1]), np.nan)])
    assert compute_icc(absent) == compute_icc(values)
    assert compute_split_half(absent, 0) == compute_split_half(values, 0)


def test_equal_curves_are_perfectly_reliable_and_noise_is_not() -> None:
    same = np.tile(np.sin(np.arange(30)), (6, 1)) + np.arange(6)[:, None]
    assert compute_split_half(same, 0)[0] == pytest.approx(1)
    noise = compute_split_half(np.random.default_rng(0).normal(size=(20, 300)), 0)
    assert noise[1] < 0 < noise[2] and abs(noise[0]) < 0.5
    high = compute_split_half(panel(2, 40, signal=3.0), 0)
    assert 0.9 < high[1] < high[0] < high[2] <= 1


def test_what_tells_nothing_is_empty() -> None:
    for values in (np.empty((0, 0)), np.empty((0, 5)), np.ones((1, 9)), np.full((6, 9), 0.2), np.full((6, 9), np.nan)):
        assert math.isnan(compute_split_half(values, 0)[0])
        assert math.isnan(compute_icc(values)[1][0])
    assert math.isnan(compute_typical_deviation(np.ones((1, 9))))


def test_the_needed_number_is_the_smallest_whose_band_is_narrow_enough() -> None:
    for deviation, width in ((0.2, 0.05), (0.5, 0.05), (0.01, 0.2), (3.0, 0.05)):
        count = find_needed_respondents(deviation, width)
        halves = [student_t.ppf(0.975, n - 1) * deviation / math.sqrt(n) for n in (count, count - 1)]
        assert halves[0] <= width and (halves[1] > width or count == 5)
    assert math.isnan(find_needed_respondents(math.nan, 0.05)) and math.isnan(find_needed_respondents(1e9, 0.05))
    assert find_needed_respondents(0.0, 0.05) == 5
    values = np.random.default_rng(0).normal(0, [0.1, 0.3], (4000, 2))
    assert compute_typical_deviation(values) == pytest.approx(math.sqrt((0.01 + 0.09) / 2), rel=0.03)


@pytest.mark.slow
def test_the_intervals_cover_the_reliability_of_such_panels() -> None:
    curve = np.exp(-(((np.arange(40) - 20) / 4) ** 2))
    truth = curve.var(ddof=1) / (curve.var(ddof=1) + 1 / 15)
    truth_icc = curve.var(ddof=1) / (curve.var(ddof=1) + (1 + 0.49) / 15)
    found = [(compute_split_half(values, 0), compute_icc(values)[1]) for values in (panel(s, 15) for s in range(300))]
    for number, value in enumerate((truth, truth_icc)):
        covered = np.mean([row[number][1] <= value <= row[number][2] for row in found])
        assert 0.91 <= covered <= 0.99
