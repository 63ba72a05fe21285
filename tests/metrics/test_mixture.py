"""The mean of several classifiers, and the weights that fit labels best."""

import numpy as np
import pytest

from fer.metrics.mixture import compute_mixture, fit_mixture_weights
from fer.metrics.scores import compute_log_loss


def draw(skills: tuple[float, ...], count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (M, N, 4) of classifiers of these skills, and the labels."""
    random = np.random.default_rng(0)
    labels = np.arange(count) % 4
    logits = random.normal(size=(len(skills), count, 4)) + np.array(skills)[:, None, None] * np.eye(4)[labels]
    return np.exp(logits) / np.exp(logits).sum(2, keepdims=True), labels


def test_the_mean_is_weighted() -> None:
    one, other = np.array([[0.9, 0.1]]), np.array([[0.5, 0.5]])
    found = compute_mixture(np.stack([one, other]).astype(np.float32), np.array([0.25, 0.75]))
    np.testing.assert_allclose(found, [[0.6, 0.4]], atol=1e-7)


@pytest.mark.parametrize("skills", [(1.0, 1.0), (2.0, 0.5), (3.0, 2.5)])
def test_the_weights_have_the_least_log_loss_of_all(skills: tuple[float, float]) -> None:
    probabilities, labels = draw(skills)
    weights = fit_mixture_weights(probabilities, labels)
    assert weights.sum() == pytest.approx(1) and weights.min() >= 0
    shares = np.linspace(0, 1, 1001)
    losses = [compute_log_loss(compute_mixture(probabilities, np.array([s, 1 - s])), labels) for s in shares]
    found = compute_log_loss(compute_mixture(probabilities, weights), labels)
    assert found <= min(losses) + 1e-5
    assert weights[0] == pytest.approx(shares[int(np.argmin(losses))], abs=0.01)


def test_a_classifier_that_adds_nothing_has_almost_no_weight() -> None:
    probabilities, labels = draw((2.0, 2.0, -2.0))
    weights = fit_mixture_weights(probabilities, labels)
    assert weights[2] < 0.01
    assert weights[:2].min() > 0.3


def test_certain_mistakes_of_all_are_borne() -> None:
    probabilities = np.array([[[1.0, 0.0], [0.9, 0.1]], [[1.0, 0.0], [0.2, 0.8]]])
    assert np.isfinite(fit_mixture_weights(probabilities, np.array([1, 1]))).all()
