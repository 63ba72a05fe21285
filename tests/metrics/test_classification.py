"""Figures equal values computed by hand and by torchmetrics; intervals are as wide as theory says."""

import json
import math

import numpy as np
import pytest
import torch
from torchmetrics.functional import classification as theirs

from fer.emotions import EMOTIONS
from fer.metrics.bootstrap import compute_interval, resample_confusion
from fer.metrics.classification import compute_confusion_matrix, compute_metrics
from fer.metrics.evaluation import Evaluation
from fer.train.metrics import compute_calibration_error, compute_kl_to_votes, compute_log_loss, compute_split_metrics


def judged(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predictions of 7 unequal classes, about two thirds right."""
    random = np.random.default_rng(seed)
    labels = random.choice(7, count, p=[0.3, 0.02, 0.08, 0.25, 0.15, 0.1, 0.1])
    return labels, np.where(random.random(count) < 0.6, labels, random.integers(0, 7, count))


def test_figures_by_hand() -> None:
    found = compute_metrics(np.array([[3, 1], [2, 4]]))
    assert found["accuracy"] == pytest.approx(0.7)
    assert found["recall"] == pytest.approx([3 / 4, 4 / 6])
    assert found["precision"] == pytest.approx([3 / 5, 4 / 5])
    assert found["f1"] == pytest.approx([6 / 9, 8 / 11])
    assert found["balanced_accuracy"] == pytest.approx((3 / 4 + 4 / 6) / 2)
    assert found["macro_f1"] == pytest.approx((6 / 9 + 8 / 11) / 2)


def test_rows_are_true_and_columns_predicted() -> None:
    found = compute_confusion_matrix(np.array([0, 0, 2, 1]), np.array([1, 0, 2, 1]), 3)
    assert found.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]


def test_figures_are_those_of_torchmetrics() -> None:
    labels, predicted = judged(2000)
    matrix = compute_confusion_matrix(labels, predicted, 7)
    truth, guess = torch.tensor(labels), torch.tensor(predicted)
    np.testing.assert_array_equal(matrix, theirs.multiclass_confusion_matrix(guess, truth, 7).numpy())
    found = compute_metrics(matrix)
    expected = {
        "accuracy": theirs.multiclass_accuracy(guess, truth, 7, average="micro"),
        "balanced_accuracy": theirs.multiclass_accuracy(guess, truth, 7, average="macro"),
        "macro_f1": theirs.multiclass_f1_score(guess, truth, 7, average="macro"),
        "precision": theirs.multiclass_precision(guess, truth, 7, average="none"),
        "recall": theirs.multiclass_recall(guess, truth, 7, average="none"),
        "f1": theirs.multiclass_f1_score(guess, truth, 7, average="none"),
    }
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value.numpy(), rtol=1e-5, err_msg=name)


def test_a_class_without_images_counts_nowhere() -> None:
    found = compute_metrics(np.array([[5, 0, 1], [0, 0, 0], [2, 0, 2]]))
    assert found["accuracy"] == pytest.approx(0.7)
    assert found["balanced_accuracy"] == pytest.approx((5 / 6 + 2 / 4) / 2)
    assert found["macro_f1"] == pytest.approx((10 / 13 + 4 / 7) / 2)
    for name in ("precision", "recall", "f1"):
        assert np.isnan(found[name]).tolist() == [False, True, False]


def test_a_class_that_is_never_predicted_has_precision_0() -> None:
    found = compute_metrics(np.array([[6, 0], [4, 0]]))
    assert found["precision"].tolist() == [0.6, 0.0]
    assert found["f1"].tolist() == [0.75, 0.0]
    assert found["macro_f1"] == pytest.approx(0.375)
    assert found["balanced_accuracy"] == pytest.approx(0.5)


def test_many_matrices_at_once_give_what_each_gives() -> None:
    stack = np.stack([compute_confusion_matrix(*judged(300, seed), 7) for seed in range(6)]).reshape(2, 3, 7, 7)
    together = compute_metrics(stack)
    for row in range(2):
        for column in range(3):
            for name, value in compute_metrics(stack[row, column]).items():
                np.testing.assert_array_equal(together[name][row, column], value)


@pytest.mark.parametrize("count", [200, 5000])
def test_the_interval_is_about_as_wide_as_the_normal_approximation(count: int) -> None:
    right = int(0.85 * count)
    matrix = np.array([[right // 2, count // 2 - right // 2], [count // 2 - right // 2, right // 2]])
    value = float(compute_metrics(matrix)["accuracy"])
    found = compute_interval(value, compute_metrics(resample_confusion(matrix))["accuracy"])
    low, high = found["low"], found["high"]
    assert low is not None and high is not None
    assert low < value < high
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(value * (1 - value) / count), rel=0.1)


def test_resampling_keeps_the_number_of_images_and_repeats() -> None:
    matrix = compute_confusion_matrix(*judged(500), 7)
    first = resample_confusion(matrix)
    assert (first.sum((1, 2)) == 500).all()
    np.testing.assert_allclose(first.mean(0), matrix, atol=1.5)
    np.testing.assert_array_equal(first, resample_confusion(matrix))
    assert (first != resample_confusion(matrix, seed=1)).any()


def test_an_interval_of_nothing_is_nothing() -> None:
    assert compute_interval(float("nan"), np.full(10, np.nan)) == {"value": None, "low": None, "high": None}
    assert compute_interval(0.5, np.array([0.4, np.nan, 0.6])) == {
        "value": 0.5,
        "low": pytest.approx(0.405),
        "high": pytest.approx(0.595),
    }


def test_log_loss_by_hand() -> None:
    found = compute_log_loss(np.array([[0.5, 0.5], [0.25, 0.75]], np.float32), np.array([0, 1]))
    assert found == pytest.approx(-(math.log(0.5) + math.log(0.75)) / 2, abs=1e-6)
    assert compute_log_loss(np.array([[1.0, 0.0]], np.float32), np.array([1])) == pytest.approx(-math.log(1e-12))


def confident(confidence: float, right: int, wrong: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of two classes, always the first with ``confidence``, and labels."""
    row = np.array([confidence, 1 - confidence], np.float32)
    return np.tile(row, (right + wrong, 1)), np.repeat([0, 1], [right, wrong])


def test_calibration_error_by_hand() -> None:
    honest, overconfident = confident(0.8, 80, 20), confident(0.95, 60, 40)
    assert compute_calibration_error(*honest) == pytest.approx(0.0, abs=1e-6)
    assert compute_calibration_error(*overconfident) == pytest.approx(0.35, abs=1e-6)
    assert compute_calibration_error(*confident(0.6, 90, 10)) == pytest.approx(0.3, abs=1e-6)
    both = tuple(np.concatenate(pair) for pair in zip(honest, overconfident, strict=True))
    assert compute_calibration_error(*both) == pytest.approx(0.175, abs=1e-6)
    # A confidence of exactly 1 belongs to the last bin: (0.94 · 50 + 1 · 50) / 100 said, 90 of 100 right.
    sure = tuple(np.concatenate(pair) for pair in zip(confident(1.0, 40, 10), confident(0.94, 50, 0), strict=True))
    assert compute_calibration_error(*sure) == pytest.approx(0.97 - 0.9, abs=1e-6)
    assert Evaluation(sure[0], sure[1], ("anger", "fear")).compute_scores()["ece"]["value"] == pytest.approx(0.07)


def test_kl_divergence_by_hand() -> None:
    probabilities = np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7], [0.2, 0.2, 0.6]], np.float32)
    votes = np.array([[5.0, 5.0, 0.0], [1.0, 2.0, 7.0], [np.nan, np.nan, np.nan]])
    assert compute_kl_to_votes(probabilities[:1], votes[:1]) == pytest.approx(0.5 * math.log(2), abs=1e-6)
    assert compute_kl_to_votes(probabilities[1:2], votes[1:2]) == pytest.approx(0.0, abs=1e-6)
    # A row without votes is left out, not counted as 0.
    assert compute_kl_to_votes(probabilities, votes) == pytest.approx(0.25 * math.log(2), abs=1e-6)
    assert compute_kl_to_votes(probabilities[2:], votes[2:]) is None
    assert compute_kl_to_votes(probabilities[2:], np.zeros((1, 3))) is None


