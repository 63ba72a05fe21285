"""Temperature scaling finds a known temperature and changes no decision."""

import numpy as np
import pytest

from fer.metrics.calibration import TEMPERATURE_RANGE, compute_probabilities, fit_temperature
from fer.train.metrics import compute_log_loss


def drawn(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are right about how probable each class is, and labels drawn from them."""
    random = np.random.default_rng(seed)
    logits = 1.5 * random.standard_normal((count, 7))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (shares.cumsum(1) > random.random((count, 1))).argmax(1)
    return logits.astype(np.float32), labels


@pytest.mark.parametrize("factor", [0.25, 1.0, 3.0, 10.0])
def test_a_known_scaling_is_recovered(factor: float) -> None:
    logits, labels = drawn(20_000)
    temperature = fit_temperature(logits * factor, labels)
    assert temperature == pytest.approx(factor, rel=0.04)
    before = compute_log_loss(compute_probabilities(logits * factor, 1.0), labels)
    after = compute_log_loss(compute_probabilities(logits * factor, temperature), labels)
    assert after == pytest.approx(compute_log_loss(compute_probabilities(logits, 1.0), labels), abs=1e-3)
    if factor != 1.0:
        assert after < before - 0.05


@pytest.mark.parametrize("temperature", [*TEMPERATURE_RANGE, 0.7, 1.0, 3.0])
def test_no_decision_changes(temperature: float) -> None:
    logits, _ = drawn(5000, 1)
    found = compute_probabilities(logits, temperature)
    np.testing.assert_array_equal(found.argmax(1), logits.argmax(1))
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
    assert found.dtype == np.float32


def test_probabilities_by_hand() -> None:
    found = compute_probabilities(np.log([[0.7, 0.2, 0.1]]), 1.0)
    np.testing.assert_allclose(found, [[0.7, 0.2, 0.1]], atol=1e-7)
    # Half the logits are the square roots of the shares.
    roots = np.sqrt([0.7, 0.2, 0.1])
    np.testing.assert_allclose(compute_probabilities(np.log([[0.7, 0.2, 0.1]]), 2.0), [roots / roots.sum()], atol=1e-7)


def test_huge_logits_do_not_overflow() -> None:
    found = compute_probabilities(np.array([[1e4, 0.0, -1e4]], np.float32), 0.05)
    assert found.tolist() == [[1.0, 0.0, 0.0]]


def test_a_faultless_and_a_hopeless_network_stay_in_range() -> None:
    labels = np.arange(70) % 7
    right = np.eye(7)[labels]
    assert TEMPERATURE_RANGE[0] <= fit_temperature(right, labels) < TEMPERATURE_RANGE[0] * 1.01
    assert TEMPERATURE_RANGE[1] * 0.99 < fit_temperature(-right, labels) <= TEMPERATURE_RANGE[1]
    assert np.isfinite(fit_temperature(np.zeros((10, 7)), labels[:10]))


def test_no_images_give_no_rows() -> None:
    assert compute_probabilities(np.empty((0, 7), np.float32), 1.3).shape == (0, 7)
