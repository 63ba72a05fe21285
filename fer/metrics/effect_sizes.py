"""How large a difference is: Hedges' g and Cliff's delta with 95 % intervals, of two groups and of the same people.

Hedges' g is in standard deviations, and its interval that of the noncentral t distribution, which is exact for normal
values of equal variance (Cumming & Finch 2001). Cliff's delta is a difference of shares, so one person unlike all
others weighs no more than any other; its intervals need no normal values.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy.special import nctdtr
from scipy.stats import norm

from fer.metrics.small_samples import TAIL, TOLERANCE, compute_hedges_g

# Beyond it an interval's ends grow with t itself.
LARGEST_T = 1000.0
HALVINGS = 60


def compute_hedges_g_interval(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute Hedges' g of two groups of different people, and its interval.

    Args:
        a: (respondents, figures) of the first group.
        b: (respondents, figures) of the second group.

    Returns:
        g (see ``compute_hedges_g``), and the lower and upper ends (figures,) each; NaN where g is.
    """
    effect = compute_hedges_g(a, b)
    if min(len(a), len(b)) < 2:
        return effect, effect.copy(), effect.copy()
    freedom = len(a) + len(b) - 2
    return _find_effect_interval(effect, freedom, math.sqrt(len(a) * len(b) / (len(a) + len(b))))


def compute_paired_g_interval(differences: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute Hedges' g of the same people's differences, and its interval.

    Args:
        differences: (respondents, figures), each person's first value less the second.

    Returns:
        g, the mean difference in standard deviations of the differences less its bias (d_z of Cohen 1988, section
        2.3.5; Hedges 1981), and the lower and upper ends, (figures,) each; NaN for fewer than three people, of whom it
        has no estimate without bias, or where all differences are equal. It is the effect by which a panel's power is
        told, and larger than g of two groups where a person's values are alike.
    """
    count = len(differences)
    if count < 3:
        return _give_nothing(differences.shape[1])
    deviation = differences.std(axis=0, ddof=1)
    unknown = np.full(len(deviation), np.nan)
    effect = np.divide(differences.mean(axis=0), deviation, out=unknown, where=deviation > TOLERANCE)
    return _find_effect_interval(_compute_bias(count - 1) * effect, count - 1, math.sqrt(count))


def _give_nothing(figures: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    unknown = np.full(figures, np.nan)
    return unknown, unknown.copy(), unknown.copy()


def _compute_bias(freedom: int) -> float:
    return 1 - 3 / (4 * freedom - 1)


def _find_effect_interval(effect: np.ndarray, freedom: int, root: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The effects whose t-values are in the middle 95 % of their distributions; ``root`` turns an effect into one."""
    t_values = effect / _compute_bias(freedom) * root
    magnitudes = np.minimum(np.abs(t_values), LARGEST_T)

    def find(tail: float) -> np.ndarray:
        return _bisect(lambda guess: nctdtr(freedom, guess, magnitudes) > tail, -3.0, 4 * magnitudes + 4)

    stretch = np.abs(t_values) / np.where(magnitudes > 0, magnitudes, 1.0)
    stretch = np.maximum(stretch, 1.0)
    near, far = find(1 - TAIL) * stretch / root, find(TAIL) * stretch / root
    is_negative = effect < 0
    low, high = np.where(is_negative, -far, near), np.where(is_negative, -near, far)
    unknown = np.isnan(effect)
    return effect, np.where(unknown, np.nan, low), np.where(unknown, np.nan, high)


def compute_cliffs_delta(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute Cliff's delta of two groups of different people, and its interval.

    Args:
        a: (respondents, figures) of the first group.
        b: (respondents, figures) of the second group.

    Returns:
        Delta, the share of pairs in which the first is larger less that in which the second is (Cliff 1993), and the
        lower and upper ends of Newcombe's score-like interval (2006, method 5), which holds also where no pair speaks
        against the rest; (figures,) each, NaN where a group has fewer than two respondents.
    """
    count_a, count_b = len(a), len(b)
    if min(count_a, count_b) < 2:
        return _give_nothing(a.shape[1])
    ordered = np.sort(b, axis=0)
    delta = (
        np.array(
            [
                (np.searchsorted(column, values, "left") + np.searchsorted(column, values, "right")).sum()
                for column, values in zip(ordered.T, a.T, strict=True)
            ]
        )
        / (count_a * count_b)
        - 1.0
    )
    share = (delta + 1) / 2
    quantile = norm.ppf(1 - TAIL)
    spare = (count_a + count_b) / 2 - 1

    def compute_error(guess: np.ndarray) -> np.ndarray:
        # Variance of the share of pairs if both groups were exponential (Hanley & McNeil 1982).
        spread = 1 + spare * ((1 - guess) / (2 - guess) + guess / (1 + guess))
        return quantile * np.sqrt(np.maximum(guess * (1 - guess), 0) * spread / (count_a * count_b))

    low = _bisect(lambda guess: guess + compute_error(guess) < share, 0.0, share)
    high = _bisect(lambda guess: guess - compute_error(guess) < share, share, 1.0)
    return delta, 2 * low - 1, 2 * high - 1


def compute_paired_delta(differences: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute Cliff's delta of the same people's differences, and its interval.

    Args:
        differences: (respondents, figures), each person's first value less the second.

    Returns:
        Delta, the share of people whose first value is larger less that of those whose second is (d_w of Cliff 1996),
        and the lower and upper ends of its score interval, that of Wilson (1927) where nobody's values are equal;
        (figures,) each, NaN for fewer than two people.
    """
    count = len(differences)
    if count < 2:
        return _give_nothing(differences.shape[1])
    # Differences that are rounding alone are none.
    signs = np.sign(np.where(np.abs(differences) > TOLERANCE, differences, 0.0))
    delta = signs.mean(axis=0)
    # How many differ at all is taken for somewhat more than was seen: of equal people it would be nobody, for certain.
    differing = ((signs != 0).sum(axis=0) + 2.0) / (count + 2)
    weight = norm.ppf(1 - TAIL) ** 2 / count
    half = np.sqrt(delta**2 - (1 + weight) * (delta**2 - weight * differing))
    return delta, (delta - half) / (1 + weight), (delta + half) / (1 + weight)


def _bisect(
    is_below: Callable[[np.ndarray], np.ndarray], low: np.ndarray | float, high: np.ndarray | float
) -> np.ndarray:
    """The values between two bounds up to which ``is_below`` holds."""
    low, high = (end.copy() for end in np.broadcast_arrays(np.asarray(low, float), np.asarray(high, float)))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        below = is_below(middle)
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2