def test_kl_divergence_of_a_certain_mistake_is_finite() -> None:
    found = compute_kl_to_votes(np.array([[1.0, 0.0]], np.float32), np.array([[0.0, 3.0]]))
    assert found == pytest.approx(-math.log(1e-12), rel=1e-6)


def test_the_report_of_a_part() -> None:
    labels, predicted = judged(400)
    labels[labels == 1] = 0
    predicted[predicted == 2] = 4
    random = np.random.default_rng(3)
    raw = (0.2 * random.random((400, 7)) + 0.8 * np.eye(7)[predicted]).astype(np.float32)
    raw /= raw.sum(1, keepdims=True)
    calibrated = raw**0.5 / (raw**0.5).sum(1, keepdims=True)
    sources = ["a"] * 100 + ["b"] * 300
    votes = np.where(np.arange(400)[:, None] < 100, 10 * np.eye(7)[labels], np.nan)
    found = compute_split_metrics(raw, calibrated, labels, votes, sources, EMOTIONS)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    matrix = compute_confusion_matrix(labels, predicted, 7)
    assert found["samples"] == 400
    assert found["confusion_matrix"] == matrix.tolist()
    assert found["accuracy"]["value"] == pytest.approx((labels == predicted).mean())
    assert found["accuracy"]["low"] < found["accuracy"]["value"] < found["accuracy"]["high"]
    assert list(found["per_class"]) == list(EMOTIONS)
    disgust, fear = found["per_class"]["disgust"], found["per_class"]["fear"]
    assert disgust["samples"] == 0
    assert disgust["f1"] == disgust["recall"] == {"value": None, "low": None, "high": None}
    assert fear["precision"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert {name: own["samples"] for name, own in found["by_source"].items()} == {"a": 100, "b": 300}
    assert found["by_source"]["a"]["accuracy"]["value"] == pytest.approx((labels == predicted)[:100].mean())
    assert found["log_loss"] == compute_log_loss(raw, labels)
    assert found["log_loss_calibrated"] == compute_log_loss(calibrated, labels)
    assert found["ece"] == compute_calibration_error(raw, labels)
    assert found["ece_calibrated"] == compute_calibration_error(calibrated, labels)
    assert found["kl_to_votes"] == pytest.approx(compute_log_loss(calibrated[:100], labels[:100]), abs=1e-6)
