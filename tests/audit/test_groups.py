"""Metrics by group, against scikit-learn, SciPy and arithmetic by hand."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from fer.audit.groups import (
    Predictions,
    check_group_columns,
    compute_group_metrics,
    compute_p_within_classes,
    correct_by_holm,
)
from fer.errors import DataError


def drawn(count: int, seed: int, accuracy: float = 0.7, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    wrong = (labels + random.integers(1, classes, count)) % classes
    return labels, np.where(random.random(count) < accuracy, labels, wrong)


def test_metrics_of_each_group_are_those_of_scikit_learn() -> None:
    labels, predicted = drawn(400, 0)
    groups = np.array(["one", "two", None, "three"], dtype=object)[np.random.default_rng(1).integers(0, 4, 400)]
    entry = compute_group_metrics({"site": groups}, Predictions(labels, predicted, 3), 30)["site"]
    assert list(entry["groups"]) == ["one", "three", "two"]
    assert entry["unknown"] == (groups == None).sum()  # noqa: E711
    for name, row in entry["groups"].items():
        mask = groups == name
        assert row["samples"] == mask.sum() and row["judged"]
        true, answers = labels[mask], predicted[mask]
        assert row["accuracy"]["value"] == pytest.approx(accuracy_score(true, answers))
        assert row["balanced_accuracy"]["value"] == pytest.approx(balanced_accuracy_score(true, answers))
        assert row["macro_f1"]["value"] == pytest.approx(f1_score(true, answers, average="macro"))
        # A bootstrap of the images one by one.
        random = np.random.default_rng(5)
        means = [(true == answers)[random.integers(0, len(true), len(true))].mean() for _ in range(4000)]
        low, high = np.percentile(means, [2.5, 97.5])
        assert row["accuracy"]["low"] == pytest.approx(low, abs=0.02)
        assert row["accuracy"]["high"] == pytest.approx(high, abs=0.02)


def test_worst_group_gap_and_tests_of_a_group_that_is_worse() -> None:
    (one, right), (two, wrong) = drawn(300, 1, 0.9), drawn(200, 2, 0.6)
    predictions = Predictions(np.r_[one, two], np.r_[right, wrong], 3)
    entry = compute_group_metrics({"gender": ["b"] * 300 + ["a"] * 200}, predictions, 30)["gender"]
    better, worse = (one == right).mean(), (two == wrong).mean()
    assert entry["worst"]["group"] == "a" and entry["worst"]["value"] == pytest.approx(worse)
    assert (entry["gap"]["best"], entry["gap"]["worst"]) == ("b", "a")
    assert entry["gap"]["value"] == pytest.approx(better - worse)
    # Wald's interval of two proportions.
    error = 1.96 * np.sqrt(better * (1 - better) / 300 + worse * (1 - worse) / 200)
    assert entry["gap"]["low"] == pytest.approx(better - worse - error, abs=0.015)
    assert entry["gap"]["high"] == pytest.approx(better - worse + error, abs=0.015)
    (test,) = entry["tests"]
    assert test["groups"] == ["a", "b"] and test["difference"]["value"] == pytest.approx(worse - better)
    assert test["p"] == test["p_holm"] < 1e-6 and test["p_within_classes"] == pytest.approx(1e-4)
    table = [[(two == wrong).sum(), (two != wrong).sum()], [(one == right).sum(), (one != right).sum()]]
    assert np.log10(test["p"]) == pytest.approx(np.log10(chi2_contingency(table).pvalue), rel=0.15)


def test_groups_that_differ_by_their_expressions_alone_do_not_differ_within_classes() -> None:
    # Of class 0 nine of ten are right in either group, of class 1 five of ten; one group shows more of class 0.
    def matrix(zero: int, one: int) -> np.ndarray:
        return np.array([[9 * zero, zero], [5 * one, 5 * one]])

    easy, hard = matrix(40, 4), matrix(4, 40)
    assert compute_p_within_classes(easy, hard) > 0.9
    labels = np.r_[[0] * 400, [1] * 40, [0] * 40, [1] * 400]
    predicted = np.r_[[0] * 360, [1] * 40, [0] * 20, [1] * 20, [0] * 36, [1] * 4, [0] * 200, [1] * 200]
    entry = compute_group_metrics({"site": [0] * 440 + [1] * 440}, Predictions(labels, predicted, 2), 30)["site"]
    assert entry["tests"][0]["p"] < 1e-9 and entry["tests"][0]["p_within_classes"] > 0.9


def test_the_permutation_within_classes_is_that_of_all_ways_to_deal() -> None:
    # Class 0: 3 images of each group, 4 of 6 right; class 1: 2 and 3 images, 3 of 5 right.
    one, other = np.array([[3, 0], [0, 2]]), np.array([[1, 2], [2, 1]])

    def ways(right: int, size: int, share: int) -> list[tuple[int, float]]:
        from math import comb

        total = comb(size, share)
        return [
            (hits, comb(right, hits) * comb(size - right, share - hits) / total)
            for hits in range(max(0, share - size + right), min(right, share) + 1)
        ]

    expected = 3 * 4 / 6 + 2 * 3 / 5
    observed = abs(3 + 2 - expected)
    exact = sum(
        p * q for (a, p), (b, q) in product(ways(4, 6, 3), ways(3, 5, 2)) if abs(a + b - expected) >= observed - 1e-9
    )
    assert compute_p_within_classes(one, other) == pytest.approx(exact, abs=0.015)
    assert compute_p_within_classes(np.diag([5, 0]), np.diag([0, 5])) == 1.0


def test_small_groups_are_counted_and_not_judged() -> None:
    labels, predicted = drawn(60, 3)
    groups = ["few"] * 5 + ["many"] * 55
    entry = compute_group_metrics({"age": groups}, Predictions(labels, predicted, 3), 30)["age"]
    assert entry["groups"]["few"]["samples"] == 5 and not entry["groups"]["few"]["judged"]
    assert entry["worst"]["group"] == "many" and entry["gap"] is None and entry["tests"] == []
    none = compute_group_metrics({"age": [None] * 60}, Predictions(labels, predicted, 3), 30)["age"]
    assert none == {"groups": {}, "unknown": 60, "worst": None, "gap": None, "tests": []}


def test_holm_is_corrected_over_all_groupings() -> None:
    assert correct_by_holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert correct_by_holm([0.5, 0.9]) == [1.0, 1.0] and correct_by_holm([]) == []
    labels, predicted = drawn(400, 4)
    groupings = {"x": ["a", "b", "c", "d"] * 100, "y": ["e"] * 200 + ["f"] * 200}
    result = compute_group_metrics(groupings, Predictions(labels, predicted, 3), 30)
    tests = result["x"]["tests"] + result["y"]["tests"]
    assert len(tests) == 7
    assert [test["p_holm"] for test in tests] == correct_by_holm([test["p"] for test in tests])


def test_columns_that_cannot_be_groups() -> None:
    samples = pd.DataFrame({"source": ["a"] * 30, "gender": ["x"] * 30, "path": [str(n) for n in range(30)]})
    check_group_columns(["gender", "source"], samples)
    with pytest.raises(
        DataError, match=r"no source has race; the manifest has source, gender, path \(groups come with"
    ):
        check_group_columns(["race"], samples)
    with pytest.raises(DataError, match="path has 30 different values, and at most 20"):
        check_group_columns(["path"], samples)
