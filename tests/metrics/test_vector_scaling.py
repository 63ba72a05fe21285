"""Vector scaling: known parameters are found, it is taken only where it pays, and bad data leave it finite."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from fer.metrics.calibration import (
    BIAS_RANGE,
    FOLDS,
    MIN_CLASS_IMAGES,
    PENALTY,
    SCALE_RANGE,
    TEMPERATURE_RANGE,
    Calibration,
    assign_folds,
    choose_calibration,
    compute_probabilities,
    fit_temperature,
    fit_vector_scaling,
)

SCALE = np.array([1.0, 0.6, 1.4, 1.0, 0.8])
BIAS = np.array([0.0, 1.2, -0.8, 0.4, -0.8])


def draw(
    count: int, scale: np.ndarray = SCALE, bias: np.ndarray = BIAS, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Logits (count, 5) and labels drawn with the probabilities that scale and bias make of them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (count, len(scale)))
    chances = softmax(logits * scale + bias, axis=1)
    return logits, (rng.random((count, 1)) > chances.cumsum(1)).sum(1).clip(max=len(scale) - 1)


def mean_log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    return float(-np.log(probabilities[np.arange(len(labels)), labels]).mean())


def test_known_scales_and_biases_are_found() -> None:
    logits, labels = draw(20000)
    found = fit_vector_scaling(logits, labels)
    np.testing.assert_allclose(found.scale, SCALE, atol=0.06)
    np.testing.assert_allclose(np.array(found.bias) - np.mean(found.bias), BIAS - BIAS.mean(), atol=0.1)
    assert found.temperature == fit_temperature(logits, labels)
    assert found.method == "vector"


def test_the_fit_is_the_minimum_of_another_optimizer_without_gradients() -> None:
    logits, labels = draw(400)
    temperature = fit_temperature(logits, labels)
    start = np.concatenate([np.ones(5), np.zeros(5)])

    def loss(values: np.ndarray) -> float:
        logs = log_softmax(logits / temperature * values[:5] + values[5:], axis=1)
        return float((PENALTY * ((values - start) ** 2).sum() - logs[np.arange(400), labels].sum()) / 400)

    slow = minimize(loss, start, method="Powell", options={"xtol": 1e-7, "ftol": 1e-13, "maxfev": 100_000})
    found = fit_vector_scaling(logits, labels)
    ours = np.concatenate([np.array(found.scale) * temperature, found.bias])
    assert loss(ours) <= slow.fun + 1e-9
    np.testing.assert_allclose(ours, slow.x, atol=2e-3)


def test_probabilities_by_hand() -> None:
    calibration = Calibration(3.0, (2.0, 1.0), (0.5, -0.5))
    exponentials = np.exp([2.5, 1.5])
    np.testing.assert_allclose(
        calibration.compute_probabilities(np.array([[1.0, 2.0]])), [exponentials / exponentials.sum()], rtol=1e-6
    )
    # Without them it is the temperature, to the bit.
    logits = np.random.default_rng(0).normal(0, 3, (50, 7)).astype(np.float32)
    np.testing.assert_array_equal(Calibration(1.7).compute_probabilities(logits), compute_probabilities(logits, 1.7))


@pytest.mark.parametrize("calibration", [Calibration(2.0), Calibration(3.0, (2.0, 1.0), (0.5, -0.5))])
def test_a_shift_multiplies_odds(calibration: Calibration) -> None:
    """Offsets that are minus the logarithm of the classes' frequencies divide their probabilities by them."""
    logits = np.random.default_rng(0).normal(0, 2, (20, 2))
    divided = calibration.compute_probabilities(logits) / [0.9, 0.1]
    shifted = calibration.shift(-np.log([0.9, 0.1])).compute_probabilities(logits)
    np.testing.assert_allclose(shifted, divided / divided.sum(1, keepdims=True), rtol=1e-5)


