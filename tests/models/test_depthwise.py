"""Strided depthwise convolutions compute in float32 where all else is bfloat16."""

import copy

import torch
from torch import nn

from fer.models.depthwise import Float32DepthwiseConv2d, compute_strided_depthwise_in_float32
from fer.models.network import FaceNetwork
from tests.helpers.networks import SMALL, faces, lively


def test_strided_depthwise_convolutions_alone_are_changed() -> None:
    body = FaceNetwork(SMALL, 7, 48, 0.0).body
    compute_strided_depthwise_in_float32(body)
    changed = {name for name, module in body.named_modules() if isinstance(module, Float32DepthwiseConv2d)}
    expected = {
        name
        for name, module in body.named_modules()
        if isinstance(module, nn.Conv2d) and module.groups > 1 and module.stride == (2, 2)
    }
    assert changed == expected
    # The stem, which is strided, sees all channels.
    assert len(changed) == 4


def test_full_precision_is_unchanged_and_so_are_the_names() -> None:
    network = lively(FaceNetwork(SMALL, 7, 48, 0.0))
    images = torch.from_numpy(faces(4, 48))
    with torch.no_grad():
        before = network(images)
        names = list(network.state_dict())
        compute_strided_depthwise_in_float32(network.body)
        assert torch.equal(network(images), before)
    assert list(network.state_dict()) == names


def test_a_changed_convolution_answers_in_float32_within_mixed_precision() -> None:
    body = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1, groups=8))
    pixels = torch.rand(2, 8, 10, 10)
    exact = body(pixels)
    with torch.autocast("cpu", torch.bfloat16):
        assert body(pixels).dtype == torch.bfloat16
        compute_strided_depthwise_in_float32(body)
        assert torch.equal(body(pixels), exact)
        # What comes from another layer in bfloat16 is taken too.
        assert body(pixels.bfloat16()).dtype == torch.float32


def test_a_copy_computes_with_its_own_weights() -> None:
    body = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1, groups=8))
    compute_strided_depthwise_in_float32(body)
    twin = copy.deepcopy(body)
    nn.init.zeros_(twin[0].weight)
    nn.init.zeros_(twin[0].bias)
    assert twin(torch.rand(1, 8, 6, 6)).abs().max() == 0
    assert body(torch.rand(1, 8, 6, 6)).abs().max() > 0
