"""What the intervals for few people cover, by simulation, and what they do with samples that tell little."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import t as student_t

from fer.metrics.small_samples import (
    MIN_RESPONDENTS,
    compute_difference_interval,
    compute_hedges_g,
    compute_mean_interval,
)

SAMPLES = 1500
Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
# Name: how values are drawn, and their mean. The last three are what probabilities of rare, very rare and frequent
# emotions look like.
POPULATIONS: dict[str, tuple[Draw, float]] = {
    "normal": (lambda random, shape: random.normal(0.4, 0.1, shape), 0.4),
    "exponential": (lambda random, shape: random.exponential(0.1, shape), 0.1),
    "beta(1, 5)": (lambda random, shape: random.beta(1, 5, shape), 1 / 6),
    "beta(1/2, 3)": (lambda random, shape: random.beta(0.5, 3, shape), 1 / 7),
    "beta(5, 1)": (lambda random, shape: random.beta(5, 1, shape), 5 / 6),
}


@pytest.mark.slow
@pytest.mark.parametrize("population", POPULATIONS)
@pytest.mark.parametrize("count", [5, 8, 15, 30])
def test_the_interval_covers_the_mean_as_often_as_it_says(population: str, count: int) -> None:
    draw, mean = POPULATIONS[population]
    values = draw(np.random.default_rng(count), (count, SAMPLES))
    low, high = compute_mean_interval(values, seed=0)
    covered = ((low <= mean) & (mean <= high)).mean()
    # 1,500 samples leave a standard error of 0.6 points.
    assert 0.93 - (0.01 if count < 8 else 0) <= covered <= 0.975


def test_an_interval_of_fewer_people_is_withheld() -> None:
    values = np.random.default_rng(0).uniform(size=(9, 3))
    values[MIN_RESPONDENTS - 1 :, 1] = np.nan
    values[2:, 2] = np.nan
    low, high = compute_mean_interval(values, seed=0)
    assert np.isfinite(low).tolist() == np.isfinite(high).tolist() == [True, False, False]


def test_the_interval_is_never_narrower_than_students_t() -> None:
    values = np.random.default_rng(1).exponential(size=(9, 200))
    low, high = compute_mean_interval(values, seed=0)
    half = student_t.ppf(0.975, 8) * values.std(axis=0, ddof=1) / 3
    mean = values.mean(axis=0)
    assert (low <= mean - half + 1e-12).all() and (high >= mean + half - 1e-12).all()
    # Of values that are skewed to the right, the upper end reaches further.
    assert (high - mean).mean() > 1.2 * (mean - low).mean()


def test_who_is_absent_does_not_count() -> None:
    values = np.random.default_rng(2).uniform(size=(12, 4))
    values[:4, 1] = np.nan
    low, high = compute_mean_interval(values, seed=5)
    known = compute_mean_interval(values[4:, [1]], seed=5)
    assert (low[1], high[1]) == (known[0][0], known[1][0])


def test_one_person_unlike_all_others_does_not_stretch_the_interval_without_bound() -> None:
    values = np.full((8, 1), 0.01)
    values[0] = 0.9
    low, high = compute_mean_interval(values, seed=0)
    error = values.std(ddof=1) / np.sqrt(8)
    assert high[0] - values.mean() == pytest.approx(3 * student_t.ppf(0.975, 7) * error)
    equal = compute_mean_interval(np.full((8, 1), 0.3), seed=0)
    assert (equal[0][0], equal[1][0]) == pytest.approx((0.3, 0.3), abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("population", ["normal", "exponential", "beta(1/2, 3)"])
@pytest.mark.parametrize("count", [4, 8, 15])
def test_the_interval_of_a_difference_covers_it(population: str, count: int) -> None:
    draw, _ = POPULATIONS[population]
    random = np.random.default_rng(count)
    low, high = compute_difference_interval(draw(random, (count, SAMPLES)), draw(random, (count, SAMPLES)), seed=0)
    # Of two groups of four, t and bootstrap know little, and say so by too much room.
    assert 0.93 <= ((low <= 0) & (high >= 0)).mean() <= (0.975 if count > 4 else 0.995)


def test_hedges_g_is_that_of_a_worked_example() -> None:
    a, b = np.array([[4.0], [6.0], [8.0]]), np.array([[1.0], [3.0], [5.0], [7.0]])
    # Means 6 and 4, variances 4 and 20/3: pooled (2 · 4 + 3 · 20/3) / 5 = 5.6; factor 1 - 3 / (4 · 5 - 1).
    assert compute_hedges_g(a, b)[0] == pytest.approx(2 / np.sqrt(5.6) * (1 - 3 / 19))
    assert np.isnan(compute_hedges_g(a[:1], b)).all()
    assert np.isnan(compute_hedges_g(np.full((3, 1), 0.1), np.full((4, 1), 0.2))).all()
