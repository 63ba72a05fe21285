"""Schedules of PyTorch and timm by class name: each builds, steps, and resumes exactly."""

import io
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import timm.scheduler
import torch
from torch import nn

from fer.config.compose import load_overrides
from fer.config.contradictions import LAST_RATES
from fer.config.optimizer import OWN_SCHEDULES, WITHOUT_VALUES, list_library_schedules, watches_metric
from fer.errors import ModelError, PreconditionError
from fer.models.network import FaceNetwork
from fer.runs.run_directory import write_config
from fer.train.checkpoints import check_optimization_is_kept
from fer.train.library_schedules import LibrarySchedule, LibraryScheduler
from fer.train.module_factory import check_optimization
from fer.train.pipeline import train
from fer.train.schedules import SCHEDULES
from tests.helpers.composing import refusal
from tests.helpers.programs import FAST

pytestmark = pytest.mark.filterwarnings(
    *("ignore:.*LeafSpec.*", "ignore:Found .* in eval mode", "ignore:.*num_workers", "ignore:Checkpoint directory"),
    "ignore:The dirpath has changed",
)
Make = Callable[[], FaceNetwork]
KIND = "optimizer.schedule.kind"
# What does not follow from the training, and what makes a few epochs show something.
OPTIONS: dict[str, dict[str, Any]] = {
    "StepLR": {"step_size": 2},
    "MultiStepLR": {"milestones": [1, 3]},
    "ExponentialLR": {"gamma": 0.9},
    "CosineAnnealingWarmRestarts": {"T_0": 2, "T_mult": 2},
    "CyclicLR": {"base_lr": 1e-3, "step_size_up": 2, "mode": "exp_range", "gamma": 0.9},
    "OneCycleLR": {"pct_start": 0.5},
    "ReduceLROnPlateau": {"patience": 1, "cooldown": 1, "factor": 0.5},
    "PlateauLRScheduler": {"patience_t": 1, "cooldown_t": 1, "decay_rate": 0.5, "noise_range_t": [1, 5]},
    "CosineLRScheduler": {"warmup_t": 1, "warmup_lr_init": 1e-4, "noise_range_t": [1, 3]},
    "StepLRScheduler": {"decay_t": 2, "decay_rate": 0.5},
    "MultiStepLRScheduler": {"decay_t": [2, 3], "decay_rate": 0.5},
    "WSDLRScheduler": {"decay_t": 2},
}
LR = 0.01
# Of several epochs, so that plateaus are met.
METRICS = [0.5, 0.4, 0.4, 0.6, 0.6, 0.6]


def make_optimizer(lr: float = LR) -> torch.optim.Optimizer:
    return torch.optim.SGD(torch.nn.Linear(2, 2).parameters(), lr=lr, momentum=0.9)


def schedule(kind: str, interval: str = "epoch", monitor: str = "val_accuracy", **options: Any) -> LibrarySchedule:
    return LibrarySchedule(kind, options or OPTIONS.get(kind, {}), interval, LR, monitor)


def step(optimizer: torch.optim.Optimizer, scheduler: LibraryScheduler, metrics: list[float]) -> list[Any]:
    """Rates and momenta after each step."""
    found = []
    for metric in metrics:
        optimizer.step()
        scheduler.step(metric)
        found.append(read_rates(optimizer))
    return found


def read_rates(optimizer: torch.optim.Optimizer) -> list[Any]:
    """Rate and momentum of each group."""
    return [(group["lr"], group.get("momentum"), group.get("betas")) for group in optimizer.param_groups]


def intervals(kind: str) -> list[str]:
    return ["epoch"] if watches_metric(kind) else ["epoch", "step"]


EVERY = [(kind, interval) for kind in sorted(list_library_schedules()) for interval in intervals(kind)]


def test_every_scheduler_of_both_libraries_is_known() -> None:
    theirs = {
        name
        for module, base in (
            (torch.optim.lr_scheduler, torch.optim.lr_scheduler.LRScheduler),
            (timm.scheduler, timm.scheduler.scheduler.Scheduler),
        )
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, base) and value is not base and not name.startswith("_")
    }
    assert list_library_schedules() == theirs - WITHOUT_VALUES
    assert len(theirs) > 20 and theirs >= WITHOUT_VALUES


