"""Intervals of means over few people, which hold where the usual bootstrap band is too narrow.

The percentile bootstrap knows nothing of how uncertain a deviation from eight values is, and Student's t nothing of
skewness. The bootstrap of the studentised mean (Efron & Tibshirani 1993, chapter 12) knows both, but varies at the
shorter side. At each end the further of the two counts. What they cover is measured in
``tests/metrics/test_small_samples.py``.
"""

import numpy as np

from fer.metrics.bootstrap import RESAMPLES

# Below so many people a band is withheld: no method tells from four values how skewed they are.
MIN_RESPONDENTS = 5
TAIL = 0.025
# One person unlike all others can make the studentised bootstrap's end infinite. So many times Student's t is enough:
# it changes what is covered by less than half a point.
MAX_STRETCH = 3.0
# Deviations of a sample that are below this fraction of the original's are rounding.
TOLERANCE = 1e-10
# How many steps are computed at a time bounds the memory.
STEPS_PER_BLOCK = 256


def compute_mean_interval(values: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute 95 % intervals of the mean over respondents, who are the independent observations.

    Args:
        values: (respondents, steps), NaN where a respondent has no value.
        seed: The same seed draws the same bootstrap samples.

    Returns:
        The lower and the upper ends (steps,), NaN where fewer than MIN_RESPONDENTS have a value.
    """
    low, high = np.full((2, values.shape[1]), np.nan)
    patterns, step_patterns = np.unique(np.isfinite(values), axis=1, return_inverse=True)
    draws: dict[int, np.ndarray] = {}
    for index, present in enumerate(patterns.T):
        count = int(present.sum())
        if count < MIN_RESPONDENTS:
            continue
        steps = np.flatnonzero(step_patterns.reshape(-1) == index)
        # As many people draw the same samples in every step and emotion.
        if count not in draws:
            draws[count] = _draw_counts(count, np.random.default_rng([seed, count]))
        for block in np.array_split(steps, -(-len(steps) // STEPS_PER_BLOCK)):
            known = values[np.ix_(present, block)]
            samples = _resample(known, draws[count])
            ends = _find_ends(*samples, known.var(axis=0, ddof=1) / count, np.full(len(block), count - 1.0))
            low[block], high[block] = known.mean(axis=0) + ends
    return low, high


def compute_difference_interval(a: np.ndarray, b: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute 95 % intervals of the difference between the means of two groups of different people.

    Args:
        a: (respondents, figures) of the first group.
        b: (respondents, figures) of the second group.
        seed: The same seed draws the same bootstrap samples.

    Returns:
        The lower and the upper ends (figures,) of a's mean less b's; NaN where a group has fewer than two respondents.
    """
    if min(len(a), len(b)) < 2:
        return np.full(a.shape[1], np.nan), np.full(a.shape[1], np.nan)
    variance_a, variance_b = a.var(axis=0, ddof=1) / len(a), b.var(axis=0, ddof=1) / len(b)
    freedom = _compute_welch_freedom(variance_a, variance_b, len(a), len(b))
    random = np.random.default_rng([seed, len(a), len(b)])
    (means_a, spread_a), (means_b, spread_b) = (_resample(group, _draw_counts(len(group), random)) for group in (a, b))
    ends = _find_ends(means_a - means_b, spread_a + spread_b, variance_a + variance_b, freedom)
    low, high = a.mean(axis=0) - b.mean(axis=0) + ends
    return low, high


def compute_hedges_g(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute Hedges' g, the difference of two groups' means in pooled standard deviations, less its bias.

    Args:
        a: (respondents, figures) of the first group.
        b: (respondents, figures) of the second group.

    Returns:
        (figures,) (Hedges 1981); NaN where a group has fewer than two respondents or nobody differs from anybody.
    """
    freedom = len(a) + len(b) - 2
    if min(len(a), len(b)) < 2:
        return np.full(a.shape[1], np.nan)
    pooled = np.sqrt(((len(a) - 1) * a.var(axis=0, ddof=1) + (len(b) - 1) * b.var(axis=0, ddof=1)) / freedom)
    difference = a.mean(axis=0) - b.mean(axis=0)
    # Values that are equal but for rounding have no standard deviation.
    known = pooled > TOLERANCE
    effect = np.divide(difference, pooled, out=np.full(len(pooled), np.nan), where=known)
    return np.asarray((1 - 3 / (4 * freedom - 1)) * effect)


def _draw_counts(count: int, random: np.random.Generator) -> np.ndarray:
    """Draw bootstrap samples of ``count`` people, as how often each is in them: (count, RESAMPLES)."""
    return random.multinomial(count, np.full(count, 1 / count), RESAMPLES).T.astype(np.float64)


def _resample(values: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Deviations of the samples' means from the mean, and the means' estimated variances: (steps, RESAMPLES) each."""
    count = len(values)
    deviations = (values - values.mean(axis=0)).T
    means = deviations @ draws / count
    variances = (deviations**2 @ draws / count - means**2) / (count - 1)
    return means, variances


def _find_ends(
    deviations: np.ndarray, variances: np.ndarray, variance: np.ndarray, freedom: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How far below and above an estimate its interval reaches.

    Args:
        deviations: (steps, RESAMPLES) of the samples' estimates from the estimate.
        variances: (steps, RESAMPLES) of the samples' estimates, as each sample itself gives them.
        variance: (steps,) of the estimate.
        freedom: (steps,) degrees of freedom of ``variance``.
    """
    # Slow to import, and most pages have no groups.
    from scipy.stats import t as student_t

    quantile = student_t.ppf(1 - TAIL, freedom)
    # A sample of equal values deviates without bound.
    bounded = np.maximum(variances, TOLERANCE**2 + TOLERANCE * variance[:, None])
    studentized = deviations / np.sqrt(bounded)
    rank = round(TAIL * (RESAMPLES - 1))
    ordered = np.partition(studentized, (rank, RESAMPLES - 1 - rank), axis=1)
    most = MAX_STRETCH * quantile
    error = np.sqrt(variance)
    below = np.clip(ordered[:, RESAMPLES - 1 - rank], quantile, most) * error
    above = np.clip(-ordered[:, rank], quantile, most) * error
    return -below, above


def _compute_welch_freedom(variance_a: np.ndarray, variance_b: np.ndarray, count_a: int, count_b: int) -> np.ndarray:
    """Degrees of freedom after Welch (1947); those of equal variances where nobody differs from anybody."""
    denominator = variance_a**2 / (count_a - 1) + variance_b**2 / (count_b - 1)
    pooled = np.full(len(variance_a), count_a + count_b - 2.0)
    return np.divide((variance_a + variance_b) ** 2, denominator, out=pooled, where=denominator > 0)
