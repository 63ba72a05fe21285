"""Effect sizes and their intervals: by hand, by the noncentral t distribution, and what they cover."""

import numpy as np
import pytest
from scipy.stats import nct, norm

from fer.metrics.effect_sizes import (
    compute_cliffs_delta,
    compute_hedges_g_interval,
    compute_paired_delta,
    compute_paired_g_interval,
)
from fer.metrics.small_samples import compute_hedges_g


def test_the_ends_of_g_put_its_t_value_at_the_edges_of_the_noncentral_distribution() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal([0.0, -2, 5], 1, (6, 3)), random.normal(size=(9, 3))
    effect, low, high = compute_hedges_g_interval(a, b)
    np.testing.assert_array_equal(effect, compute_hedges_g(a, b))
    root = np.sqrt(6 * 9 / 15)
    t_values = effect / (1 - 3 / (4 * 13 - 1)) * root
    np.testing.assert_allclose(nct.cdf(t_values, 13, low * root), 0.975, atol=1e-6)
    np.testing.assert_allclose(nct.cdf(t_values, 13, high * root), 0.025, atol=1e-6)
    turned = compute_hedges_g_interval(b, a)
    np.testing.assert_allclose([-turned[2], -turned[1]], [low, high])


def test_g_of_the_same_people_is_by_hand_the_mean_in_standard_deviations() -> None:
    differences = np.array([[1.0], [2.0], [3.0], [6.0]])
    # Mean 3, variance (4 + 1 + 0 + 9) / 3, factor 1 - 3 / (4 · 3 - 1).
    effect, low, high = compute_paired_g_interval(differences)
    assert effect[0] == pytest.approx(3 / np.sqrt(14 / 3) * (1 - 3 / 11))
    assert nct.cdf(3 / np.sqrt(14 / 3) * 2, 3, low[0] * 2) == pytest.approx(0.975, abs=1e-6)
    assert low[0] < effect[0] < high[0]


def test_a_huge_effect_has_a_finite_interval() -> None:
    differences = np.array([[1.0], [1.0 + 1e-7], [1.0 - 1e-7], [1.0]])
    effect, low, high = compute_paired_g_interval(differences)
    assert 0 < low[0] < effect[0] < high[0] < np.inf


def test_cliffs_delta_is_counted_by_hand() -> None:
    a, b = np.array([[3.0], [5.0], [5.0]]), np.array([[1.0], [5.0]])
    # Larger: 3 > 1, 5 > 1, 5 > 1; smaller: 3 < 5; equal: twice.
    delta, low, high = compute_cliffs_delta(a, b)
    assert delta[0] == pytest.approx((3 - 1) / 6)
    assert -1 < low[0] < delta[0] < high[0] < 1
    # Three against two say little even where all pairs agree; ten against ten say much.
    low_of_few = compute_cliffs_delta(a + 10, b)[1][0]
    delta, low, high = compute_cliffs_delta(np.arange(10.0)[:, None] + 20, np.arange(10.0)[:, None])
    assert delta[0] == 1 and low_of_few < 0 < low[0] < 1 and high[0] == pytest.approx(1)


def test_the_ends_of_cliffs_delta_solve_newcombes_equation() -> None:
    random = np.random.default_rng(1)
    a, b = random.normal(0.5, 1, (12, 1)), random.normal(size=(8, 1))
    delta, low, high = (value[0] for value in compute_cliffs_delta(a, b))
    for end in ((low + 1) / 2, (high + 1) / 2):
        spread = 1 + (20 / 2 - 1) * ((1 - end) / (2 - end) + end / (1 + end))
        assert abs((delta + 1) / 2 - end) == pytest.approx(
            norm.ppf(0.975) * np.sqrt(end * (1 - end) * spread / (12 * 8))
        )


def test_delta_of_the_same_people_is_a_difference_of_shares_with_wilsons_interval() -> None:
    differences = np.array([0.1] * 7 + [-0.2] * 3)[:, None]
    delta, low, high = (value[0] for value in compute_paired_delta(differences))
    assert delta == pytest.approx(0.4)
    # Wilson's interval of 7 in 10.
    assert ((low + 1) / 2, (high + 1) / 2) == pytest.approx((0.3968, 0.8922), abs=1e-4)
    delta, low, high = (value[0] for value in compute_paired_delta(np.zeros((10, 1))))
    assert delta == 0 and -0.5 < low < 0 < high < 0.5


def test_single_people_and_equal_values_have_no_effect() -> None:
    one, many = np.ones((1, 2)), np.ones((5, 2))
    for found in (compute_hedges_g_interval(one, many), compute_cliffs_delta(many, one)):
        assert np.isnan(np.stack(found)).all()
    for found in (compute_paired_g_interval(one), compute_paired_delta(one), compute_paired_g_interval(many)):
        assert np.isnan(np.stack(found)).all()
    # Of two people's differences g has no estimate without bias, however large they are.
    two = np.array([[0.2], [0.3]])
    assert np.isnan(np.stack(compute_paired_g_interval(two))).all()
    assert compute_paired_delta(two)[0] == 1


@pytest.mark.slow
@pytest.mark.parametrize("skewed", [False, True])
def test_the_intervals_cover_the_effect_as_often_as_they_say(skewed: bool) -> None:
    random = np.random.default_rng(5)
    draw = random.exponential if skewed else random.standard_normal
    a, b = draw(size=(8, 2000)) + 0.5, draw(size=(12, 2000))
    delta = 1 - np.exp(-0.5) if skewed else 2 * norm.cdf(0.5 / np.sqrt(2)) - 1
    for truth, (_, low, high) in ((0.5, compute_hedges_g_interval(a, b)), (delta, compute_cliffs_delta(a, b))):
        assert 0.93 <= ((low <= truth) & (truth <= high)).mean() <= 0.975
