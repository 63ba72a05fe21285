"""The confidence rule and conformal sets, against definitions written out here."""

import math

import numpy as np
import pytest

from fer.metrics.uncertainty import (
    LEVELS,
    ConfidenceRule,
    SetThresholds,
    fit_confidence_rule,
    fit_set_thresholds,
)


def two_classes(confidences: list[float], right: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (N, 2) that lead class 0 with these confidences, and labels by which they are right or not."""
    leading = np.array(confidences)
    return np.stack([leading, 1 - leading], axis=1), 1 - np.array(right)


def draw(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (count, 7) and labels that are drawn with them: perfectly calibrated."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(7, 0.3), count).astype(np.float32)
    return probabilities, (rng.random((count, 1)) > probabilities.astype(float).cumsum(1)).sum(1).clip(max=6)


def test_the_rule_by_hand() -> None:
    """Sorted: right, right, wrong, right, wrong. A precision of 0.6 holds down to the last, of 0.75 to the fourth."""
    data = two_classes([0.6, 0.95, 0.9, 0.8, 0.7], [0, 1, 1, 0, 1])
    assert fit_confidence_rule(*data, 0.6) == ConfidenceRule(0.6, 0.6, 0.6, 1.0, 5)
    assert fit_confidence_rule(*data, 0.75) == ConfidenceRule(0.75, 0.7, 0.75, 0.8, 5)
    # 0.8 takes five answers, and the best five have 0.6.
    assert fit_confidence_rule(*data, 0.8) == ConfidenceRule(0.8, None, None, 0.0, 5)


@pytest.mark.parametrize("target", [0.5, 0.8, 0.9, 0.95])
def test_the_rule_is_the_lowest_confidence_of_all_that_have_the_precision(target: float) -> None:
    probabilities, labels = draw(3000, 1)
    confidences, right = np.round(probabilities.max(1).astype(float), 6), probabilities.argmax(1) == labels
    possible = [
        value
        for value in np.unique(confidences)
        if right[confidences >= value].mean() >= target and (confidences >= value).sum() >= 1 / (1 - target)
    ]
    rule = fit_confidence_rule(probabilities, labels, target)
    assert rule.threshold == min(possible)
    kept = ~rule.find_uncertain(probabilities.max(1))
    assert rule.precision == pytest.approx(right[kept].mean()) and rule.precision >= target
    assert rule.coverage == pytest.approx(kept.mean())


def test_equal_confidences_are_in_or_out_together() -> None:
    data = two_classes([0.9, 0.8, 0.8, 0.8, 0.8], [1, 1, 1, 0, 0])
    assert fit_confidence_rule(*data, 0.75).threshold is None
    assert fit_confidence_rule(*data, 0.6) == ConfidenceRule(0.6, 0.8, 0.6, 1.0, 5)


def test_too_few_answers_cannot_tell_a_precision() -> None:
    """Nine right ones of nine may be luck where one of ten may be wrong; ten count."""
    assert fit_confidence_rule(*two_classes([0.9] * 9, [1] * 9), 0.9).threshold is None
    assert fit_confidence_rule(*two_classes([0.9] * 10, [1] * 10), 0.9).threshold == 0.9


def test_a_confidence_is_compared_as_tables_have_it() -> None:
    rule = ConfidenceRule(0.9, 0.5, 0.9, 1.0, 100)
    found = rule.find_uncertain(np.array([0.4999994, 0.4999996, 0.5, 0.6], np.float32))
    assert found.tolist() == [True, False, False, False]
    assert ConfidenceRule(0.9, None, None, 0.0, 5).find_uncertain(np.array([1.0, 0.2])).tolist() == [True, True]
    assert rule.find_uncertain(np.empty(0)).tolist() == []


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95, 0.99])
def test_thresholds_are_the_split_conformal_quantile(level: float) -> None:
    """The ceil((n + 1) level)-th smallest of the scores 1 - p(label)."""
    probabilities, labels = draw(999)
    scores = np.sort(1 - np.round(probabilities[np.arange(999), labels].astype(float), 6))
    rank = math.ceil(1000 * level - 1e-9)
    thresholds = fit_set_thresholds(probabilities, labels)
    assert thresholds.least_probability[level] == pytest.approx(1 - scores[rank - 1], abs=1e-9)
    sets = thresholds.find_sets(probabilities, level)
    covered = sets[np.arange(999), labels]
    assert covered.sum() >= rank


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
def test_sets_hold_the_right_class_as_often_as_promised_on_new_images(level: float) -> None:
    """The mean over many draws; at levels below the accuracy it is more, because no set is empty."""
    coverages, sizes = [], []
    for seed in range(30):
        thresholds = fit_set_thresholds(*draw(300, seed))
        probabilities, labels = draw(1000, 1000 + seed)
        sets = thresholds.find_sets(probabilities, level)
        coverages.append(sets[np.arange(1000), labels].mean())
        sizes.append(sets.sum(1).min())
    assert np.mean(coverages) >= level - 0.005
    if level >= 0.8:
        assert np.mean(coverages) <= level + 0.02
    assert min(sizes) == 1


def test_levels_between_two_take_the_higher_one_and_the_highest_takes_all() -> None:
    thresholds = SetThresholds(100, {0.5: 0.6, 0.9: 0.2, 0.95: None})
    probabilities = np.array([[0.7, 0.25, 0.05], [0.5, 0.1, 0.4]])
    assert thresholds.find_sets(probabilities, 0.3).tolist() == [[True, False, False], [True, False, False]]
    for level in (0.6, 0.9):
        assert thresholds.find_sets(probabilities, level).tolist() == [[True, True, False], [True, False, True]]
    for level in (0.91, 0.9999):
        assert thresholds.find_sets(probabilities, level).all()


@pytest.mark.parametrize("count", [1, 14])
def test_few_images_promise_nothing_beyond_what_they_can(count: int) -> None:
    thresholds = fit_set_thresholds(*draw(count))
    assert thresholds.samples == count
    for level, least in thresholds.least_probability.items():
        assert (least is None) == (math.ceil(round((count + 1) * level, 9)) > count)
    assert min(LEVELS) == 0.5 and max(LEVELS) == 0.999 and list(LEVELS) == sorted(set(LEVELS))
