"""Fitted classifiers of scikit-learn as arrays of PyTorch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from fer.models.fitted_heads import FittedHead, TreeHead, VectorHead, create_head
from fer.models.head_format import HeadFormat, HeadKind

# The logit of a class without training images: a probability of about 1e-13.
ABSENT = -30.0


def convert_estimator(kind: HeadKind, pipeline: Any, classes: int) -> FittedHead:
    """Convert a fitted classifier.

    Args:
        kind: What it is.
        pipeline: What ``fit_estimator`` returned.
        classes: Number of logits; those of which it has seen no image get almost no probability.

    Returns:
        A head, the softmax of whose logits is what ``pipeline.predict_proba`` gives.
    """
    model, columns = pipeline.named_steps["model"], pipeline.named_steps["model"].classes_.tolist()
    if kind == "gradient_boosting":
        return _convert_trees(model, columns, classes)
    scaler = pipeline.named_steps["scaler"]
    hidden = model.coefs_[0].shape[1] if kind == "mlp" else 0
    head = create_head(HeadFormat(kind, len(scaler.mean_), hidden=hidden), classes)
    assert isinstance(head, VectorHead), "all but trees are"
    if kind == "logistic":
        weight, bias = model.coef_, model.intercept_
    elif kind == "svm":
        weight, bias = _join_calibration(model.calibrated_classifiers_[0])
    else:
        weight, bias = model.coefs_[1].T, model.intercepts_[1]
        assert head.hidden is not None, "it has a hidden layer"
        _fill(head.hidden.weight, model.coefs_[0].T)
        _fill(head.hidden.bias, model.intercepts_[0])
    _fill(head.mean, scaler.mean_)
    _fill(head.scale, scaler.scale_)
    whole_weight, whole_bias = np.zeros((classes, weight.shape[1])), np.full(classes, ABSENT)
    whole_weight[columns], whole_bias[columns] = weight, bias
    _fill(head.classifier.weight, whole_weight)
    _fill(head.classifier.bias, whole_bias)
    return head.eval().requires_grad_(False)


def _fill(tensor: torch.Tensor, values: np.ndarray) -> None:
    with torch.no_grad():
        tensor.copy_(torch.from_numpy(np.ascontiguousarray(values)))


def _join_calibration(calibrated: Any) -> tuple[np.ndarray, np.ndarray]:
    """Weights and biases of the margins of a machine, as its sigmoids take them."""
    slopes = np.array([sigmoid.a_ for sigmoid in calibrated.calibrators])
    offsets = np.array([sigmoid.b_ for sigmoid in calibrated.calibrators])
    machine = calibrated.estimator
    return -slopes[:, None] * machine.coef_, -slopes * machine.intercept_ - offsets


def _convert_trees(model: Any, columns: Sequence[int], classes: int) -> TreeHead:
    """Boosted trees; a class without images has trees that are single leaves of 0."""
    rounds = [[predictor.nodes for predictor in trees] for trees in model._predictors]
    trees = [nodes for round_trees in rounds for nodes in round_trees]
    size = max(map(len, trees))
    # A tree that could not be split still asks once, and both answers are its leaf.
    depth = max(1, *(int(nodes["depth"].max()) for nodes in trees))
    head = create_head(
        HeadFormat("gradient_boosting", model.n_features_in_, rounds=len(rounds), nodes=size, depth=depth), classes
    )
    assert isinstance(head, TreeHead), "these are trees"
    own = torch.arange(len(head.left))
    head.left.copy_(own)
    head.right.copy_(own)
    for number, round_trees in enumerate(rounds):
        for column, nodes in zip(columns, round_trees, strict=True):
            _fill_tree(head, (number * classes + column) * size, nodes)
    baseline = np.full(classes, ABSENT)
    baseline[columns] = model._baseline_prediction.ravel()
    _fill(head.baseline, baseline)
    return head.eval()


def _fill_tree(head: TreeHead, start: int, nodes: Any) -> None:
    """Write a tree of scikit-learn into the arrays, from ``start``."""
    places = start + np.arange(len(nodes))
    asks = ~nodes["is_leaf"].astype(bool)
    chosen = torch.from_numpy(places[asks])
    head.feature[chosen] = torch.from_numpy(nodes["feature_idx"][asks].astype(np.int64))
    head.threshold[chosen] = torch.from_numpy(_round_down(nodes["num_threshold"][asks]))
    head.left[chosen] = torch.from_numpy(start + nodes["left"][asks].astype(np.int64))
    head.right[chosen] = torch.from_numpy(start + nodes["right"][asks].astype(np.int64))
    head.value[torch.from_numpy(places)] = torch.from_numpy(nodes["value"].astype(np.float32))


def _round_down(thresholds: np.ndarray) -> np.ndarray:
    """The largest float32 that is not above each threshold: it divides numbers of float32 as the threshold does."""
    rounded = thresholds.astype(np.float32)
    return np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded).astype(np.float32)