@pytest.mark.parametrize(("kind", "interval"), EVERY)
def test_a_schedule_goes_on_from_its_state_as_if_unbroken(kind: str, interval: str) -> None:
    chosen = schedule(kind, interval)
    chosen.check(make_optimizer(), 6, 6)
    optimizer = make_optimizer()
    unbroken = step(optimizer, chosen.build(optimizer, 6), METRICS)
    # One that never changed anything would go on from any state.
    assert len({str(rates) for rates in unbroken}) > 1
    for stop in range(1, 6):
        first = make_optimizer()
        scheduler = chosen.build(first, 6)
        step(first, scheduler, METRICS[:stop])
        file = io.BytesIO()
        torch.save([first.state_dict(), scheduler.state_dict()], file)
        file.seek(0)
        state = torch.load(file, weights_only=True)
        second = make_optimizer()
        resumed = chosen.build(second, 6)
        second.load_state_dict(state[0])
        resumed.load_state_dict(state[1])
        assert step(second, resumed, METRICS[stop:]) == unbroken[stop:]


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("CosineAnnealingLR", "T_max", 6),
        ("TanhLRScheduler", "t_initial", 6),
        ("OneCycleLR", "total_steps", 6),
        ("CyclicLR", "max_lrs", [LR]),
        ("WSDLRScheduler", "t_initial", 6),
    ],
)
def test_what_follows_from_the_training_is_filled_in(kind: str, name: str, value: object) -> None:
    assert getattr(schedule(kind).build(make_optimizer(), 6).scheduler, name) == value


def test_what_is_given_counts() -> None:
    assert schedule("CosineAnnealingLR", T_max=3).build(make_optimizer(), 6).scheduler.T_max == 3
    parts = {"epochs": 4, "steps_per_epoch": 5}
    assert schedule("OneCycleLR", **parts).build(make_optimizer(), 6).scheduler.total_steps == 20
    # The warm-up before it is part of the training.
    prefixed = {"warmup_t": 2, "warmup_prefix": True}
    assert schedule("CosineLRScheduler", **prefixed).build(make_optimizer(), 6).scheduler.t_initial == 4
    assert schedule("CosineLRScheduler", warmup_t=2).build(make_optimizer(), 6).scheduler.t_initial == 6
    assert schedule("WSDLRScheduler", warmup_t=2, decay_t=1).build(make_optimizer(), 6).scheduler.t_initial == 4


def test_a_plateau_looks_where_better_is() -> None:
    rising, falling = [0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]
    for kind, options in (("ReduceLROnPlateau", {"patience": 0}), ("PlateauLRScheduler", {"patience_t": 0})):
        for monitor, better, worse in (("val_macro_f1", rising, falling), ("val_loss", falling, rising)):
            chosen = schedule(kind, monitor=monitor, **options)
            rates = []
            for metrics in (better, worse):
                optimizer = make_optimizer()
                rates.append(step(optimizer, chosen.build(optimizer, 4), metrics)[-1][0][0])
            assert rates[0] == LR and rates[1] < LR / 10
        asked = schedule(kind, monitor="val_loss", mode="max", **options).build(make_optimizer(), 4)
        assert asked.parts[-1].mode == "max"


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("StepLR", {"gamma": 0.5}, r"StepLR: needs step_size \(int\); set optimizer\.schedule\.options\.step_size="),
        ("StepLR", {"step": 2}, r"StepLR: takes no step, but step_size, gamma; .*~optimizer\.schedule\.options\.step"),
        ("StepLR", {"step_size": 1.5}, r"StepLR: cannot be built with .*step_size takes int"),
        ("StepLR", {"step_size": 0}, "StepLR: fails after epoch 1 of 6 with .*modulo by zero"),
        ("StepLR", {"step_size": 2, "last_epoch": 3}, "StepLR: takes no last_epoch"),
        ("MultiStepLR", {"milestones": ["2"]}, r"MultiStepLR: cannot be built with .*\(milestones takes Iterable\[int"),
        ("MultiStepLR", {"milestones": 2}, "MultiStepLR: cannot be built with "),
        ("CosineLRScheduler", {"warmup_t": "x"}, r"CosineLRScheduler: cannot be built with .*\(warmup_t takes int\)"),
        ("OneCycleLR", {"total_steps": 3}, "OneCycleLR: fails after epoch 4 of 6"),
        ("ExponentialLR", {"gamma": -1}, "ExponentialLR: gives the rate -0.01 in epoch 2"),
        ("ReduceLROnPlateau", {"factor": 2}, "ReduceLROnPlateau: cannot be built with .*factor"),
        ("WSDLRScheduler", {"decay_t": 9}, "WSDLRScheduler: cannot be built with .*decay_t"),
    ],
)
def test_what_a_scheduler_does_not_take_is_a_sentence(kind: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError, match=r"^optimizer\.schedule\.kind=" + words) as raised:
        LibrarySchedule(kind, options, "epoch", LR, "val_loss").check_before_data(make_optimizer(), 6)
    assert "\n" not in str(raised.value)


def test_momentum_that_an_optimizer_lacks_is_found_before_there_are_data() -> None:
    optimizer = torch.optim.Adagrad([torch.zeros(1, requires_grad=True)], lr=LR)
    with pytest.raises(ModelError, match="must support momentum"):
        schedule("OneCycleLR", "step").check_before_data(optimizer, 3)
    schedule("OneCycleLR", "step", cycle_momentum=False, total_steps=2).check_before_data(optimizer, 3)


