"""What every tracker is told about a run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL.Image import Image

from fer.errors import ExitCode

# How a run may end, and the exit code that tells of it. The process of a `killed` one has vanished: 128 + SIGKILL.
EXIT_CODES: dict[str, int] = {
    "finished": ExitCode.OK,
    "interrupted": ExitCode.INTERRUPTED,
    "failed": ExitCode.ERROR,
    "pruned": ExitCode.PRUNED,
    "killed": 137,
}


@dataclass(frozen=True)
class RunInfo:
    """A run that begins or is resumed.

    Attributes:
        directory: The run directory.
        id: Its path below the project's outputs.
        config: The content of run.yaml.
        saved_state: What the tracker saved by ``save_state`` in an earlier process of the same run.
        save_state: Called with keyword arguments, saves them for a later process.
        warn: Shows the user a sentence.
    """

    directory: Path
    id: str
    config: Mapping[str, Any]
    saved_state: Mapping[str, Any]
    save_state: Callable[..., None]
    warn: Callable[[str], None]


@dataclass(frozen=True)
class RunResult:
    """How a run ended, and what came out.

    Attributes:
        status: A key of ``EXIT_CODES``.
        epochs: Number of rows of history.csv: of epochs, where each has one validation.
        metrics: The numbers of metrics.json, each named by its keys (`test/accuracy/value`).
        texts: Its other values, named alike.
        images: RGB, by name.
        bundle: The bundle's directory, None where there is none.
    """

    status: str
    epochs: int
    metrics: Mapping[str, float]
    texts: Mapping[str, str]
    images: Mapping[str, Image]
    bundle: Path | None


class Tracker(Protocol):
    """Where a run is logged. Any method may raise anything, or never return: the caller is prepared."""

    def log_epoch(self, row_number: int, metrics: Mapping[str, float]) -> None:
        """Log a row of history.csv; each comes once.

        Args:
            row_number: Its number from 1: the epoch, where each has one validation (``trainer.validations``).
            metrics: Its columns; ``epoch`` has a fraction within an epoch.
        """

    def log_system_metrics(self, seconds: int, metrics: Mapping[str, float]) -> None:
        """Log what the training uses of the machine, so many seconds after the run's start."""

    def finish(self, result: RunResult) -> str:
        """Log the result and close; returns where to look, for the user."""
