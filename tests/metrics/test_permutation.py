"""Permutation tests: equal to SciPy's where both are exact, to counting by hand, and even under no difference."""

import numpy as np
import pytest
from scipy.stats import permutation_test

from fer.metrics.permutation import (
    PERMUTATIONS,
    compute_permutation_p,
    compute_sign_flip_p,
    compute_smallest_p,
    compute_smallest_sign_flip_p,
    draw_divisions,
    draw_signs,
)


@pytest.mark.parametrize(("size_a", "size_b"), [(2, 2), (3, 4), (4, 4), (5, 9), (8, 8), (20, 30)])
def test_no_difference_gives_a_smaller_p_than_the_smallest(size_a: int, size_b: int) -> None:
    a, b = np.arange(size_a, dtype=float)[:, None], 1000 + np.arange(size_b, dtype=float)[:, None]
    assert compute_permutation_p(a, b, seed=0)[0] == pytest.approx(compute_smallest_p(size_a, size_b))
    assert np.isnan(compute_smallest_p(1, size_b))


def test_p_values_of_equal_groups_are_spread_evenly() -> None:
    random = np.random.default_rng(0)
    p_values = np.concatenate([compute_permutation_p(*random.normal(size=(2, 8, 40)), seed=seed) for seed in range(5)])
    assert len(p_values) == 200
    assert 0.01 <= (p_values < 0.05).mean() <= 0.1
    assert 0.4 <= p_values.mean() <= 0.6


def test_sign_flips_of_three_people_are_counted_by_hand() -> None:
    # Sums of the 8 ways: ±6, ±4, ±2, 0, 0. 6 is reached twice, 4 by four.
    assert compute_sign_flip_p(np.array([[1.0, 1.0], [2.0, -1.0], [3.0, 0.0]]), 0).tolist() == [0.25, 1.0]
    assert compute_sign_flip_p(np.array([[-1.0], [2.0], [3.0]]), 0).tolist() == [0.5]


@pytest.mark.parametrize("count", [2, 5, 9, 13])
def test_few_sign_flips_give_scipys_exact_p(count: int) -> None:
    differences = np.random.default_rng(count).exponential(size=(count, 6)) - 0.4
    expected = permutation_test(
        (differences,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", vectorized=True, n_resamples=9999
    )
    np.testing.assert_allclose(compute_sign_flip_p(differences, 0), expected.pvalue)


def test_many_sign_flips_are_drawn_by_the_seed_and_come_near_scipys_p() -> None:
    differences = np.random.default_rng(3).normal(0.25, 1, (24, 5))
    found = compute_sign_flip_p(differences, seed=1)
    assert (found == compute_sign_flip_p(differences, seed=1)).all()
    assert (found != compute_sign_flip_p(differences, seed=2)).any()
    expected = permutation_test(
        (differences,),
        lambda x, axis: x.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=9999,
        rng=np.random.default_rng(0),
    ).pvalue
    np.testing.assert_allclose(found, expected, atol=4 * np.sqrt(2 * 0.25 / PERMUTATIONS))


@pytest.mark.parametrize("count", [2, 5, 13, 14, 40])
def test_the_clearest_differences_give_the_smallest_p(count: int) -> None:
    differences = 100 + np.random.default_rng(0).uniform(size=(count, 1))
    assert compute_sign_flip_p(differences, 0)[0] == pytest.approx(compute_smallest_sign_flip_p(count), abs=2e-4)


def test_no_differences_and_one_person() -> None:
    assert compute_sign_flip_p(np.zeros((6, 2)), 0).tolist() == [1.0, 1.0]
    assert compute_sign_flip_p(np.full((16, 1), 0.0), 0).tolist() == [1.0]
    assert np.isnan(compute_sign_flip_p(np.ones((1, 2)), 0)).all() and np.isnan(compute_smallest_sign_flip_p(1))


def test_all_ways_are_drawn_once_where_they_are_few() -> None:
    signs, is_exact = draw_signs(5, seed=0)
    assert is_exact and len(np.unique(signs, axis=0)) == 32
    divisions, is_exact = draw_divisions(3, 4, seed=0)
    assert is_exact and len(np.unique(divisions, axis=0)) == 35 and (divisions.sum(axis=1) == 3).all()
    divisions, is_exact = draw_divisions(10, 12, seed=0)
    assert not is_exact and divisions.shape == (PERMUTATIONS, 22) and (divisions.sum(axis=1) == 10).all()


@pytest.mark.slow
@pytest.mark.parametrize("skewed", [False, True])
def test_few_false_alarms_where_the_same_people_do_not_differ(skewed: bool) -> None:
    random = np.random.default_rng(0)
    draw = random.exponential if skewed else random.standard_normal
    found = [compute_sign_flip_p(draw(size=(12, 4000)) - draw(size=(12, 4000)), seed) for seed in range(5)]
    # 20,000 tests leave a standard error of 0.15 points.
    assert 0.045 <= (np.concatenate(found) <= 0.05).mean() <= 0.055
