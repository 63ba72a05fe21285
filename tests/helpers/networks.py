"""Networks, batches and settings for tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from fer.models.network import FaceNetwork

if TYPE_CHECKING:
    from fer.train.optimization import OptimizationConfig

SMALL = "mobilenetv2_035"
_lively_states: dict[Any, dict[str, torch.Tensor]] = {}


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread computes: several wait for each other where cores are busy, and add up in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def lively(network: FaceNetwork) -> FaceNetwork:
    """Weights and batch statistics as after some training, so that logits are of the size of 1 and differ."""
    # The whole of what they depend on: tests ask for the same few networks again and again.
    kind = (repr(network), network.image_size, network.flip, network.affect, network.memory_format)
    if kind not in _lively_states:
        _enliven(network)
        _lively_states[kind] = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(_lively_states[kind])
    return network.eval()


def _enliven(network: FaceNetwork) -> None:
    with one_thread(), torch.random.fork_rng():
        torch.manual_seed(1)
        for parameter in network.body.parameters():
            if parameter.ndim > 1:
                nn.init.kaiming_normal_(parameter)
        network.train()
        with torch.no_grad():
            for _ in range(10):
                network(torch.randint(0, 256, (16, 48, 48, 3), dtype=torch.uint8))
            images = torch.from_numpy(faces(16, 48))
            logits = network.eval()(images)
            for name in network.classifier_names:
                classifier: Any = network.body.get_submodule(name)
                classifier.weight.mul_(1.5 / logits.std())
                classifier.bias.copy_(torch.linspace(-0.5, 0.5, len(classifier.bias)))


def faces(count: int, side: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Pictures (count, side, side, channels) uint8 of random blobs, with coarse and fine structure."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 200, (count, side // 8, side // 8, channels)).repeat(8, 1).repeat(8, 2)
    return (coarse + random.integers(0, 56, (count, side, side, channels))).astype(np.uint8)


def batch_of(count: int, side: int = 32) -> dict[str, Any]:
    """A training batch of ``count`` pictures, as the data module gives it."""
    return {
        "images": torch.from_numpy(faces(count, side)),
        "targets": torch.eye(7)[torch.arange(count) % 7],
        "weights": torch.ones(count),
        "shard": (0, count, count),
    }


def settings(**changed: Any) -> "OptimizationConfig":
    """How the networks of tests are trained."""
    # Most tests of networks need no Lightning, which takes seconds to import.
    from fer.train.optimization import OptimizationConfig

    usual: dict[str, Any] = {
        **{"loss_kind": "cross_entropy", "label_smoothing": 0.0, "focal_gamma": 2.0},
        **{"lr": 1e-3, "weight_decay": 0.05, "schedule_kind": "constant", "warmup": 0.0, "final": 0.0},
        **{"ema_decay": 0.0, "head_epochs": 0, "unfreeze_per_epoch": 0, "fused": False},
    }
    return OptimizationConfig(**{**usual, **changed})
