"""Permutation tests of means: two groups of different people, and the same people twice."""

import math
from functools import lru_cache
from itertools import combinations

import numpy as np

PERMUTATIONS = 9999
# Means that are equal but for rounding are equal.
ROUNDING = 1e-12
# How many sign flips are tried at a time bounds the memory.
FLIPS_PER_BLOCK = 1000


def compute_permutation_p(a: np.ndarray, b: np.ndarray, seed: int) -> np.ndarray:
    """Test the difference of the means of two groups of different people.

    Args:
        a: (respondents, figures) of the first group.
        b: (respondents, figures) of the second group.
        seed: Of the permutations.

    Returns:
        (figures,) two-sided p-values, exact where there are at most PERMUTATIONS divisions of the people; NaN where a
        group has fewer than two respondents.
    """
    # Slow to import, and few runs compare groups.
    from scipy.stats import permutation_test

    if min(len(a), len(b)) < 2:
        return np.full(a.shape[1], np.nan)

    def difference(first: np.ndarray, second: np.ndarray, axis: int) -> np.ndarray:
        return first.mean(axis=axis) - second.mean(axis=axis)

    result = permutation_test(
        (a, b),
        difference,
        vectorized=True,
        n_resamples=PERMUTATIONS,
        batch=500,
        axis=0,
        rng=np.random.default_rng(seed),
    )
    return np.asarray(result.pvalue)


def compute_smallest_p(respondents_a: int, respondents_b: int) -> float:
    """Compute the smallest p that a two-sided permutation test of two groups of such sizes can give.

    Of all ways to divide the people, one is the most extreme on either side: 2 of 70 for four against four. Where there
    are more ways than are tried, the division that was seen counts as one of them.

    Args:
        respondents_a: Number of people in the first group.
        respondents_b: Number of people in the second group.

    Returns:
        The p-value; NaN where a group has fewer than two respondents.
    """
    if min(respondents_a, respondents_b) < 2:
        return math.nan
    divisions = math.comb(respondents_a + respondents_b, respondents_a)
    return 2 / (divisions if divisions <= PERMUTATIONS else PERMUTATIONS + 1)


def compute_sign_flip_p(differences: np.ndarray, seed: int) -> np.ndarray:
    """Test whether the mean of the same people's differences is 0.

    Under no difference a person's values may as well be the other way round, so each difference has either sign
    (Fisher 1935; Good 2005, chapter 3).

    Args:
        differences: (respondents, figures), each person's first value less the second.
        seed: Of the signs, where there are too many to try all.

    Returns:
        (figures,) two-sided p-values: exact where there are at most PERMUTATIONS ways, else (b + 1) / (m + 1) of
        m = PERMUTATIONS drawn ones, of which b are as extreme (Phipson & Smyth 2010); NaN for fewer than two people.
    """
    count, figures = differences.shape
    if count < 2:
        return np.full(figures, np.nan)
    signs, is_exact = draw_signs(count, seed)
    observed = np.abs(differences.sum(axis=0))
    limit = observed - ROUNDING * np.abs(differences).sum(axis=0)
    extreme = np.zeros(figures)
    for block in np.array_split(signs, -(-len(signs) // FLIPS_PER_BLOCK)):
        extreme += (np.abs(block @ differences) >= limit).sum(axis=0)
    p_values: np.ndarray = extreme / len(signs) if is_exact else (extreme + 1) / (len(signs) + 1)
    return p_values


def compute_smallest_sign_flip_p(respondents: int) -> float:
    """Compute the smallest p that ``compute_sign_flip_p`` can give for so many people; NaN for fewer than two."""
    if respondents < 2:
        return math.nan
    ways = 2**respondents
    return 2 / ways if ways <= PERMUTATIONS else 1 / (PERMUTATIONS + 1)


@lru_cache(maxsize=4)
def draw_signs(count: int, seed: int) -> tuple[np.ndarray, bool]:
    """Draw signs for so many people.

    Args:
        count: Number of people.
        seed: The same seed draws the same signs.

    Returns:
        (ways, people) of -1 and 1, and whether they are all there are: so where those are at most PERMUTATIONS.
    """
    if 2**count <= PERMUTATIONS:
        bits = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
        return _freeze(1.0 - 2.0 * bits), True
    random = np.random.default_rng([seed, count])
    return _freeze(1.0 - 2.0 * random.integers(0, 2, (PERMUTATIONS, count))), False


@lru_cache(maxsize=4)
def draw_divisions(count_a: int, count_b: int, seed: int) -> tuple[np.ndarray, bool]:
    """Draw divisions of people into two groups.

    Args:
        count_a: Size of the first group.
        count_b: Size of the second group.
        seed: The same seed draws the same divisions.

    Returns:
        (divisions, people) of 1 for the first group and 0 for the second, and whether they are all there are: so where
        those are at most PERMUTATIONS.
    """
    count = count_a + count_b
    if math.comb(count, count_a) <= PERMUTATIONS:
        chosen = _list_combinations(count, count_a)
        divisions = np.zeros((len(chosen), count))
        np.put_along_axis(divisions, chosen, 1.0, axis=1)
        return _freeze(divisions), True
    random = np.random.default_rng([seed, count_a, count_b])
    first = np.concatenate([np.ones(count_a), np.zeros(count_b)])
    return _freeze(random.permuted(np.tile(first, (PERMUTATIONS, 1)), axis=1)), False


def _freeze(drawn: np.ndarray) -> np.ndarray:
    """Keep what is drawn once, for all tests of as many people, from being changed."""
    drawn.setflags(write=False)
    return drawn


def _list_combinations(count: int, chosen: int) -> np.ndarray:
    """All ways to choose so many of ``count``: (ways, chosen)."""
    return np.array(list(combinations(range(count), chosen)), dtype=np.int64)
