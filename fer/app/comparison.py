"""Chosen runs compared: `fer compare` as a process of its own."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fer.app.analysis import build_environment
from fer.app.jobs import Job, JobQueue, JobState
from fer.core.places import hide_places
from fer.errors import ExitCode

PROGRAM, PAGE = "fer.compare", "comparison.html"


@dataclass(frozen=True, eq=False)
class Comparison:
    """A comparison of runs.

    Attributes:
        job: Its process.
        directory: Where its page and tables are, in the visitor's own directory.
        keys: The runs, as the dashboard lists them.
    """

    job: Job
    directory: Path
    keys: tuple[str, ...]

    @property
    def page(self) -> Path:
        """Where its page is once it is made."""
        return self.directory / PAGE


def start_comparison(queue: JobQueue, places: Sequence[Path], directory: Path, keys: Sequence[str]) -> Comparison:
    """Put a comparison into the queue.

    Args:
        queue: Where it waits for its turn.
        places: Directories of runs or sweeps.
        directory: Where to write.
        keys: What the dashboard calls them.
    """
    command = [sys.executable, "-P", "-m", PROGRAM, "--out", str(directory), "--", *map(str, places)]
    return Comparison(queue.submit(Job(command, build_environment(os.environ))), directory, tuple(keys))


def describe_problem(comparison: Comparison) -> str | None:
    """Say why a comparison that is over has no page; None where it has one."""
    job = comparison.job
    if job.state is JobState.CANCELLED:
        return "Cancelled."
    if job.code == ExitCode.OK and comparison.page.is_file():
        return None
    last = next((line for line in reversed(job.lines) if line.strip()), f"it ended with exit code {job.code}")
    return hide_places(last.removeprefix(f"python -m {PROGRAM}: "))
