"""Records of a sweep: sweep.yaml, job.json in the numbered run directory of each job, and sweep.csv at the end."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

import yaml

from fer.core.documents import read_json_object, read_yaml
from fer.core.io import write_text
from fer.core.run_layout import JOB_JSON
from fer.errors import UserError

SWEEP_YAML, SWEEP_CSV = "sweep.yaml", "sweep.csv"
Direction = Literal["maximize", "minimize"]
Status = Literal["finished", "pruned", "failed", "killed", "interrupted"]


@dataclass(frozen=True)
class Sweep:
    """A sweep, as sweep.yaml has it.

    Attributes:
        arguments: The command line that started it.
        directory: The directory in which it was typed.
        metric: The validation metric by which jobs are compared.
        direction: Whether the metric is to be large or small.
        jobs: How many jobs there will be.
        at_once: How many run at the same time.
        process: Id of the process that leads the sweep now.
    """

    arguments: list[str]
    directory: str
    metric: str
    direction: Direction
    jobs: int
    at_once: int
    process: int

    def format_job_overrides(self, overrides: Sequence[str]) -> str:
        """Format the overrides of a job that are not on the sweep's own command line."""
        return " ".join(text for text in overrides if text not in self.arguments)


@dataclass(frozen=True)
class SweepJob:
    """How a job ended, as job.json has it; ``value`` is that of the sweep's ``metric`` where the job finished."""

    number: int
    overrides: list[str]
    status: Status
    metric: str
    value: float | None
    reason: str
    seconds: float

    @property
    def is_done(self) -> bool:
        """Whether a resumed sweep leaves it as it is."""
        return self.status in ("finished", "pruned")

    @property
    def outcome(self) -> str:
        """How it ended, in words."""
        value = "" if self.value is None else f": {self.metric} {self.value:.4f}"
        return f"{self.status}{value}{f' ({self.reason})' if self.reason else ''}"


def write_sweep(directory: Path, sweep: Sweep) -> None:
    """Write sweep.yaml, and make the directory of the sweep."""
    directory.mkdir(parents=True, exist_ok=True)
    write_text(directory / SWEEP_YAML, yaml.safe_dump(asdict(sweep), sort_keys=False, allow_unicode=True))


def read_sweep(directory: Path) -> Sweep:
    """Read sweep.yaml. Raises UserError where the directory is not one of a sweep."""
    try:
        content = read_yaml(directory / SWEEP_YAML)
        return Sweep(**{field.name: content[field.name] for field in fields(Sweep)})
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{directory}: holds no readable {SWEEP_YAML}; name the directory of a sweep") from None


def write_job(directory: Path, job: SweepJob) -> None:
    """Write job.json into the run directory of a job."""
    write_text(directory / JOB_JSON, json.dumps(asdict(job), indent=2) + "\n")


def read_job(directory: Path) -> SweepJob | None:
    """Read how the job of a run directory ended; None before its end."""
    try:
        content = read_json_object(directory / JOB_JSON)
        return SweepJob(**{field.name: content[field.name] for field in fields(SweepJob)})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_jobs(directory: Path) -> list[SweepJob]:
    """Read the jobs of a sweep that have ended, in the order of their numbers."""
    jobs = [read_job(path.parent) for path in directory.glob(f"*/{JOB_JSON}") if path.parent.name.isdigit()]
    return sorted((job for job in jobs if job is not None), key=lambda job: job.number)


def rank_jobs(jobs: Sequence[SweepJob], direction: str) -> list[SweepJob]:
    """Sort the finished jobs, the best one first."""
    finished = [job for job in jobs if job.status == "finished" and job.value is not None]
    return sorted(finished, key=lambda job: job.value or 0, reverse=direction == "maximize")
