"""The page of a profiled training: what ``profile.html`` shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from fer.reports.page import render, write_page

OTHER = "other"
# In the order of a step; what is measured (fer.train.profiling) and what is shown have the same names.
PHASES: Mapping[str, str] = MappingProxyType(
    {
        "loading": "Waiting for batches",
        "transfer": "Moving to the device, augmentation",
        "forward": "Forward and loss",
        "backward": "Backward",
        "optimizer": "Optimizer step",
        "moving_average": "Moving average of the weights",
        "validation": "Validation",
        "checkpoints": "Writing checkpoints",
        OTHER: "Other",
    }
)
STEP_PHASES = ("loading", "transfer", "forward", "backward", "optimizer", "moving_average")
MAX_OPERATORS = 20
# Fewer steps are called few.
MANY_STEPS = 10


@dataclass(frozen=True)
class Operator:
    """An operator of PyTorch, all its calls together; times in seconds, without the operators that it calls."""

    name: str
    calls: int
    cpu_seconds: float
    device_seconds: float | None


@dataclass(frozen=True)
class Hint:
    """What to do: what was found, the remedy, and the rule that it follows from."""

    finding: str
    remedy: str
    rule: str


@dataclass(frozen=True)
class ProfileReport:
    """Everything the page of a profiled training is made of.

    Attributes:
        title: Heading of the page.
        interrupted: Whether the training was.
        epochs: First and last epoch that was measured, from 1.
        seconds: Time of each of ``PHASES``.
        calls: How often each was entered.
        profiling_seconds: Time that the profile itself took.
        images: Training images of all steps, of all processes together.
        step_seconds: Time of each step.
        traced: First and last traced step, from 1; None where none was.
        traced_seconds: Time of the traced steps.
        trace_file: Name of the trace's file.
        operators: Operators of the traced steps.
        device: ``cpu``, ``cuda`` or ``mps``.
        device_busy: Fraction of the traced steps in which a GPU computed; None where it is not known.
        processes: Number of processes that trained together.
        hints: What to do, the most important first.
        environment: Facts about machine, code and settings, by name.
    """

    title: str
    interrupted: bool
    epochs: tuple[int, int]
    seconds: Mapping[str, float]
    calls: Mapping[str, int]
    profiling_seconds: float
    images: int
    step_seconds: Sequence[float]
    traced: tuple[int, int] | None
    traced_seconds: float
    trace_file: str
    operators: Sequence[Operator]
    device: str
    device_busy: float | None
    processes: int
    hints: Sequence[Hint]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class _PhaseRow:
    title: str
    seconds: float
    fraction: float
    calls: int


@dataclass(frozen=True)
class _OperatorRow:
    name: str
    calls: int
    seconds: float
    fraction: float


@dataclass(frozen=True)
class _OperatorTable:
    """The operators with the longest times of their own on a processor; fractions are of all operators there."""

    processor: str
    operators: int
    rows: list[_OperatorRow]
    rest: _OperatorRow | None


def write_profile_page(report: ProfileReport, path: Path) -> None:
    """Write the page; it appears only once it is complete.

    Args:
        report: What the page shows.
        path: The HTML file.

    Raises:
        OSError: The page cannot be written.
    """
    later = sorted(report.step_seconds[1:])
    total, steps_total = sum(report.seconds.values()), sum(report.seconds[phase] for phase in STEP_PHASES)
    content = {
        "report": report,
        "total": total,
        "phases": [
            _PhaseRow(title, report.seconds[phase], report.seconds[phase] / total, report.calls[phase])
            for phase, title in PHASES.items()
        ],
        "images_per_second": report.images / total,
        "images_per_second_of_steps": report.images / steps_total,
        "first_step": report.step_seconds[0],
        "median_step": later[len(later) // 2] if later else None,
        "few_steps": len(report.step_seconds) < MANY_STEPS,
        "tables": _build_operator_tables(report),
    }
    write_page(render("profile.html.j2", content), path)


def _build_operator_tables(report: ProfileReport) -> list[_OperatorTable]:
    """A table for the CPU, and before it one for the GPU where there is one."""
    device = [(operator, operator.device_seconds or 0.0) for operator in report.operators]
    cpu = [(operator, operator.cpu_seconds) for operator in report.operators]
    tables = [("GPU", device), ("CPU", cpu)]
    return [_build_operator_table(processor, times) for processor, times in tables if any(own for _, own in times)]


def _build_operator_table(processor: str, times: Sequence[tuple[Operator, float]]) -> _OperatorTable:
    total = sum(own for _, own in times)
    ordered = sorted((pair for pair in times if pair[1]), key=lambda pair: -pair[1])
    rows = [_OperatorRow(operator.name, operator.calls, own, own / total) for operator, own in ordered]
    hidden = rows[MAX_OPERATORS:]
    rest = _OperatorRow(
        f"{len(hidden)} others",
        sum(row.calls for row in hidden),
        sum(row.seconds for row in hidden),
        sum(row.fraction for row in hidden),
    )
    return _OperatorTable(processor, len(rows), rows[:MAX_OPERATORS], rest if hidden else None)
