"""The paired bootstrap against arithmetic by hand and against drawing images one by one."""

import math

import numpy as np
import pandas as pd
import pytest

from fer.metrics.bootstrap import (
    PAIRED_METRICS,
    RESAMPLES,
    compute_paired_difference,
    extract_predictions,
    resample_metrics,
)
from fer.metrics.classification import compute_confusion_matrix, compute_metrics

CLASSES = np.array(["anger", "fear", "neutral"])


def made(images: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) and the decisions (N, 3) of three classifiers of different strength."""
    random = np.random.default_rng(5)
    labels = CLASSES[random.integers(0, 3, images)]
    guesses = CLASSES[random.integers(0, 3, (images, 3))]
    return labels, np.where(random.random((images, 3)) < [0.8, 0.5, 0.2], labels[:, None], guesses)


def brute_force(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The paired metrics (figures, classifiers) as the training's own metrics count them."""
    codes = pd.Index(CLASSES).get_indexer
    found = [compute_metrics(compute_confusion_matrix(codes(labels), codes(column), 3)) for column in predicted.T]
    return np.array([[figure[name] for figure in found] for name in PAIRED_METRICS])


def test_the_first_row_is_the_images_themselves() -> None:
    labels, predicted = made()
    found = resample_metrics(labels, predicted)
    assert found.accuracy.shape == found.balanced_accuracy.shape == found.macro_f1.shape == (1 + RESAMPLES, 3)
    assert np.array([getattr(found, name)[0] for name in PAIRED_METRICS]) == pytest.approx(
        brute_force(labels, predicted), rel=1e-12
    )
    # Classes without images do not count, also where a classifier decides for them.
    one = resample_metrics(np.array(["fear", "fear"]), np.array([["fear"], ["contempt"]]))
    assert (one.accuracy[0, 0], one.macro_f1[0, 0]) == (0.5, pytest.approx(2 / 3))


def test_intervals_are_those_of_drawing_images_one_by_one() -> None:
    labels, predicted = made()
    random = np.random.default_rng(1)
    drawn = np.stack(
        [brute_force(labels[rows], predicted[rows]) for rows in random.integers(0, len(labels), (1500, len(labels)))]
    )
    found = resample_metrics(labels, predicted)
    for number, samples in enumerate((found.accuracy, found.balanced_accuracy, found.macro_f1)):
        fast = compute_paired_difference(samples[:, 0], samples[:, 1:])
        slow = drawn[:, number, [0]] - drawn[:, number, 1:]
        low, high = np.percentile(slow, (2.5, 97.5), axis=0)
        # A percentile of 1,500 or 2,000 samples is itself uncertain, by about a tenth of their deviation.
        room = 0.25 * slow.std(0)
        assert (np.abs(fast.low - low) < room).all() and (np.abs(fast.high - high) < room).all()
        share = 2 * np.minimum((slow <= 0).mean(0), (slow >= 0).mean(0))
        assert fast.p == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize(("wins", "losses", "count"), [(8, 12, 400), (0, 40, 400), (30, 10, 150), (200, 200, 2000)])
def test_the_interval_is_that_of_a_mean(wins: int, losses: int, count: int) -> None:
    labels = np.full(count, "anger")
    predicted = np.full((count, 2), "anger")
    predicted[:losses, 0] = "fear"
    predicted[losses : losses + wins, 1] = "fear"
    samples = resample_metrics(labels, predicted).accuracy
    found = compute_paired_difference(samples[:, 0], samples[:, 1:])
    mean = (wins - losses) / count
    error = math.sqrt(((wins + losses) / count - mean**2) / count)
    assert found.value.item() == pytest.approx(mean)
    assert found.low.item() == pytest.approx(mean - 1.96 * error, abs=0.2 * error + 1 / count)
    assert found.high.item() == pytest.approx(mean + 1.96 * error, abs=0.2 * error + 1 / count)


def test_equal_decisions_differ_by_nothing_and_the_smallest_p_is_not_zero() -> None:
    labels, predicted = made()
    samples = resample_metrics(
        labels, np.column_stack([predicted[:, 0], predicted[:, 0], np.full(60, "surprise")])
    ).accuracy
    found = compute_paired_difference(samples[:, 0], samples[:, 1:])
    assert (found.value[0], found.low[0], found.high[0], found.p[0]) == (0, 0, 0, 1)
    assert found.p[1] == pytest.approx(2 / (1 + RESAMPLES))
    again = resample_metrics(labels, predicted).macro_f1
    assert np.array_equal(again, resample_metrics(labels, predicted).macro_f1)


def test_many_images_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, predicted = made()
    whole = resample_metrics(labels, predicted).accuracy
    monkeypatch.setattr("fer.metrics.bootstrap.MAX_CELLS_PER_DRAW", 999)
    assert np.array_equal(resample_metrics(labels, predicted).accuracy, whole)


def test_decisions_count_a_picture_once() -> None:
    table = pd.DataFrame(
        {"sample_id": ["a", "b", "a"], "label": ["fear", "anger", "fear"], "p_anger": [0.1, 0.4, 0.9], "p_fear": 0.5}
    )
    assert extract_predictions(table, "sample_id").to_numpy().tolist() == [
        ["a", "fear", "fear"],
        ["b", "anger", "fear"],
    ]
