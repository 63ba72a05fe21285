"""Losses equal PyTorch's own and values computed by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from fer.models.losses import (
    average_losses,
    compute_distillation_loss,
    compute_weighted_loss,
    cross_entropy,
    focal_loss,
    smooth_targets,
)

LN = {p: -math.log(p) for p in (0.7, 0.2, 0.1)}


def drawn(count: int, classes: int = 7) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, soft targets and weights."""
    generator = torch.Generator().manual_seed(count)
    logits = 3 * torch.randn(count, classes, generator=generator)
    targets = torch.rand(count, classes, generator=generator) ** 3
    return logits, targets / targets.sum(1, keepdim=True), torch.rand(count, generator=generator) + 0.1


@pytest.mark.parametrize("smoothing", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("count", [1, 64])
def test_cross_entropy_is_that_of_pytorch(smoothing: float, count: int) -> None:
    logits, targets, _ = drawn(count)
    found = compute_weighted_loss(logits, targets, torch.ones(count), "cross_entropy", smoothing, 2.0)
    torch.testing.assert_close(found, F.cross_entropy(logits, targets, label_smoothing=smoothing))
    hard = targets.argmax(1)
    found = compute_weighted_loss(
        logits, F.one_hot(hard, 7).float(), torch.ones(count), "cross_entropy", smoothing, 2.0
    )
    torch.testing.assert_close(found, F.cross_entropy(logits, hard, label_smoothing=smoothing))


def test_smoothing_spreads_a_share_evenly() -> None:
    assert smooth_targets(torch.tensor([[1.0, 0.0, 0.0, 0.0]]), 0.2).tolist() == [
        pytest.approx([0.85, 0.05, 0.05, 0.05])
    ]
    targets = torch.tensor([[0.3, 0.7]])
    assert smooth_targets(targets, 0.0) is targets


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_focal_loss_with_gamma_0_is_cross_entropy(smoothing: float) -> None:
    logits, targets, weights = drawn(32)
    found = compute_weighted_loss(logits, targets, weights, "focal", smoothing, 0.0)
    torch.testing.assert_close(found, compute_weighted_loss(logits, targets, weights, "cross_entropy", smoothing, 0.0))


def test_focal_loss_by_hand() -> None:
    logits = torch.tensor([[0.7, 0.2, 0.1]]).log()
    hard = torch.tensor([[1.0, 0.0, 0.0]])
    assert focal_loss(logits, hard, 2.0).item() == pytest.approx(0.3**2 * LN[0.7], abs=1e-6)
    assert focal_loss(logits, hard, 1.0).item() == pytest.approx(0.3 * LN[0.7], abs=1e-6)
    soft = torch.tensor([[0.5, 0.5, 0.0]])
    by_hand = 0.5 * 0.3**2 * LN[0.7] + 0.5 * 0.8**2 * LN[0.2]
    assert focal_loss(logits, soft, 2.0).item() == pytest.approx(by_hand, abs=1e-6)
    assert by_hand == pytest.approx(0.53107, abs=1e-5)
    assert cross_entropy(logits, soft).item() == pytest.approx(0.5 * LN[0.7] + 0.5 * LN[0.2], abs=1e-6)


def test_focal_loss_counts_easy_images_less() -> None:
    logits = torch.tensor([[4.0, 0.0], [0.1, 0.0]])
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    ratio = focal_loss(logits, targets, 2.0) / cross_entropy(logits, targets)
    assert ratio[0] < 0.001
    assert 0.2 < ratio[1] < 0.25


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_certainty_gives_a_finite_gradient(gamma: float) -> None:
    """At a probability of exactly 1 a power below 1 has an infinite slope."""
    logits = torch.tensor([[60.0, 0.0], [0.0, 60.0]], requires_grad=True)
    loss = compute_weighted_loss(logits, torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.ones(2), "focal", 0.0, gamma)
    assert loss.item() == pytest.approx(30.0)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[0].abs().max() < 1e-6
    assert logits.grad[1].tolist() == pytest.approx([-0.5, 0.5])


@pytest.mark.parametrize("kind", ["cross_entropy", "focal"])
def test_weights_make_a_weighted_mean(kind: str) -> None:
    logits, targets, _ = drawn(3)
    each = [
        compute_weighted_loss(logits[i : i + 1], targets[i : i + 1], torch.ones(1), kind, 0.1, 2.0).item()
        for i in range(3)
    ]
    found = compute_weighted_loss(logits, targets, torch.tensor([1.0, 0.0, 3.0]), kind, 0.1, 2.0)
    assert found.item() == pytest.approx((each[0] + 3 * each[2]) / 4, rel=1e-5)
    doubled = compute_weighted_loss(logits, targets, torch.tensor([2.0, 0.0, 6.0]), kind, 0.1, 2.0)
    assert doubled.item() == pytest.approx(found.item(), rel=1e-5)
    assert compute_weighted_loss(logits, targets, torch.zeros(3), kind, 0.1, 2.0).item() == 0.0


def test_half_precision_logits_are_judged_in_float32() -> None:
    logits, targets, weights = drawn(16)
    half = logits.to(torch.bfloat16)
    found = compute_weighted_loss(half, targets, weights, "cross_entropy", 0.1, 2.0)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, compute_weighted_loss(half.float(), targets, weights, "cross_entropy", 0.1, 2.0))


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_distillation_is_the_cross_entropy_of_both_at_a_temperature(temperature: float) -> None:
    logits, soft, _ = drawn(16)
    powers = soft.double() ** (1 / temperature)
    teachers = powers / powers.sum(1, keepdim=True)
    student = F.log_softmax(logits.double() / temperature, 1)
    expected = temperature**2 * -(teachers * student).sum(1)
    torch.testing.assert_close(
        compute_distillation_loss(logits, soft, temperature).double(), expected, rtol=1e-4, atol=1e-4
    )


def test_a_teacher_that_is_certain_teaches_one_class() -> None:
    logits, certain = torch.tensor([[0.7, 0.2, 0.1]]).log(), torch.tensor([[1.0, 0.0, 0.0]])
    assert compute_distillation_loss(logits, certain, 1.0).item() == pytest.approx(LN[0.7], abs=1e-5)


def test_the_mean_of_losses_is_weighted() -> None:
    losses = torch.tensor([1.0, 5.0])
    assert average_losses(losses, torch.tensor([3.0, 1.0])).item() == 2
    assert average_losses(losses, torch.zeros(2)).item() == 0