def test_the_better_one_is_chosen_and_measured_on_images_that_it_was_not_fitted_on() -> None:
    logits, labels = draw(2000)
    choice = choose_calibration(logits, labels, "auto")
    assert choice.calibration == fit_vector_scaling(logits, labels)
    folds = assign_folds(labels, FOLDS)
    by_hand = np.empty((2000, 5))
    for fold in range(FOLDS):
        fitted = fit_vector_scaling(logits[folds != fold], labels[folds != fold])
        by_hand[folds == fold] = softmax(logits[folds == fold] * fitted.scale + fitted.bias, axis=1)
    np.testing.assert_allclose(choice.held_out["vector"], by_hand, atol=1e-6)
    losses = {name: mean_log_loss(held, labels) for name, held in choice.held_out.items()}
    assert losses["vector"] < losses["temperature"] <= losses["none"] + 0.01
    assert f"gain {losses['temperature'] - losses['vector']:+.4f}" in choice.reason
    assert list(choice.held_out) == ["none", "temperature", "vector"] and choice.folds == FOLDS


def test_on_a_tie_within_the_standard_error_it_is_the_temperature() -> None:
    """Where a temperature is all that is needed, scales and biases gain nothing."""
    logits, labels = draw(2000, np.full(5, 0.5), np.zeros(5))
    choice = choose_calibration(logits, labels, "auto")
    assert choice.calibration == Calibration(fit_temperature(logits, labels))
    assert choice.calibration.temperature == pytest.approx(2, rel=0.1)
    assert "no more than the standard error" in choice.reason


def test_the_temperature_alone_where_it_was_asked_for() -> None:
    logits, labels = draw(2000)
    choice = choose_calibration(logits, labels, "temperature")
    assert choice.calibration == Calibration(fit_temperature(logits, labels))
    assert set(choice.held_out) == {"none", "temperature"}


@pytest.mark.parametrize("count", [1, 2, 3, 14])
def test_few_images_fall_back_to_the_temperature(count: int) -> None:
    logits, labels = draw(count)
    choice = choose_calibration(logits, labels, "auto")
    assert choice.calibration == Calibration(fit_temperature(logits, labels))
    assert f"need {MIN_CLASS_IMAGES} validation images of every class" in choice.reason
    assert choice.folds == (0 if count == 1 else min(FOLDS, count))
    assert all(np.isfinite(held).all() for held in choice.held_out.values())


def test_a_class_with_too_few_images_is_named_by_their_number() -> None:
    logits, labels = draw(2000)
    rare = labels == 2
    keep = ~rare | (np.cumsum(rare) <= MIN_CLASS_IMAGES - 1)
    choice = choose_calibration(logits[keep], labels[keep], "auto")
    assert choice.calibration.method == "temperature"
    assert choice.reason.endswith(f"and one has {MIN_CLASS_IMAGES - 1}")


def separated() -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(700) % 7
    return 20 * np.eye(7)[labels], labels


def reversed_classes() -> tuple[np.ndarray, np.ndarray]:
    logits, labels = separated()
    return -logits, labels


def constant() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((700, 7)), np.arange(700) % 7


def one_class() -> tuple[np.ndarray, np.ndarray]:
    return np.random.default_rng(0).normal(0, 2, (700, 7)), np.zeros(700, np.int64)


@pytest.mark.parametrize("data", [separated, reversed_classes, constant, one_class])
def test_degenerate_data_leave_everything_finite_and_within_bounds(data: object) -> None:
    logits, labels = data()  # type: ignore[operator]
    found = fit_vector_scaling(logits, labels)
    assert TEMPERATURE_RANGE[0] <= found.temperature <= TEMPERATURE_RANGE[1]
    relative = np.array(found.scale) * found.temperature
    assert ((relative >= SCALE_RANGE[0] - 1e-9) & (relative <= SCALE_RANGE[1] + 1e-9)).all()
    assert ((np.array(found.bias) >= BIAS_RANGE[0]) & (np.array(found.bias) <= BIAS_RANGE[1])).all()
    probabilities = choose_calibration(logits, labels, "auto").calibration.compute_probabilities(logits)
    assert np.isfinite(probabilities).all()
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)


def test_folds_are_equally_large_hold_every_class_and_stay_the_same() -> None:
    labels = np.repeat(np.arange(4), [40, 25, 20, 7])
    folds = assign_folds(labels, 5)
    assert np.ptp(np.bincount(folds)) <= 1
    for name, count in enumerate([40, 25, 20, 7]):
        shares = np.bincount(folds[labels == name], minlength=5)
        assert shares.min() >= math.floor(count / 5) and shares.max() <= math.ceil(count / 5)
    np.testing.assert_array_equal(folds, assign_folds(labels, 5))
