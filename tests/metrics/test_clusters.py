"""Cluster tests over time: by hand, with missing values, and equal to MNE's on the same numbers."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t as student_t
from scipy.stats import ttest_1samp, ttest_ind

from fer.metrics.clusters import find_clusters_between, find_clusters_paired


def panel(seed: int, people: int, steps: int = 40, effect: float = 0.0) -> np.ndarray:
    """Noise that neighbouring steps share, and an effect in steps 15 to 24."""
    noise = np.random.default_rng(seed).normal(size=(people, steps + 4))
    values = np.lib.stride_tricks.sliding_window_view(noise, 5, axis=1).mean(axis=2) * np.sqrt(5)
    values[:, 15:25] += effect
    return values


def test_the_clusters_are_runs_of_scipys_t_values() -> None:
    a, b = panel(1, 9, effect=2.0), panel(2, 11)
    t_values = ttest_ind(a, b).statistic
    limit = student_t.ppf(0.975, 18)
    found = find_clusters_between(a, b, seed=0)
    assert found
    steps = np.concatenate([np.arange(cluster.start, cluster.stop) for cluster in found])
    assert steps.tolist() == np.flatnonzero(np.abs(t_values) > limit).tolist()
    for cluster in found:
        assert cluster.mass == pytest.approx(t_values[cluster.start : cluster.stop].sum())
    largest = max(found, key=lambda cluster: abs(cluster.mass))
    assert 12 <= largest.start <= 18 and 22 <= largest.stop <= 28 and largest.p < 0.01


def test_neighbours_on_opposite_sides_are_two_clusters() -> None:
    random = np.random.default_rng(0)
    differences = np.array([3.0, 3.0, -3.0, -3.0, 0.0]) + random.normal(size=(10, 5)) * 0.1
    differences[:, 4] = np.tile([1.0, -1.0], 5)
    found = find_clusters_paired(differences, seed=0)
    assert [(cluster.start, cluster.stop, cluster.mass > 0) for cluster in found] == [(0, 2, True), (2, 4, False)]


def test_p_is_counted_over_all_sign_flips() -> None:
    # Of 2 ** 5 ways only all as they are and all turned round have so large a mass.
    differences = np.array([[1.0], [1.1], [0.9], [1.05], [0.95]])
    (cluster,) = find_clusters_paired(differences, seed=0)
    assert cluster.p == 2 / 32
    assert cluster.mass == pytest.approx(ttest_1samp(differences[:, 0], 0).statistic)


def test_one_side_is_compared_with_that_side_alone() -> None:
    random = np.random.default_rng(5)
    values = random.normal(size=(8, 12))
    values[:, 2:5] += 1.5
    values[:, 6:] -= 2.0
    both = [cluster for cluster in find_clusters_paired(values, 0) if cluster.mass > 0]
    one = find_clusters_paired(values, 0, one_sided=True)
    assert [(cluster.start, cluster.stop) for cluster in one] == [(cluster.start, cluster.stop) for cluster in both]
    assert all(cluster.mass > 0 for cluster in one) and max(cluster.p for cluster in one) < max(c.p for c in both)
    # All 256 ways to flip the signs, of which one is that of the data.
    assert one[0].p * 256 == pytest.approx(round(one[0].p * 256))


def test_p_is_counted_over_all_divisions() -> None:
    a, b = np.array([[5.0], [6.0], [7.0]]), np.array([[1.0], [2.0], [3.0]])
    (cluster,) = find_clusters_between(a, b, seed=0)
    assert cluster.p == 2 / 20


def test_missing_values_are_left_out_step_by_step() -> None:
    a, b = panel(3, 10, effect=3.0), panel(4, 10)
    a[:4, 18] = np.nan
    b[2:4, 19] = np.nan
    found = max(find_clusters_between(a, b, seed=0), key=lambda cluster: cluster.mass)
    t_values = ttest_ind(a, b, nan_policy="omit").statistic
    assert found.mass == pytest.approx(np.asarray(t_values[found.start : found.stop]).sum())
    assert found.start < 18 < found.stop
    differences = panel(5, 12, effect=2.0)
    differences[:5, 20] = np.nan
    found = max(find_clusters_paired(differences, seed=0), key=lambda cluster: cluster.mass)
    t_values = ttest_1samp(differences, 0, nan_policy="omit").statistic
    assert found.start < 20 < found.stop
    assert found.mass == pytest.approx(np.asarray(t_values[found.start : found.stop]).sum())


def test_a_step_that_few_people_have_does_not_count_and_parts_clusters() -> None:
    differences = panel(6, 12, effect=3.0)
    differences[:7, 20] = np.nan
    found = find_clusters_paired(differences, seed=0)
    assert not any(cluster.start <= 20 < cluster.stop for cluster in found)
    assert {20} <= {cluster.stop for cluster in found} and {21} <= {cluster.start for cluster in found}
    a, b = panel(7, 6, effect=4.0), panel(8, 6)
    a[:, 20] = np.nan
    assert not any(cluster.start <= 20 < cluster.stop for cluster in find_clusters_between(a, b, seed=0))


def test_equal_values_and_single_people_give_no_cluster() -> None:
    assert find_clusters_between(np.full((4, 6), 0.3), np.full((5, 6), 0.3), 0) == []
    assert find_clusters_paired(np.zeros((6, 5)), 0) == []
    assert find_clusters_between(np.ones((1, 6)), np.zeros((5, 6)), 0) == []
    assert find_clusters_paired(np.ones((1, 6)), 0) == []
    assert find_clusters_paired(np.full((5, 3), np.nan), 0) == []
    assert find_clusters_between(np.empty((4, 0)), np.empty((4, 0)), 0) == []


def test_a_constant_difference_has_a_finite_mass() -> None:
    (cluster,) = find_clusters_paired(np.full((6, 3), 0.2), seed=0)
    assert np.isfinite(cluster.mass) and cluster.p == 2 / 64
    (cluster,) = find_clusters_between(np.full((4, 3), 0.2), np.full((4, 3), 0.1), seed=0)
    assert np.isfinite(cluster.mass) and cluster.p == 2 / 70


@pytest.mark.slow
@pytest.mark.parametrize(("size_a", "size_b"), [(4, 5), (12, 15)])
def test_two_groups_are_tested_as_mne_does(size_a: int, size_b: int) -> None:
    from mne.stats import permutation_cluster_test, ttest_ind_no_p

    a, b = panel(11, size_a, effect=0.8), panel(17, size_b)
    expected = permutation_cluster_test(
        [a, b],
        threshold=student_t.ppf(0.975, size_a + size_b - 2),
        n_permutations=5000,
        # By absolute values: with a sign MNE compares with the largest positive mass of a permutation, not the largest.
        tail=1,
        stat_fun=lambda first, second: np.abs(ttest_ind_no_p(first, second)),
        out_type="indices",
        seed=0,
        verbose="error",
    )
    found = [replace(cluster, mass=abs(cluster.mass)) for cluster in find_clusters_between(a, b, seed=0)]
    check_equal(found, *expected[:3])


@pytest.mark.slow
@pytest.mark.parametrize("count", [6, 20])
def test_the_same_people_are_tested_as_mne_does(count: int) -> None:
    from mne.stats import permutation_cluster_1samp_test

    differences = panel(13, count, effect=1.0)
    expected = permutation_cluster_1samp_test(
        differences,
        threshold=student_t.ppf(0.975, count - 1),
        n_permutations="all" if count < 14 else 5000,
        tail=0,
        out_type="indices",
        seed=0,
        verbose="error",
    )
    check_equal(find_clusters_paired(differences, seed=0), *expected[:3])


def check_equal(found: list, t_values: np.ndarray, clusters: list, p_values: np.ndarray) -> None:
    expected = sorted(
        (int(steps[0].min()), int(steps[0].max()) + 1, float(t_values[steps[0]].sum()), float(p))
        for steps, p in zip(clusters, p_values, strict=True)
    )
    assert expected
    assert [(cluster.start, cluster.stop) for cluster in found] == [row[:2] for row in expected]
    np.testing.assert_allclose([cluster.mass for cluster in found], [row[2] for row in expected])
    # Both draw their permutations: four standard errors of 5,000 and 9,999 of them.
    for cluster, row in zip(found, expected, strict=True):
        error = np.sqrt(max(cluster.p * (1 - cluster.p), 1e-4) * (1 / 5000 + 1 / 9999))
        assert cluster.p == pytest.approx(row[3], abs=4 * error)
