"""Gradual unfreezing: the classifier first, then the blocks from the top down."""

from typing import Any

from timm.models import group_parameters
from torch import nn

from fer.models.preparation import PreparedNetwork


def select_trainable_names(network: PreparedNetwork, epoch: int, head_epochs: int, unfreeze_per_epoch: int) -> set[str]:
    """Select the parameters of the body that train in an epoch.

    It depends on the epoch alone, so that a resumed training unfreezes as an unbroken one.

    Args:
        network: The network whose body is trained.
        epoch: The epoch, from 0.
        head_epochs: First epochs in which only the classifier trains.
        unfreeze_per_epoch: How many more of timm's parameter groups train in each epoch after them, from the top;
            0 unfreezes all at once.

    Returns:
        Names of ``network.body.named_parameters()``.
    """
    body: Any = network.body
    names = [name for name, _ in body.named_parameters()]
    head = {name for name in names if name.startswith(tuple(f"{name}." for name in network.classifier_names))}
    if epoch < head_epochs:
        return head
    if unfreeze_per_epoch == 0:
        return set(names)
    groups = group_parameters(body, body.group_matcher(coarse=True))
    below = [set(groups[number]) - head for number in sorted(groups, reverse=True)]
    below = [group for group in below if group]
    unfrozen = below[: (epoch - head_epochs + 1) * unfreeze_per_epoch]
    return head.union(*unfrozen)


def freeze_except(body: nn.Module, trainable: set[str]) -> None:
    """Let only the named parameters train; a batch norm whose parameters are frozen keeps its statistics."""
    for name, parameter in body.named_parameters():
        parameter.requires_grad_(name in trainable)
    for module in body.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train(all(parameter.requires_grad for parameter in module.parameters(recurse=False)))


def has_frozen_parameters(head_epochs: int, unfreeze_per_epoch: int) -> bool:
    """Whether any epoch of a training freezes parameters."""
    return head_epochs > 0 or unfreeze_per_epoch > 0