def test_a_wrong_argument_leaves_no_run(tmp_path: Path) -> None:
    config = load_overrides([*FAST, f"{KIND}=StepLR", "optimizer.schedule.options.gama=0.1"])
    with pytest.raises(PreconditionError, match=r"StepLR: takes no gama, but step_size, gamma") as raised:
        train(config, tmp_path / "run")
    assert raised.value.exit_code == 2
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "near"),
    [
        ("step", "StepLR or StepLRScheduler"),
        ("StepLr", "StepLR or StepLRScheduler"),
        ("cosine_annealing", "CosineAnnealingLR or CosineAnnealingWarmRestarts"),
        ("plateau", "PlateauLRScheduler or ReduceLROnPlateau"),
        ("cosine_lr", "cosine or CosineLRScheduler"),
        ("Exponental", "ExponentialLR"),
        ("tanh", "TanhLRScheduler"),
    ],
)
def test_another_spelling_gets_the_near_names(kind: str, near: str) -> None:
    assert f"{KIND}={kind}: allowed are " in refusal(f"{KIND}={kind}")
    assert f"did you mean {near}" in refusal(f"{KIND}={kind}")


def test_what_cannot_be_is_refused_at_once() -> None:
    assert "which a configuration cannot hold" in refusal(f"{KIND}=SequentialLR")
    assert "those are ConstantLR, Cosine" in refusal(f"{KIND}=xyz")
    assert "use interval=epoch" in refusal(f"{KIND}=ReduceLROnPlateau", "optimizer.schedule.interval=step")
    assert "use optimizer.schedule.interval" in refusal("optimizer.schedule.options.t_in_epochs=true")


def test_a_saved_run_can_switch_to_another_schedule(tmp_path: Path) -> None:
    restarts = [f"{KIND}=CosineAnnealingWarmRestarts", "optimizer.schedule.options={T_0: 5}"]
    write_config(tmp_path, load_overrides([*FAST, *restarts]), "train.py")
    same = load_overrides([], saved=tmp_path)
    assert same.optimizer.schedule.options == {"T_0": 5}
    check_optimization(nn.Linear(2, 2), same)
    switch = [f"{KIND}=StepLR", "optimizer.schedule.options.step_size=3"]
    with pytest.raises(ModelError, match=r"takes no T_0, .*~optimizer\.schedule\.options\.T_0"):
        check_optimization(nn.Linear(2, 2), load_overrides(switch, saved=tmp_path))
    switched = load_overrides([*switch, "~optimizer.schedule.options.T_0"], saved=tmp_path)
    assert switched.optimizer.schedule.options == {"step_size": 3}
    check_optimization(nn.Linear(2, 2), switched)


def test_the_state_of_another_schedule_is_refused() -> None:
    old = {"settings": {"schedule_kind": "one_cycle"}}
    own = {"settings": {"optimizer": "adamw", "schedule_kind": "cosine"}}
    path = Path("last.ckpt")
    # Of 0.2.0, and of our own schedules, which have one kind of state.
    check_optimization_is_kept(path, old, own)
    check_optimization_is_kept(path, {}, own)
    step_lr = {**own, "library_schedule": asdict(schedule("StepLR"))}
    check_optimization_is_kept(path, step_lr, step_lr)
    with pytest.raises(ModelError, match=r"had optimizer\.schedule\.kind=one_cycle, .*kind=StepLR cannot go on"):
        check_optimization_is_kept(path, old, step_lr)
    with pytest.raises(ModelError, match=r"last\.ckpt: its training .*; keep optimizer\.schedule\.kind=cosine, or"):
        check_optimization_is_kept(path, own, step_lr)
    with pytest.raises(
        ModelError, match=r"state optimizer\.schedule\.kind=cosine .*; keep optimizer\.schedule\.kind=StepLR, or"
    ):
        check_optimization_is_kept(path, step_lr, own)
    with pytest.raises(ModelError, match=r"keep optimizer\.schedule\.interval=epoch"):
        check_optimization_is_kept(path, step_lr, {**own, "library_schedule": asdict(schedule("StepLR", "step"))})
    with pytest.raises(ModelError, match=r"had optimizer\.name=adamw"):
        check_optimization_is_kept(path, old, {"settings": {"optimizer": "sgd"}})


def test_own_schedules_are_known_by_the_same_names_everywhere() -> None:
    assert tuple(SCHEDULES) == OWN_SCHEDULES


def test_all_schedulers_that_fall_over_the_training_are_known_where_weights_are_averaged() -> None:
    spanning = {
        kind
        for kind in list_library_schedules()
        if schedule(kind).build(make_optimizer(), 6).lengths and not watches_metric(kind)
    }
    assert spanning == {*LAST_RATES, "OneCycleLR"}
