"""Losses on target distributions, one value an image."""

import torch
import torch.nn.functional as F
from torch import Tensor


def smooth_targets(targets: Tensor, smoothing: float) -> Tensor:
    """Targets (N, classes) with the share ``smoothing`` spread evenly (arXiv:1512.00567)."""
    return targets * (1 - smoothing) + smoothing / targets.shape[1] if smoothing else targets


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """-sum(t log p), (N,)."""
    return -(targets * F.log_softmax(logits, dim=1)).sum(1)


def focal_loss(logits: Tensor, targets: Tensor, gamma: float) -> Tensor:
    """-sum(t (1-p)^gamma log p), (N,): images that are already right count less (arXiv:1708.02002)."""
    log_probabilities = F.log_softmax(logits, dim=1)
    # Below gamma 1 the power has an infinite slope at 0, where an image is judged with certainty.
    wrong = (1 - log_probabilities.exp()).clamp(min=1e-6)
    return -(targets * wrong**gamma * log_probabilities).sum(1)


def compute_weighted_loss(
    logits: Tensor, targets: Tensor, weights: Tensor, kind: str, smoothing: float, gamma: float
) -> Tensor:
    """Mean loss over a batch: logits and targets (N, classes), ``weights`` (N,) of the images, in float32 or wider."""
    smoothed = smooth_targets(targets, smoothing)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    losses = focal_loss(logits, smoothed, gamma) if kind == "focal" else cross_entropy(logits, smoothed)
    return (losses * weights).sum() / torch.clamp(weights.sum(), min=1e-12)
