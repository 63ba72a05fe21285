"""What a run directory holds at this moment, as trackers are told it."""

import csv
import io
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

import yaml
from PIL import Image

from fer.core.io import write_text
from fer.trackers.base import EXIT_CODES, Ended, flat
from fer.trackers.images import PLACE, SAMPLES, confusion_matrix


def run_id(directory: Path) -> str:
    """The run directory's path below the project's outputs; its whole path where it lies elsewhere."""
    outputs = Path("outputs").resolve()
    path = directory.resolve()
    return (path.relative_to(outputs) if path.is_relative_to(outputs) else path).as_posix()


def config_of(directory: Path) -> dict[str, Any]:
    """The configuration in run.yaml."""
    content = yaml.safe_load((directory / "run.yaml").read_text(encoding="utf-8"))
    del content["defaults"]
    return dict(content)


def epochs_of(directory: Path) -> dict[int, dict[str, float]]:
    """The rows of history.csv by their epoch; none where there is no such file yet."""
    try:
        text = (directory / "history.csv").read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    rows = (
        {name: float(value or math.nan) for name, value in row.items()} for row in csv.DictReader(io.StringIO(text))
    )
    return {int(row["epoch"]): row for row in rows}


def seconds_since_start(directory: Path) -> int:
    return round((datetime.now(UTC) - datetime.fromisoformat(provenance_of(directory)["start"])).total_seconds())


def provenance_of(directory: Path) -> dict[str, Any]:
    return dict(json.loads((directory / "provenance.json").read_text(encoding="utf-8")))


def ended(directory: Path) -> Ended:
    """How the run ended; one that still counts as running has lost its process."""
    status = provenance_of(directory)["status"]
    metrics: dict[str, Any] = {}
    if (directory / "metrics.json").is_file():
        metrics = json.loads((directory / "metrics.json").read_text(encoding="utf-8"))
    values = flat(metrics, "/")
    return Ended(
        status=status if status in EXIT_CODES else "killed",
        epochs=len(epochs_of(directory)),
        figures={name: float(value) for name, value in values.items() if isinstance(value, int | float)},
        texts={name: value for name, value in values.items() if isinstance(value, str)},
        pictures=pictures(directory, metrics),
        bundle=directory / "bundle" if (directory / "bundle").is_dir() else None,
    )


def pictures(directory: Path, metrics: Mapping[str, Any]) -> dict[str, Image.Image]:
    """A confusion matrix of each judged part, and the sample sheet that the training left."""
    found = {}
    for part, words in (("val", "Validation"), ("test", "Test")):
        if figures := metrics.get(part):
            title = f"{words}, {figures['samples']} images"
            found[f"confusion_{part}"] = confusion_matrix(
                figures["confusion_matrix"], list(figures["per_class"]), title
            )
    if (directory / PLACE / SAMPLES).is_file():
        found["samples"] = Image.open(directory / PLACE / SAMPLES).convert("RGB")
    return found


class Memory:
    """What a later process of the same run must know of each tracker: ids, and the last epoch that it was told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = Lock()
        self.known: dict[str, dict[str, Any]] = json.loads(path.read_text("utf-8")) if path.is_file() else {}

    def of(self, tracker: str) -> dict[str, Any]:
        return dict(self.known.get(tracker, {}))

    def note(self, tracker: str, **facts: Any) -> None:
        with self.lock:
            self.known.setdefault(tracker, {}).update(facts)
            write_text(self.path, json.dumps(self.known, indent=2) + "\n")
