"""The last convolutional feature map of an architecture, on which Grad-CAM works."""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from fer.errors import ModelError
from fer.models.network import FaceNetwork


@dataclass(frozen=True)
class FeatureMap:
    """The module that gives a network's last convolutional feature map, and how many cells high and wide that is."""

    module: nn.Module
    height: int
    width: int


def find_feature_map(network: FaceNetwork) -> FeatureMap:
    """Find the module that gives the last convolutional feature map of a network.

    It is the last one to give the very tensor that timm calls the architecture's features.

    Args:
        network: The network, which is left in evaluation mode.

    Raises:
        ModelError: The architecture has no such map, as transformers have none, or it is a single cell.
    """
    body = cast(Any, network.eval().body)
    outputs: list[tuple[nn.Module, Tensor]] = []

    def keep(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            outputs.append((module, output))

    hooks = [module.register_forward_hook(keep) for module in body.modules() if module is not body]
    side = network.image_size
    try:
        with torch.no_grad():
            features = body.forward_features(torch.zeros(1, 3, side, side, device=network.mean.device))
    finally:
        for hook in hooks:
            hook.remove()
    shape = tuple(features.shape) if isinstance(features, Tensor) else ()
    # Tokens have three dimensions, and windowed transformers hold the channels last.
    if len(shape) != 4 or shape[1] != body.num_features:
        raise ModelError(
            f"{network.name}: Grad-CAM needs a convolutional feature map, and this architecture ends in none, as "
            "transformers do; use integrated gradients or GradientShap"
        )
    if shape[2:] == (1, 1):
        raise ModelError(
            f"{network.name}: at {side} pixels the last feature map is a single cell, of which Grad-CAM can tell no "
            "place; use integrated gradients or GradientShap, or a model of larger pictures"
        )
    module = next((module for module, output in reversed(outputs) if output is features), None)
    if module is None:
        raise ModelError(f"{network.name}: no module of this architecture gives its last feature map by itself")
    return FeatureMap(module, *shape[2:])
