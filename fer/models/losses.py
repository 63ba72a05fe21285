"""Losses on target distributions, one value an image."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from fer.errors import UserError


def smooth_targets(targets: Tensor, smoothing: float) -> Tensor:
    """Targets (N, classes) with the fraction ``smoothing`` spread evenly over the classes (arXiv:1512.00567)."""
    return targets * (1 - smoothing) + smoothing / targets.shape[1] if smoothing else targets


def cross_entropy(logits: Tensor, targets: Tensor, gamma: float = 0.0) -> Tensor:
    """-sum(t log p), (N,); ``gamma`` is that of the focal loss and has no effect."""
    return functional.cross_entropy(logits, targets, reduction="none")


def focal_loss(logits: Tensor, targets: Tensor, gamma: float) -> Tensor:
    """-sum(t (1-p)^gamma log p), (N,): images that are already right count less (arXiv:1708.02002)."""
    log_probabilities = functional.log_softmax(logits, dim=1)
    # Below gamma 1 the power has an infinite slope at 0, where the network is certain of an image.
    wrong = (1 - log_probabilities.exp()).clamp(min=1e-6)
    return -(targets * wrong**gamma * log_probabilities).sum(1)


# A plugin's loss: (logits, targets) to losses (N,).
PluginLoss = Callable[[Tensor, Tensor], Tensor]
# The built-in kinds of model.loss.kind: (logits, targets, gamma) to losses (N,).
LOSSES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {"cross_entropy": cross_entropy, "focal": focal_loss}


def compute_weighted_loss(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor,
    kind: str,
    smoothing: float,
    gamma: float,
    plugin: PluginLoss | None = None,
) -> Tensor:
    """Compute the weighted mean loss of a batch, in float32 or wider.

    Args:
        logits: (N, classes), of any floating type.
        targets: (N, classes), each row a distribution over the classes.
        weights: (N,) of the images; a batch whose weights are all 0 has loss 0.
        kind: One of LOSSES, or the name of ``plugin``.
        smoothing: Fraction of each target that is spread evenly over the classes.
        gamma: Exponent of the focal loss.
        plugin: A plugin's loss.

    Returns:
        A scalar.

    Raises:
        UserError: The plugin does not give a loss of each image.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    targets = smooth_targets(targets, smoothing)
    if plugin is None:
        losses = LOSSES[kind](logits, targets, gamma)
    else:
        losses = plugin(logits, targets)
        if losses.shape != weights.shape:
            raise UserError(
                f"model.loss.kind={kind}: must give a loss of each of {len(weights)} images, but gives "
                f"{tuple(losses.shape)}"
            )
    return average_losses(losses, weights)


def average_losses(losses: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of losses (N,); 0 where all weights are 0."""
    return (losses * weights).sum() / torch.clamp(weights.sum(), min=1e-12)


def compute_distillation_loss(logits: Tensor, soft_targets: Tensor, temperature: float) -> Tensor:
    """Compute the loss of a student against its teachers' answers (arXiv:1503.02531).

    Args:
        logits: (N, classes) of the student, float32 or wider.
        soft_targets: (N, classes) probabilities of the teachers.
        temperature: Above 1 the small probabilities of both count more.

    Returns:
        Losses (N,), times the temperature's square, by which gradients keep their size.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    softened = functional.softmax(soft_targets.clamp(min=1e-8).log() / temperature, dim=1)
    return temperature**2 * functional.cross_entropy(logits / temperature, softened, reduction="none")


def compute_affect_loss(outputs: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Compute 1 - Lin's concordance correlation coefficient over a batch, the mean of valence and arousal.

    Args:
        outputs: (N, 2) before the hyperbolic tangent.
        truth: (N, 2), -1 to 1, NaN where an image has none.
        weights: (N,) of the images.

    Returns:
        A scalar; a dimension that fewer than two images have counts as 0.
    """
    predicted = torch.tanh(outputs.to(torch.promote_types(outputs.dtype, torch.float32)))
    known = torch.isfinite(truth) * weights[:, None]
    total = known.sum(0)
    share = known / total.clamp(min=1e-12)
    truth = torch.nan_to_num(truth)
    mean_t, mean_p = (share * truth).sum(0), (share * predicted).sum(0)
    centred_t, centred_p = truth - mean_t, predicted - mean_p
    spread = (share * (centred_t**2 + centred_p**2)).sum(0) + (mean_t - mean_p) ** 2
    losses = 1 - 2 * (share * centred_t * centred_p).sum(0) / (spread + 1e-8)
    return torch.where((known > 0).sum(0) > 1, losses, torch.zeros_like(losses)).mean()
