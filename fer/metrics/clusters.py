"""When two differ: cluster-based permutation tests over time (Maris & Oostenveld 2007).

At each step a t-value; neighbouring steps whose t-values lie beyond the quantile of FORMING_ALPHA on the same side are
a cluster, and the sum of their t-values is its mass. People are dealt anew, and of each deal the largest mass counts.
So the chance that any cluster is found where there is no difference at all is that of one test (family-wise control).
A cluster says that there is a difference, and about when; it does not prove where exactly it begins and ends
(Sassenhagen & Draschkow 2019).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student_t

from fer.metrics.permutation import ROUNDING, draw_divisions, draw_signs

FORMING_ALPHA = 0.05
# A step of which more people lack a value does not count: t-values of few people are wild.
MIN_PRESENT = 0.5
MIN_PEOPLE = 4
# Values that are equal but for rounding have no variance; a difference between them has a large t, but no infinite one.
VARIANCE_FLOOR = 1e-12
# Deals times steps that are computed at a time: bounds the memory.
CELLS_PER_BLOCK = 1 << 20


@dataclass(frozen=True)
class Cluster:
    """Neighbouring steps that differ.

    Attributes:
        start: The first step.
        stop: The step behind the last.
        mass: The sum of their t-values, negative where the first is smaller.
        p: Over all steps; two-sided, where not asked for one side.
    """

    start: int
    stop: int
    mass: float
    p: float


def find_clusters_between(a: np.ndarray, b: np.ndarray, seed: int) -> list[Cluster]:
    """Find when two groups of different people differ.

    Args:
        a: (respondents, steps) of the first group, NaN where one has no value.
        b: (respondents, steps) of the second group.
        seed: Of the divisions, where there are too many to try all.

    Returns:
        The clusters in the order of time, whatever their p. A step counts where at least MIN_PRESENT of all people, and
        at least MIN_PEOPLE, have a value, of whichever group they are, as who is in which must not decide it; where a
        group then has fewer than two, its t-value is 0. None where a group has fewer than two people.
    """
    if min(len(a), len(b)) < 2:
        return []
    values = np.concatenate([a, b])
    counted, values, present, freedom = _prepare(values, removed=2)
    # Deviations from the mean of all, whose squares do not cancel; a constant shift changes no t-value.
    values = values - np.divide(values.sum(axis=0), present.sum(axis=0), where=counted, out=np.zeros(len(counted)))
    values *= present
    totals = [table.sum(axis=0) for table in (present, values, values**2)]

    def compute_t(divisions: np.ndarray) -> np.ndarray:
        count_a, sum_a, square_a = (divisions @ table for table in (present, values, values**2))
        count_b, sum_b, square_b = (
            total - part for total, part in zip(totals, (count_a, sum_a, square_a), strict=True)
        )
        enough = counted & (count_a > 1.5) & (count_b > 1.5)
        count_a, count_b = np.where(enough, count_a, 2.0), np.where(enough, count_b, 2.0)
        mean_a, mean_b = sum_a / count_a, sum_b / count_b
        within = square_a - count_a * mean_a**2 + square_b - count_b * mean_b**2
        variance = np.maximum(within, VARIANCE_FLOOR * totals[2]) / freedom * (1 / count_a + 1 / count_b)
        return _divide(mean_a - mean_b, np.sqrt(variance), enough)

    divisions, is_exact = draw_divisions(len(a), len(b), seed)
    seen = np.concatenate([np.ones(len(a)), np.zeros(len(b))])
    return _test_clusters(compute_t, seen, divisions, is_exact, _find_limits(counted, freedom))


def find_clusters_paired(differences: np.ndarray, seed: int, one_sided: bool = False) -> list[Cluster]:
    """Find when the same people differ from themselves.

    Args:
        differences: (respondents, steps), each person's first value less the second, NaN where either is missing.
        seed: Of the signs, where there are too many to try all.
        one_sided: Find only where the first values are larger, against the largest such masses of the deals.

    Returns:
        As ``find_clusters_between``; none for fewer than two people.
    """
    if len(differences) < 2:
        return []
    counted, values, present, freedom = _prepare(differences, removed=1)
    count, square = np.maximum(present.sum(axis=0), 1.0), (values**2).sum(axis=0)

    def compute_t(signs: np.ndarray) -> np.ndarray:
        mean = signs @ values / count
        variance = np.maximum(square - count * mean**2, VARIANCE_FLOOR * square) / freedom / count
        return _divide(mean, np.sqrt(variance), np.broadcast_to(counted, mean.shape))

    signs, is_exact = draw_signs(len(differences), seed)
    return _test_clusters(
        compute_t, np.ones(len(differences)), signs, is_exact, _find_limits(counted, freedom), one_sided
    )


def _prepare(values: np.ndarray, removed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Which steps count, the values with 0 where there is none, who is present, and each step's degrees of freedom."""
    present = np.isfinite(values)
    enough = present.sum(axis=0)
    counted = enough >= max(MIN_PEOPLE, MIN_PRESENT * len(values))
    return counted, np.where(present, values, 0.0), present.astype(np.float64), np.maximum(enough - removed, 1.0)


def _find_limits(counted: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    return np.where(counted, student_t.ppf(1 - FORMING_ALPHA / 2, freedom), np.inf)


def _divide(difference: np.ndarray, error: np.ndarray, where: np.ndarray) -> np.ndarray:
    return np.divide(difference, error, out=np.zeros_like(difference), where=where & (error > 0))


def _test_clusters(
    compute_t: Callable[[np.ndarray], np.ndarray],
    seen: np.ndarray,
    deals: np.ndarray,
    is_exact: bool,
    limits: np.ndarray,
    one_sided: bool = False,
) -> list[Cluster]:
    """Compare the clusters that were seen with the largest of each deal."""
    t_values = compute_t(seen[None])[0]
    found = sorted(_list_runs(t_values, limits, one_sided))
    if not found:
        return []
    blocks = np.array_split(deals, -(-deals.shape[0] * len(limits) // CELLS_PER_BLOCK))
    largest = np.concatenate([_find_largest_mass(compute_t(block), limits, one_sided) for block in blocks])
    clusters = []
    for start, stop in found:
        mass = float(t_values[start:stop].sum())
        extreme = int((largest >= abs(mass) * (1 - ROUNDING * len(limits))).sum())
        p = extreme / len(largest) if is_exact else (extreme + 1) / (len(largest) + 1)
        clusters.append(Cluster(start, stop, mass, p))
    return clusters


def _list_runs(t_values: np.ndarray, limits: np.ndarray, one_sided: bool) -> Iterator[tuple[int, int]]:
    for side in (t_values > limits,) if one_sided else (t_values > limits, t_values < -limits):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], side, [False]])))
        yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _find_largest_mass(t_values: np.ndarray, limits: np.ndarray, one_sided: bool) -> np.ndarray:
    """The largest mass of a cluster on either side, or above alone, of each row; 0 where there is none."""
    largest = np.zeros(len(t_values))
    above, below = np.zeros((2, len(t_values)))
    for values, limit in zip(np.ascontiguousarray(t_values.T), limits, strict=True):
        above = (above + values) * (values > limit)
        below = (below - values) * (values < -limit)
        largest = np.maximum(largest, above if one_sided else np.maximum(above, below))
    return largest
