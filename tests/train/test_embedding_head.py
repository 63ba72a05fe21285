"""Classical classifiers on embeddings: the same answers as scikit-learn's, trainings, bundles, and what is refused."""

import numpy as np
import pytest
import torch

from fer.config.embedding_head import Head
from fer.models.head_format import HEAD_KINDS, HeadKind
from fer.train.head_conversion import convert_estimator
from fer.train.head_estimators import fit_estimator

TINY = "test_resnet"
FAST = {"mlp": {"hidden": 8, "max_iter": 5}, "gradient_boosting": {"rounds": 4, "min_samples_leaf": 3}}


def draw_features(count: int = 140, length: int = 12, classes: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of overlapping groups, targets of which some are divided, and weights."""
    random = np.random.default_rng(0)
    labels = np.arange(count) % classes
    centres = random.normal(0, 2, (classes, length))
    features = (centres[labels] + random.normal(0, 1, (count, length))).astype(np.float32)
    targets = np.eye(classes, dtype=np.float32)[labels]
    targets[::5] = 0.6 * targets[::5] + 0.4 * np.roll(targets[::5], 1, axis=1)
    return features, targets, random.uniform(0.5, 2, count).astype(np.float32)


@pytest.mark.parametrize("kind", HEAD_KINDS)
def test_the_arrays_answer_as_scikit_learn_does(kind: HeadKind) -> None:
    features, targets, weights = draw_features()
    estimator = fit_estimator(Head(kind=kind, **FAST), features, targets, weights, 0, 1)
    head = convert_estimator(kind, estimator, 7)
    others = np.concatenate([features, 3 * np.random.default_rng(1).normal(0, 2, (500, 12)).astype(np.float32)])
    with torch.inference_mode():
        answers = head(torch.from_numpy(others)).double().softmax(1).numpy()
    np.testing.assert_allclose(answers, estimator.predict_proba(others), atol=1e-6)
    assert np.ptp(answers, axis=0).min() > 0.05
