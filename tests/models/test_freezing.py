"""Gradual unfreezing: which parameters train in which epoch, and what happens to batch statistics."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from fer.models.freezing import freeze_except, has_frozen_parameters, select_trainable_names
from fer.models.network import FaceNetwork
from tests.helpers.networks import batch_of

HEAD = {"classifier.weight", "classifier.bias"}


def names(network: FaceNetwork) -> set[str]:
    return {name for name, _ in network.body.named_parameters()}


def batch_norms(network: FaceNetwork) -> dict[str, nn.BatchNorm2d]:
    return {name: module for name, module in network.body.named_modules() if isinstance(module, nn.BatchNorm2d)}


@pytest.mark.parametrize("per_epoch", [0, 1, 3])
def test_the_classifier_trains_alone_at_first(network: FaceNetwork, per_epoch: int) -> None:
    for epoch in (0, 1):
        assert select_trainable_names(network, epoch, 2, per_epoch) == HEAD
    assert len(select_trainable_names(network, 2, 2, per_epoch)) > 2


def test_groups_come_free_from_the_top(network: FaceNetwork) -> None:
    """mobilenetv2: the last convolution with the last of 7 stages, then stage by stage, at last the first layers."""
    freed, before = [], set(HEAD)
    for epoch in range(1, 9):
        now = select_trainable_names(network, epoch, 1, 1)
        assert before < now
        freed.append({".".join(name.split(".")[: 2 if name.startswith("blocks") else 1]) for name in now - before})
        before = now
    assert freed == [
        {"conv_head", "bn2", "blocks.6"},
        *({f"blocks.{stage}"} for stage in (5, 4, 3, 2, 1, 0)),
        {"conv_stem", "bn1"},
    ]
    assert before == names(network)
    assert select_trainable_names(network, 100, 1, 1) == names(network)


def test_several_groups_at_once_and_all_at_once(network: FaceNetwork) -> None:
    for epoch in range(6):
        assert select_trainable_names(network, epoch, 0, 2) == select_trainable_names(network, 2 * epoch + 1, 0, 1)
    assert select_trainable_names(network, 3, 3, 0) == names(network)
    assert select_trainable_names(network, 0, 0, 0) == names(network)


def test_what_trains_is_a_function_of_the_epoch_alone(make_network: Callable[[], FaceNetwork]) -> None:
    """A resumed run begins in the middle."""

    def state(network: FaceNetwork, epoch: int) -> list[bool]:
        freeze_except(network.body, select_trainable_names(network, epoch, 1, 2))
        flags = [parameter.requires_grad for parameter in network.body.parameters()]
        return flags + [module.training for module in batch_norms(network).values()]

    walked, jumped = make_network().train(), make_network().train()
    in_turn = [state(walked, epoch) for epoch in range(6)]
    assert in_turn[0] != in_turn[2] != in_turn[5]
    for epoch in (5, 2, 0, 3):
        assert state(jumped, epoch) == in_turn[epoch]


def test_both_classifiers_of_an_architecture_train() -> None:
    network = FaceNetwork("repvit_m0_9", 7, 32, 0.0)
    free = select_trainable_names(network, 0, 1, 0)
    assert free == {f"head.{head}.l.{kind}" for head in ("head", "head_dist") for kind in ("weight", "bias")}


def test_frozen_batch_norms_keep_their_statistics_and_freed_ones_do_not(
    make_network: Callable[[], FaceNetwork],
) -> None:
    network = make_network().train()
    norms = batch_norms(network)
    images = batch_of(8, 48)["images"]

    def moved() -> set[str]:
        before = {
            name: module.running_mean.clone() for name, module in norms.items() if module.running_mean is not None
        }
        assert len(before) == len(norms)
        network(images)
        return {name for name, mean in before.items() if not torch.equal(mean, norms[name].running_mean)}

    freeze_except(network.body, select_trainable_names(network, 0, 1, 1))
    assert moved() == set()
    freeze_except(network.body, select_trainable_names(network, 1, 1, 1))
    assert moved() == {name for name in norms if name == "bn2" or name.startswith("blocks.6.")}
    freeze_except(network.body, select_trainable_names(network, 9, 1, 1))
    assert moved() == set(norms)


def test_frozen_parameters_get_no_gradient(make_network: Callable[[], FaceNetwork]) -> None:
    network = make_network().train()
    free = select_trainable_names(network, 1, 1, 1)
    freeze_except(network.body, free)
    network(batch_of(8, 48)["images"]).square().sum().backward()
    assert {name for name, parameter in network.body.named_parameters() if parameter.grad is not None} == free


@pytest.mark.parametrize(
    ("head_epochs", "per_epoch", "expected"), [(0, 0, False), (1, 0, True), (0, 1, True), (2, 2, True)]
)
def test_whether_anything_is_frozen(head_epochs: int, per_epoch: int, expected: bool) -> None:
    assert has_frozen_parameters(head_epochs, per_epoch) is expected
