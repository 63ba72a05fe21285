"""Schedules of PyTorch and timm whose training is made longer or shorter, or is long."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fer.config.optimizer import watches_metric
from fer.errors import ModelError
from fer.models.network import FaceNetwork
from fer.train.library_schedules import LibrarySchedule, LibraryScheduler
from fer.train.module import FaceClassifierModule
from tests.helpers.networks import settings
from tests.train.test_library_schedules import EVERY, LR, METRICS, make_optimizer, read_rates, schedule, step
from tests.train.test_library_trainings import fit

pytestmark = pytest.mark.filterwarnings(
    *("ignore:.*LeafSpec.*", "ignore:Found .* in eval mode", "ignore:.*num_workers", "ignore:Checkpoint directory"),
    "ignore:The dirpath has changed",
)
Make = Callable[[], FaceNetwork]


def make_adamw() -> torch.optim.Optimizer:
    return torch.optim.AdamW(torch.nn.Linear(2, 2).parameters(), lr=LR)


@pytest.mark.parametrize("make", [make_optimizer, make_adamw])
@pytest.mark.parametrize(("kind", "interval"), EVERY)
def test_a_training_that_is_made_longer_has_the_rates_of_the_longer_one(
    kind: str, interval: str, make: Callable[[], torch.optim.Optimizer]
) -> None:
    chosen, optimizer = schedule(kind, interval), make()
    unbroken = step(optimizer, chosen.build(optimizer, 6), METRICS)
    # The last one was finished, where the rate of many is 0.
    for stop in (1, 2, 3):
        first, second = make(), make()
        scheduler = chosen.build(first, 3)
        step(first, scheduler, METRICS[:stop])
        longer = chosen.build(second, 6)
        second.load_state_dict(first.state_dict())
        longer.load_state_dict(scheduler.state_dict())
        assert read_rates(second) == unbroken[stop - 1]
        assert step(second, longer, METRICS[stop:]) == unbroken[stop:]


def test_a_length_that_is_given_anew_counts_from_the_start() -> None:
    first, second, optimizer = make_optimizer(), make_optimizer(), make_optimizer()
    unbroken = step(optimizer, schedule("CosineAnnealingLR", T_max=8).build(optimizer, 6), METRICS)
    scheduler = schedule("CosineAnnealingLR", T_max=2).build(first, 6)
    step(first, scheduler, METRICS[:2])
    resumed = schedule("CosineAnnealingLR", T_max=8).build(second, 6)
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    assert step(second, resumed, METRICS[2:]) == unbroken[2:]


def test_a_training_that_is_made_too_short_is_a_sentence() -> None:
    first, second = make_optimizer(), make_optimizer()
    scheduler = schedule("OneCycleLR", "step").build(first, 6)
    step(first, scheduler, METRICS[:4])
    shorter = schedule("OneCycleLR", "step").build(second, 3)
    second.load_state_dict(first.state_dict())
    with pytest.raises(ModelError, match=r"OneCycleLR: cannot go on after 4 steps with total_steps=3 \(.*max_epochs"):
        shorter.load_state_dict(scheduler.state_dict())


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "interval"), [("CosineAnnealingLR", "epoch"), ("OneCycleLR", "step")])
def test_a_finished_training_goes_on_at_the_rate_of_a_longer_one(
    kind: str, interval: str, make_network: Make, tmp_path: Path
) -> None:
    def begin() -> FaceClassifierModule:
        return FaceClassifierModule(
            make_network(), settings(lr=LR), library_schedule=LibrarySchedule(kind, {}, interval, LR, "val_accuracy")
        )

    rates = fit(begin(), tmp_path / "whole")
    fit(begin(), tmp_path / "short", epochs=2)
    longer = fit(begin(), tmp_path / "longer", tmp_path / "short" / "epoch=1.ckpt")
    assert longer == rates[6:] and longer[0] > LR / 10


@pytest.mark.parametrize(("kind", "interval"), EVERY)
def test_the_rehearsal_of_a_long_training_is_short(kind: str, interval: str, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []

    def count(method: Callable[..., None]) -> Callable[..., None]:
        def counted(self: LibraryScheduler, *arguments: Any) -> None:
            method(self, *arguments)
            steps.append(self.steps)

        return counted

    for name in ("step", "jump"):
        monkeypatch.setattr(LibraryScheduler, name, count(getattr(LibraryScheduler, name)))
    schedule(kind, interval).check(make_optimizer(), 10**6, 10**6)
    assert 1000 < len(steps) <= 3000 and steps[-1] == 10**6


@pytest.mark.filterwarnings("ignore:Detected call of", "ignore:The epoch parameter")
@pytest.mark.parametrize(("kind", "interval"), [pair for pair in EVERY if not watches_metric(pair[0])])
def test_a_rehearsal_jumps_to_the_rate_that_steps_lead_to(kind: str, interval: str) -> None:
    optimizer = make_optimizer()
    walked = step(optimizer, schedule(kind, interval).build(optimizer, 6), METRICS)
    for steps, rates in enumerate(walked, 1):
        jumped = make_optimizer()
        schedule(kind, interval).build(jumped, 6).jump(steps)
        assert [group["lr"] for group in jumped.param_groups] == [pytest.approx(rate) for rate, *_ in rates]


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("OneCycleLR", {"total_steps": 9999}, "OneCycleLR: fails after step 10000 of 10000"),
        ("OneCycleLR", {"total_steps": 5000}, "OneCycleLR: fails after step 50.. of 10000"),
        ("CosineAnnealingLR", {"eta_min": -0.01}, "CosineAnnealingLR: gives the rate -"),
        ("StepLR", {"step_size": 4000, "gamma": -0.1}, "StepLR: gives the rate -0.001 in step 40"),
        (
            "CosineLRScheduler",
            {"cycle_mul": 0.5, "t_initial": 3000},
            "CosineLRScheduler: fails after step 60.. of 10000",
        ),
    ],
)
def test_what_goes_wrong_late_is_found_in_a_long_training(kind: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        schedule(kind, "step", **options).check(make_optimizer(), 10_000, 10_000)
