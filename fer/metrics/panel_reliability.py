"""How far a panel's curve would come out again with other people of the same kind.

Respondents are the sample: each is left out in turn, and what that changes gives the 95 % intervals (the jackknife,
Efron & Tibshirani 1993, chapter 11), on scales on which it is nearly normal. The usual F intervals of an intraclass
correlation take neighbouring seconds for independent, which they are not.
"""

import math

import numpy as np
from scipy.stats import t as student_t

from fer.metrics.small_samples import MIN_RESPONDENTS, TAIL

SPLITS = 100
# People and steps with fewer values than this share tell too little.
MIN_PRESENT = 0.5
IMPUTATIONS = 50
# A correlation of exactly 1 has no finite transform.
LARGEST_CORRELATION = 1 - 1e-9
MOST_RESPONDENTS = 1_000_000
ROUNDING = 1e-20
Estimate = tuple[float, float, float]
UNKNOWN: Estimate = (math.nan, math.nan, math.nan)


def compute_split_half(values: np.ndarray, seed: int) -> Estimate:
    """Compute the split-half reliability of a panel's mean curve.

    Args:
        values: (respondents, steps), NaN where one has no value.
        seed: Of the halves.

    Returns:
        The correlation over time between the mean curves of two random halves, averaged over SPLITS divisions and
        stepped up to the whole panel by Spearman's and Brown's formula (1910), and its lower and upper ends; NaN for
        fewer than MIN_RESPONDENTS people, fewer than three steps, or a flat curve.
    """
    values = _select_present(values)
    count, steps = values.shape
    if count < MIN_RESPONDENTS or steps < 3:
        return UNKNOWN
    present = np.isfinite(values).astype(np.float64)
    known = np.where(present > 0, values, 0.0)
    random = np.random.default_rng([seed, count])
    first = random.permuted(np.tile(np.arange(count) < count // 2, (SPLITS, 1)), axis=1).astype(np.float64)
    halves = [(half, half @ known, half @ present) for half in (first, 1 - first)]

    def correlate(left_out: int | None) -> float:
        curves = []
        for half, total, people in halves:
            if left_out is not None:
                total = total - half[:, [left_out]] * known[left_out]
                people = people - half[:, [left_out]] * present[left_out]
            curves.append(np.divide(total, people, out=np.full(total.shape, np.nan), where=people > 0))
        return _average_correlation(*curves)

    whole = correlate(None)
    ends = _jackknife(math.atanh(whole), np.arctanh([correlate(person) for person in range(count)]))
    low, high = (math.tanh(end) for end in ends)
    return _step_up(whole), _step_up(low), _step_up(high)


def _average_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Mean over rows of the correlation of two tables' rows, over the steps that both have."""
    both = np.isfinite(a) & np.isfinite(b)
    count = np.maximum(both.sum(axis=1, keepdims=True), 1)
    a, b = np.where(both, a, 0.0), np.where(both, b, 0.0)
    a, b = ((table - table.sum(axis=1, keepdims=True) / count) * both for table in (a, b))
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    known = scale > 0
    if not known.any():
        return math.nan
    mean = float(((a * b).sum(axis=1)[known] / scale[known]).mean())
    return min(max(mean, -LARGEST_CORRELATION), LARGEST_CORRELATION)


def _step_up(correlation: float) -> float:
    """Spearman's and Brown's reliability of twice as many, not below -1."""
    return max(2 * correlation / (1 + correlation), -1.0)


def compute_icc(values: np.ndarray) -> tuple[Estimate, Estimate]:
    """Compute intraclass correlations of respondents' curves.

    Args:
        values: (respondents, steps), NaN where one has no value.

    Returns:
        ICC(2,1) and ICC(2,k) of Shrout & Fleiss (1979), steps being what is rated and people who rates: how far single
        people's curves, and the panel's mean curve, agree absolutely with those of other people; each with its lower
        and upper end. Missing values are filled in by the sum of the person's and the step's effect, and leave the
        error's degrees of freedom (Yates 1933). NaN for fewer than MIN_RESPONDENTS people (the ends alone), fewer than
        two people or steps, or where nothing varies.
    """
    values = _select_present(values)
    count, steps = values.shape
    if min(count, steps) < 2:
        return UNKNOWN, UNKNOWN
    missing = np.isnan(values)
    filled = _impute(values, missing)
    single, mean = (float(value[0]) for value in _compute_iccs(filled[None], missing[None].sum(axis=(1, 2))))
    if count < MIN_RESPONDENTS or not math.isfinite(mean):
        return (single, math.nan, math.nan), (mean, math.nan, math.nan)
    others = ~np.eye(count, dtype=bool)
    parts = [_compute_iccs(filled[None, rest], missing[None, rest].sum(axis=(1, 2))) for rest in others]
    # The mean's error in proportion to what varies, whose logarithm is nearly normal; a single one's follows from it.
    ends = _jackknife(math.log(max(1 - mean, 1e-12)), np.log(np.maximum([1 - part[1][0] for part in parts], 1e-12)))
    high, low = (1 - math.exp(end) for end in ends)
    return (single, _step_down(low, count), _step_down(high, count)), (mean, low, high)


def _step_down(reliability: float, count: int) -> float:
    return reliability / (count - (count - 1) * reliability)


def _compute_iccs(values: np.ndarray, missing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ICC(2,1) and ICC(2,k) of tables (tables, people, steps); NaN where nothing varies."""
    _, people, steps = values.shape
    centred = values - values.mean(axis=(1, 2), keepdims=True)
    between_steps = people * (centred.mean(axis=1) ** 2).sum(axis=1) / (steps - 1)
    between_people = steps * (centred.mean(axis=2) ** 2).sum(axis=1) / (people - 1)
    total = (centred**2).sum(axis=(1, 2))
    freedom = np.maximum((people - 1) * (steps - 1) - missing, 1)
    error = (total - (steps - 1) * between_steps - (people - 1) * between_people) / freedom
    agreement = between_steps - error
    offsets = (between_people - error) / steps
    results = []
    for spread in (between_steps + (people - 1) * error + people * offsets, between_steps + offsets):
        # Values that are equal but for rounding vary by nothing.
        known = spread > ROUNDING * (values**2).mean(axis=(1, 2))
        results.append(np.divide(agreement, spread, out=np.full(len(spread), np.nan), where=known))
    return results[0], results[1]


def _impute(values: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Fill what is missing by the sum of the person's and the step's effect."""
    filled = np.where(missing, np.nanmean(values, axis=0), values)
    for _ in range(IMPUTATIONS if missing.any() else 0):
        effects = filled.mean(axis=0) + filled.mean(axis=1, keepdims=True) - filled.mean()
        filled = np.where(missing, effects, values)
    return filled


def compute_typical_deviation(values: np.ndarray) -> float:
    """Compute the standard deviation between respondents in a typical step.

    Args:
        values: (respondents, steps), NaN where one has no value.

    Returns:
        The root of the mean variance over steps with two people at least; NaN where there is none.
    """
    enough = np.isfinite(values).sum(axis=0) >= 2
    if not enough.any():
        return math.nan
    return math.sqrt(float(np.nanvar(values[:, enough], axis=0, ddof=1).mean()))


def find_needed_respondents(deviation: float, half_width: float) -> float:
    """Find how many respondents make a curve's 95 % band as narrow as wanted.

    Args:
        deviation: Standard deviation between respondents.
        half_width: Wanted distance of the band's ends from the mean.

    Returns:
        The smallest number, MIN_RESPONDENTS at least, of which Student's t band is so narrow; NaN where the deviation
        is unknown or so many people do not exist.
    """
    low, high = MIN_RESPONDENTS - 1, MOST_RESPONDENTS

    def suffices(count: int) -> bool:
        return bool(student_t.ppf(1 - TAIL, count - 1) * deviation <= half_width * math.sqrt(count))

    if not suffices(high):
        return math.nan
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return float(high)


def _select_present(values: np.ndarray) -> np.ndarray:
    """The steps that enough people have, and of them the people who have enough."""
    present = np.isfinite(values)
    steps = present.sum(axis=0) >= max(2, MIN_PRESENT * len(values))
    people = present[:, steps].sum(axis=1) >= max(1, MIN_PRESENT * steps.sum())
    selected = values[np.ix_(people, steps)]
    # Without those people a step may be nobody's.
    return selected[:, np.isfinite(selected).any(axis=0)]


def _jackknife(whole: float, parts: np.ndarray) -> tuple[float, float]:
    """The ends of an estimate's interval, from the estimates without each person in turn."""
    count = len(parts)
    error = math.sqrt((count - 1) / count * float(((parts - parts.mean()) ** 2).sum()))
    half = student_t.ppf(1 - TAIL, count - 1) * error
    return whole - half, whole + half
