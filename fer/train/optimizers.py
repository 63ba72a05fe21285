"""The optimizer of a training, by timm's name."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from timm.optim import create_optimizer_v2, param_groups_weight_decay
from torch import nn

from fer.errors import ModelError, shorten_error

NOT_OPTIONS = frozenset({"params", "lr", "weight_decay"})


def build_optimizer(
    network: nn.Module, name: str, lr: float, weight_decay: float, options: Mapping[str, Any], fused: bool
) -> torch.optim.Optimizer:
    """Build an optimizer whose weight decay spares norms and biases.

    Args:
        network: The network to train.
        name: timm's name of the optimizer.
        lr: Largest learning rate.
        weight_decay: Decay of weights other than norms and biases.
        options: Its further arguments.
        fused: Whether the step of AdamW is one kernel.

    Raises:
        ModelError: The optimizer does not take these arguments.
    """
    groups = param_groups_weight_decay(network, weight_decay)
    # Lists of the configuration are what optimizers call tuples, such as betas.
    arguments: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list | tuple) else value for key, value in options.items()
    }
    try:
        if name == "adamw":
            return torch.optim.AdamW(groups, **{"lr": lr, "fused": fused or None, **arguments})
        optimizer = create_optimizer_v2(groups, opt=name, lr=lr, weight_decay=weight_decay, **arguments)
        # timm drops some of the arguments that an optimizer does not know.
        known = {*optimizer.defaults, *inspect.signature(type(optimizer)).parameters}
        if unknown := sorted(arguments.keys() - known):
            raise ValueError(f"it takes no {unknown[0]}, but {', '.join(sorted(known - NOT_OPTIONS))}")
        return optimizer
    except (TypeError, ValueError, AssertionError, RuntimeError, ImportError) as error:
        raise ModelError(
            f"optimizer.name={name}: cannot be built with optimizer.options={dict(options)} ({shorten_error(error)})"
        ) from None
