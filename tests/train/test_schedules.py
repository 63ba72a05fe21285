"""The learning rate over the steps."""

import pytest
import torch

from fer.train.schedules import compute_lr_factor


def rates(kind: str, steps: int, warmup: float, final: float = 0.0) -> list[float]:
    return [compute_lr_factor(kind, step, steps, warmup, final) for step in range(steps)]


@pytest.mark.parametrize(("steps", "warming"), [(100, 20), (1000, 300), (40, 10)])
@pytest.mark.parametrize("final", [0.001, 0.1])
def test_one_cycle_is_that_of_pytorch(steps: int, warming: int, final: float) -> None:
    """PyTorch counts the step at the top among those of the warm-up, we count the steps before it."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=1.0,
        total_steps=steps,
        pct_start=(warming + 1) / steps,
        div_factor=25,
        final_div_factor=1 / (25 * final),
        cycle_momentum=False,
    )
    expected = []
    for _ in range(steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(expected) < steps:
            theirs.step()
    assert rates("one_cycle", steps, warming / steps, final) == pytest.approx(expected, abs=1e-9)


def test_one_cycle_starts_at_a_25th_and_ends_at_the_final_rate() -> None:
    found = rates("one_cycle", 100, 0.2, 0.001)
    assert found[0] == pytest.approx(1 / 25)
    assert found[10] == pytest.approx((1 / 25 + 1) / 2)
    assert found[20] == 1.0
    assert found[-1] == pytest.approx(0.001)
    assert found.index(max(found)) == 20


def test_cosine_decays_from_a_linear_warm_up() -> None:
    found = rates("cosine", 111, 10 / 111, 0.01)
    assert found[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert found[10] == pytest.approx(1.0)
    assert found[60] == pytest.approx((1 + 0.01) / 2)
    assert found[110] == pytest.approx(0.01)
    assert all(later < earlier for earlier, later in zip(found[10:], found[11:], strict=False))


def test_constant_is_constant_after_its_warm_up() -> None:
    assert rates("constant", 50, 0.0, 0.5) == [1.0] * 50
    found = rates("constant", 50, 0.1, 0.5)
    assert found[:5] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6])
    assert found[5:] == [1.0] * 45


@pytest.mark.parametrize("kind", ["one_cycle", "cosine"])
def test_without_warm_up_the_first_step_is_the_largest(kind: str) -> None:
    found = rates(kind, 30, 0.0, 0.0)
    assert found[0] == 1.0
    assert found[-1] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("kind", ["one_cycle", "cosine", "constant"])
@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.5, 0.99])
def test_every_length_has_rates_between_0_and_1(kind: str, warmup: float) -> None:
    for steps in (1, 2, 3, 7, 100):
        found = rates(kind, steps, warmup, 0.01)
        assert all(0.01 <= rate <= 1.0 for rate in found), (steps, found)
        # Lightning asks for the rate after the last step too.
        assert 0 < compute_lr_factor(kind, steps, steps, warmup, 0.01) <= 1
