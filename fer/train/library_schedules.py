"""A schedule of PyTorch or timm by the name of its class, whose state resumes exactly."""

import copy
import inspect
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import timm.scheduler
import torch
from timm.scheduler.scheduler import Scheduler

from fer.config.optimizer import LENGTHS, watches_metric
from fer.errors import ModelError, shorten_error

# Arguments that no option stands for.
NOT_OPTIONS = frozenset({"optimizer", "last_epoch", "initialize", "t_in_epochs"})
# Longer than any training: before there are data, nobody knows how many steps it has.
UNKNOWN_LENGTH = 10**9
# In intervals; every process rehearses, at every start.
LONGEST_REHEARSAL = 2000
# What schedulers raise for values that make no sense to them.
ERRORS = (TypeError, ValueError, ArithmeticError, AssertionError, LookupError, AttributeError)


class LibraryScheduler:
    """A scheduler, of which checkpoints keep what has changed since it was built.

    What it was built from is not kept but for its length: a training that goes on with another one gets the rates of
    a training that always had it.

    Args:
        scheduler: One of PyTorch or timm.
        interval: ``epoch`` or ``step``.
    """

    def __init__(self, scheduler: Any, interval: str) -> None:
        self.scheduler, self.interval = scheduler, interval
        self.optimizer: torch.optim.Optimizer = scheduler.optimizer
        self.steps = 0
        # timm's plateau steps one of PyTorch, whose counters its own state leaves out.
        self.parts = [part for part in (scheduler, vars(scheduler).get("lr_scheduler")) if part is not None]
        self.built = [copy.deepcopy(_read_values(part)) for part in self.parts]
        self.lengths = {name: value for name, value in vars(scheduler).items() if name in LENGTHS}
        self.first_rates = [_read_rates(group) for group in self.optimizer.param_groups]

    def step(self, metric: float | None = None) -> None:
        """Set the rate of the next epoch or step; plateaus need the metric of this one."""
        self.steps += 1
        if isinstance(self.scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            assert metric is not None, "a plateau is stepped with its metric"
            self.scheduler.step(metric)
        elif not isinstance(self.scheduler, Scheduler):
            self.scheduler.step()
        elif self.interval == "epoch":
            self.scheduler.step(self.steps, metric)
        else:
            self.scheduler.step_update(self.steps)

    def jump(self, steps: int) -> None:
        """Set the rate that follows a number of steps, without taking those between; plateaus take one."""
        if isinstance(self.scheduler, Scheduler | torch.optim.lr_scheduler.ReduceLROnPlateau):
            self.steps = steps - 1
            self.step(0.0)
        else:
            # PyTorch computes it in closed form, not from the rate before.
            self.steps = steps
            self.scheduler.step(steps)

    def state_dict(self) -> dict[str, Any]:
        """The number of steps, the values that they have changed, and the length of the training."""
        missing = object()
        changed = [
            {name: value for name, value in _read_values(part).items() if built.get(name, missing) != value}
            for part, built in zip(self.parts, self.built, strict=True)
        ]
        return {"steps": self.steps, "changed": changed, "lengths": self.lengths}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state, with the optimizer's own already loaded.

        Raises:
            ModelError: The training was made so short that the scheduler cannot take the steps that were made.
        """
        if state_dict["lengths"] != self.lengths:
            self._replay(state_dict["steps"])
            return
        self.steps = state_dict["steps"]
        for part, changed in zip(self.parts, state_dict["changed"], strict=True):
            vars(part).update(changed)

    def _replay(self, steps: int) -> None:
        """Take steps from the first rate on: the loaded one is of the other length, and others may follow from it."""
        for group, rates in zip(self.optimizer.param_groups, self.first_rates, strict=True):
            group.update(rates)
        try:
            with warnings.catch_warnings():
                # It is stepped without its optimizer.
                warnings.simplefilter("ignore")
                for _ in range(steps):
                    self.step()
        except ERRORS as error:
            kind = type(self.scheduler).__name__
            length = ", ".join(f"{name}={value}" for name, value in self.lengths.items())
            raise ModelError(
                f"optimizer.schedule.kind={kind}: cannot go on after {steps} {self.interval}s with {length} "
                f"({shorten_error(error)}); use a larger trainer.max_epochs, or train anew without trainer.resume_from"
            ) from None


def _read_values(part: Any) -> dict[str, Any]:
    """What a scheduler remembers, less functions and other objects."""
    return {
        name: value
        for name, value in vars(part).items()
        if name not in ("optimizer", "lr_scheduler") and not callable(value)
    }


def _read_rates(group: Mapping[str, Any]) -> dict[str, Any]:
    """The rates of a parameter group: its own, and those that schedulers keep there (initial_lr, max_lr, min_lr)."""
    return {name: value for name, value in group.items() if name.endswith("lr")}


@dataclass(frozen=True)
class LibrarySchedule:
    """A schedule of PyTorch or timm.

    Attributes:
        kind: Class name in ``torch.optim.lr_scheduler`` or ``timm.scheduler``.
        options: Its arguments.
        interval: ``epoch`` or ``step``: when it changes the rate, and in what its arguments count.
        lr: Largest learning rate.
        monitor: The metric that a plateau watches.
    """

    kind: str
    options: Mapping[str, Any]
    interval: str
    lr: float
    monitor: str

    def choose_length(self, epochs: int, steps: int) -> int:
        """The length of a training in intervals."""
        return epochs if self.interval == "epoch" else steps

    def build(self, optimizer: torch.optim.Optimizer, length: int) -> LibraryScheduler:
        """Build the scheduler of an optimizer, which gets the first rate.

        Args:
            optimizer: The optimizer.
            length: Length of the training in intervals.

        Raises:
            ModelError: The scheduler does not take these arguments, or lacks some.
        """
        module: Any = torch.optim.lr_scheduler if hasattr(torch.optim.lr_scheduler, self.kind) else timm.scheduler
        scheduler = getattr(module, self.kind)
        parameters = inspect.signature(scheduler).parameters
        known = {name: parameter for name, parameter in parameters.items() if name not in NOT_OPTIONS}
        if unknown := sorted(self.options.keys() - known.keys()):
            raise ModelError(
                f"optimizer.schedule.kind={self.kind}: takes no {unknown[0]}, but {', '.join(known)}; take it out of "
                f"optimizer.schedule.options (of a saved run with ~optimizer.schedule.options.{unknown[0]})"
            )
        self._refuse_wrong_types(known)
        arguments = {**self._derive_arguments(parameters, length), **self.options}
        self._refuse_missing(known, arguments)
        try:
            with warnings.catch_warnings():
                # timm's plateau warns that its state is not kept; here it is.
                warnings.simplefilter("ignore")
                return LibraryScheduler(scheduler(optimizer, **arguments), self.interval)
        except ERRORS as error:
            raise self._build_error("cannot be built", error) from None

    def check_before_data(self, optimizer: torch.optim.Optimizer, epochs: int) -> None:
        """Check the arguments as far as they are known without data. Raises ModelError."""
        if self.interval == "epoch":
            self.check(optimizer, epochs, epochs)
        else:
            self.check(optimizer, UNKNOWN_LENGTH, 2)

    def check(self, optimizer: torch.optim.Optimizer, length: int, steps: int) -> None:
        """Rehearse the schedule, whose errors would end the training in its midst.

        A rehearsal longer than LONGEST_REHEARSAL takes half as many steps, and as many samples of the rest, the last
        interval among them. What is wrong between two samples alone is not found, nor is what comes of rounding.

        Args:
            optimizer: An optimizer that is not used afterwards.
            length: Length of the training in intervals.
            steps: Intervals to rehearse.

        Raises:
            ModelError: The scheduler cannot be built, fails on the way, or gives a rate that is none.
        """
        scheduler = self.build(optimizer, length)
        self._refuse_rates(optimizer, 0)
        for step in _choose_rehearsed(steps):
            try:
                with warnings.catch_warnings():
                    # It is stepped without its optimizer.
                    warnings.simplefilter("ignore")
                    if step == scheduler.steps + 1:
                        scheduler.step(0.0)
                    else:
                        scheduler.jump(step)
            except ERRORS as error:
                raise self._build_error(f"fails after {self.interval} {step} of {steps}", error) from None
            self._refuse_rates(optimizer, step)

    def _derive_arguments(self, parameters: Mapping[str, inspect.Parameter], length: int) -> dict[str, Any]:
        """The arguments that follow from the training."""
        derived: dict[str, Any] = {
            **dict.fromkeys(LENGTHS, length),
            "max_lr": self.lr,
            "t_in_epochs": self.interval == "epoch",
        }
        if self.options.keys() & {"epochs", "steps_per_epoch"}:
            del derived["total_steps"]
        if "t_initial" in parameters and self._has_warmup_before(parameters):
            derived["t_initial"] = max(length - (self.options.get("warmup_t") or 0), 1)
        if watches_metric(self.kind):
            derived["mode"] = "min" if self.monitor == "val_loss" else "max"
        return {name: value for name, value in derived.items() if name in parameters}

    def _has_warmup_before(self, parameters: Mapping[str, inspect.Parameter]) -> bool:
        """Whether timm's warm-up comes before ``t_initial`` begins to count, as always where that cannot be set."""
        if "warmup_prefix" not in parameters:
            return True
        return bool(self.options.get("warmup_prefix", parameters["warmup_prefix"].default))

    def _refuse_rates(self, optimizer: torch.optim.Optimizer, steps: int) -> None:
        """Raise ModelError where a rate is none."""
        rates = [float(group["lr"]) for group in optimizer.param_groups]
        if not all(0 <= rate < math.inf for rate in rates):
            raise self._build_error(f"gives the rate {rates[0]:g} in {self.interval} {steps + 1}")

    def _refuse_wrong_types(self, known: Mapping[str, inspect.Parameter]) -> None:
        """Raise ModelError where a text or a fraction stands for a number, with which some schedulers go wrong."""
        for name, value in self.options.items():
            wanted = _format_annotation(known[name])
            values = value if isinstance(value, list | tuple) else [value]
            text = any(isinstance(item, str) for item in values) and not ("str" in wanted or "Literal" in wanted)
            fraction = wanted == "int" and any(isinstance(item, float) and item % 1 for item in values)
            if text or fraction:
                raise self._build_error("cannot be built", ValueError(f"{name} takes {wanted}"))

    def _refuse_missing(self, known: Mapping[str, inspect.Parameter], arguments: Mapping[str, Any]) -> None:
        """Raise ModelError where an argument is missing that does not follow from the training."""
        missing = [name for name in known.keys() - arguments.keys() if known[name].default is inspect.Parameter.empty]
        if missing:
            needed = ", ".join(f"{name} ({_format_annotation(known[name])})" for name in sorted(missing))
            raise ModelError(
                f"optimizer.schedule.kind={self.kind}: needs {needed}; "
                f"set optimizer.schedule.options.{min(missing)}=VALUE"
            )

    def _build_error(self, problem: str, error: Exception | None = None) -> ModelError:
        options = f"optimizer.schedule.options={dict(self.options)}"
        reason = f" ({shorten_error(error)})" if error is not None else ""
        return ModelError(f"optimizer.schedule.kind={self.kind}: {problem} with {options}{reason}")


def _choose_rehearsed(steps: int) -> list[int]:
    """The steps to rehearse, from 1: all, or the first ones and samples up to the last."""
    if steps <= LONGEST_REHEARSAL:
        return list(range(1, steps + 1))
    half = LONGEST_REHEARSAL // 2
    return [*range(1, half + 1), *(half + (steps - half) * sample // half for sample in range(1, half + 1))]


def _format_annotation(parameter: inspect.Parameter) -> str:
    annotation = parameter.annotation
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
