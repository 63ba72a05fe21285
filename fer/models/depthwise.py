"""Strided depthwise convolutions, whose gradient oneDNN computes 40 times slower in bfloat16 than in float32."""

import torch
from torch import Tensor, nn
from typing_extensions import override


class Float32DepthwiseConv2d(nn.Conv2d):
    """A convolution that computes in float32 within a region of mixed precision."""

    @override
    def forward(self, input: Tensor) -> Tensor:
        """Convolve (N, C, h, w) in float32."""
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.float())


def compute_strided_depthwise_in_float32(body: nn.Module) -> None:
    """Let the strided depthwise convolutions of a network compute in float32, for a training in bfloat16 on a CPU.

    Weights and their names stay as they are.

    Args:
        body: The network.
    """
    for module in body.modules():
        if type(module) is nn.Conv2d and module.groups == module.in_channels > 1 and max(module.stride) > 1:
            # A class of its own rather than a hook or a new forward: copies of the network, such as its moving
            # average, compute with their own weights.
            module.__class__ = Float32DepthwiseConv2d
