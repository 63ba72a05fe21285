"""Reads what a run directory holds at this moment, as trackers take it."""

import csv
import io
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from PIL import Image

from fer.core.documents import read_json_object, read_yaml
from fer.core.flatten import flatten_dict
from fer.core.io import write_text
from fer.core.run_layout import BUNDLE_DIR, HISTORY_CSV, METRICS_JSON, PROVENANCE_JSON, RUN_YAML, TRACKERS_DIR
from fer.trackers.base import EXIT_CODES, RunResult
from fer.trackers.confusion_matrix import draw_confusion_matrix
from fer.trackers.images import SAMPLES_FILE

UNTRACKED = ("subsets", "slices", "slices_left_out")


def get_run_id(directory: Path) -> str:
    """Return the run directory's path below the project's outputs; its whole path where it lies elsewhere."""
    outputs = Path("outputs").resolve()
    path = directory.resolve()
    return (path.relative_to(outputs) if path.is_relative_to(outputs) else path).as_posix()


def read_config(directory: Path) -> dict[str, Any]:
    """Read the configuration in run.yaml."""
    content = read_yaml(directory / RUN_YAML)
    del content["defaults"]
    return dict(content)


def read_history(directory: Path) -> dict[int, dict[str, float]]:
    """Read the rows of history.csv by their number, from 1: the epoch, where each has one; none without the file."""
    try:
        text = (directory / HISTORY_CSV).read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    rows = [
        {name: float(value or math.nan) for name, value in row.items()} for row in csv.DictReader(io.StringIO(text))
    ]
    return dict(enumerate(rows, start=1))


def compute_elapsed_seconds(directory: Path) -> int:
    """Compute the seconds since the run's start."""
    return round((datetime.now(UTC) - datetime.fromisoformat(_read_provenance(directory)["start"])).total_seconds())


def _read_provenance(directory: Path) -> dict[str, Any]:
    return read_json_object(directory / PROVENANCE_JSON)


def read_result(directory: Path) -> RunResult:
    """Read how the run ended; one that still counts as running has lost its process."""
    status = _read_provenance(directory)["status"]
    metrics: dict[str, Any] = {}
    if (directory / METRICS_JSON).is_file():
        metrics = read_json_object(directory / METRICS_JSON)
    values = flatten_dict(_select_tracked(metrics), "/")
    return RunResult(
        status=status if status in EXIT_CODES else "killed",
        epochs=len(read_history(directory)),
        metrics={name: float(value) for name, value in values.items() if isinstance(value, int | float)},
        texts={name: value for name, value in values.items() if isinstance(value, str)},
        images=_draw_images(directory, metrics),
        bundle=directory / BUNDLE_DIR if (directory / BUNDLE_DIR).is_dir() else None,
    )


def _select_tracked(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What trackers get of metrics.json; of the rest, hundreds of further numbers, itself and the report tell.

    Of groups that is the worst one and the gap: names of groups may hold characters that no tracker takes in a name.
    """
    tracked = {name: value for name, value in metrics.items() if name != "protocol"}
    for split in ("val", "test"):
        if content := metrics.get(split):
            tracked[split] = {key: inner for key, inner in content.items() if key not in UNTRACKED}
            if groupings := content.get("groups"):
                tracked[split]["groups"] = {
                    name: {key: figures[key] for key in ("worst", "gap")} for name, figures in groupings.items()
                }
    return tracked


def _draw_images(directory: Path, metrics: Mapping[str, Any]) -> dict[str, Image.Image]:
    """Draw the confusion matrix of each evaluated split; add the sample sheet that the training wrote."""
    images = {}
    for split, label in (("val", "Validation"), ("test", "Test")):
        if split_metrics := metrics.get(split):
            title = f"{label}, {split_metrics['samples']} images"
            images[f"confusion_{split}"] = draw_confusion_matrix(
                split_metrics["confusion_matrix"], list(split_metrics["per_class"]), title
            )
    if (directory / TRACKERS_DIR / SAMPLES_FILE).is_file():
        images["samples"] = Image.open(directory / TRACKERS_DIR / SAMPLES_FILE).convert("RGB")
    return images


class TrackerState:
    """What a later process of the same run must know of each tracker: ids, and the last row that it logged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = Lock()
        self.entries: dict[str, dict[str, Any]] = read_json_object(path) if path.is_file() else {}

    def get(self, tracker: str) -> dict[str, Any]:
        """Return what is saved of a tracker."""
        return dict(self.entries.get(tracker, {}))

    def update(self, tracker: str, **facts: Any) -> None:
        """Save facts about a tracker, at once."""
        with self.lock:
            self.entries.setdefault(tracker, {}).update(facts)
            write_text(self.path, json.dumps(self.entries, indent=2) + "\n")
