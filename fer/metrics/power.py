"""Power of a panel: how often a test finds a difference of a stated size, by the noncentral t distribution.

It is that of the two-sided t test, for normal values (Cohen 1988, chapter 2); permutation tests of means come close to
it (measured by ``python -m benchmarks.study_statistics``).
"""

import math

import numpy as np
from scipy.stats import nct
from scipy.stats import t as student_t

ALPHA = 0.05
WANTED_POWER = 0.8
# No panel is larger.
MOST_RESPONDENTS = 1_000_000


def compute_power_between(effect: float, count_a: int, count_b: int, alpha: float = ALPHA) -> float:
    """Compute the power for two groups of different people.

    Args:
        effect: Difference of the means in standard deviations within a group.
        count_a: People in the first group.
        count_b: People in the second group.
        alpha: Level of the test.

    Returns:
        The chance that the difference is found; NaN where a group has fewer than two.
    """
    if min(count_a, count_b) < 2:
        return math.nan
    return _compute_power(effect * math.sqrt(count_a * count_b / (count_a + count_b)), count_a + count_b - 2, alpha)


def compute_power_paired(effect: float, count: int, alpha: float = ALPHA) -> float:
    """Compute the power for the same people twice.

    Args:
        effect: Mean of the differences in standard deviations of the differences.
        count: Number of people.
        alpha: Level of the test.

    Returns:
        The chance that the difference is found; NaN for fewer than two people.
    """
    return _compute_power(effect * math.sqrt(count), count - 1, alpha) if count >= 2 else math.nan


def find_needed_count(effect: float, is_paired: bool, power: float = WANTED_POWER, alpha: float = ALPHA) -> int:
    """Find the smallest number of people, in each of two groups or of those who are seen twice, for a power.

    Args:
        effect: As the functions above take it.
        is_paired: Whether the same people are seen twice.
        power: The wanted chance.
        alpha: Level of the test.

    Returns:
        The number; MOST_RESPONDENTS where no smaller one is enough.
    """

    def suffices(count: int) -> bool:
        if is_paired:
            return compute_power_paired(effect, count, alpha) >= power
        return compute_power_between(effect, count, count, alpha) >= power

    low, high = 1, 2
    while high < MOST_RESPONDENTS and not suffices(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return min(high, MOST_RESPONDENTS)


def _compute_power(noncentrality: float, freedom: int, alpha: float) -> float:
    limit, noncentrality = student_t.ppf(1 - alpha / 2, freedom), abs(noncentrality)
    # On the far side SciPy gives NaN where there is nothing but rounding.
    far = float(np.nan_to_num(nct.cdf(-limit, freedom, noncentrality)))
    return min(1.0, float(nct.sf(limit, freedom, noncentrality)) + far)
