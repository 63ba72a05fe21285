"""What every tracker is told about a run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL.Image import Image

# How a run may end, and the exit code that tells of it; `killed` is one whose process vanished.
EXIT_CODES = {"finished": 0, "interrupted": 130, "failed": 1, "pruned": 5, "killed": 137}


@dataclass(frozen=True)
class RunInfo:
    """A run that begins or goes on.

    ``id`` is the run directory's path below the project's outputs, ``config`` the content of run.yaml.
    ``remembered`` is what the tracker had ``remember`` keep in an earlier process of the same run. ``warn`` tells the
    user something.
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

    ``status`` is one of EXIT_CODES. ``epochs`` counts them. ``figures`` are the numbers of metrics.json, each named by
    its place (`test/accuracy/value`), ``texts`` its other values. ``pictures`` are RGB, by name.
    """

    status: str
    epochs: int
    metrics: Mapping[str, float]
    texts: Mapping[str, str]
    images: Mapping[str, Image]
    bundle: Path | None


class Tracker(Protocol):
    """Where a run is told about. Any method may raise anything, or never return: the caller is prepared."""

    def log_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """A row of history.csv; each epoch comes once."""

    def log_system_metrics(self, seconds: int, metrics: Mapping[str, float]) -> None:
        """What the training took of the machine, so many seconds after the run's start."""

    def finish(self, result: RunResult) -> str:
        """The last call; returns where to look, for the user."""
