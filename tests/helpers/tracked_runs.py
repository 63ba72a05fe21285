"""Run directories as a training leaves them, made without one, and what trackers hold of them."""

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fer.config.compose import load_overrides
from fer.core.run_layout import TRACKERS_DIR
from fer.emotions import EMOTIONS
from fer.runs.run_directory import Run
from fer.synthetic import draw_dataset_face
from fer.trackers.images import SAMPLES_FILE, write_sample_sheet
from fer.train.metrics import compute_split_metrics
from tests.helpers.wandb_files import OfflineRun, read_offline_run

COLUMNS = ("epoch", "lr", "train_loss", "val_loss", "val_accuracy")


def begun(directory: Path) -> Run:
    """A run that has just begun."""
    return Run(directory, load_overrides(["name=made"]))


def grow(directory: Path, epochs: int) -> None:
    """history.csv after so many epochs; the values of an epoch are always the same, the first loss is not finite."""
    rows = [
        (epoch, 0.01 / epoch, 2 / epoch if epoch > 1 else "", 2.5 / epoch, 0.1 * epoch)
        for epoch in range(1, epochs + 1)
    ]
    pd.DataFrame(rows, columns=COLUMNS).to_csv(directory / "history.csv", index=False)


def conclude(run: Run, status: str) -> None:
    """Figures, pictures, bundle and status of a run."""
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(7), 60)
    labels = random.integers(0, 6, 60)  # Nobody is surprised: that class has no figures.
    judged = compute_split_metrics(
        probabilities, probabilities, labels, np.full((60, 7), np.nan), ["made"] * 60, EMOTIONS
    )
    metrics = {"monitor": "val_accuracy", "epochs": 3, "temperature": 1.25, "val": judged, "test": None}
    run.write_metrics({**metrics, "weights_sha256": "ab" * 32})
    faces = [(draw_dataset_face(0, number, 48).image, EMOTIONS[number // 2]) for number in range(14)]
    write_sample_sheet(faces, run.directory / TRACKERS_DIR / SAMPLES_FILE)
    (run.directory / "bundle").mkdir(exist_ok=True)
    (run.directory / "bundle" / "bundle.yaml").write_text("classes: 7\n")
    run.finish(status)


def scalars_of(tree: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers in metrics.json by their place, lists left out."""
    found = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            found |= scalars_of(value, f"{prefix}{key}/")
        elif isinstance(value, (int, float)):
            found[prefix + key] = float(value)
    return found


def saved_scalars(directory: Path) -> dict[str, float]:
    metrics = json.loads((directory / "metrics.json").read_text())
    # Hundreds of numbers, which trackers leave out.
    metrics.pop("protocol", None)
    for split in ("val", "test"):
        (metrics[split] or {}).pop("subsets", None)
    return scalars_of(metrics)


def events_of(directory: Path) -> EventAccumulator:
    """TensorBoard's own reader, which keeps everything."""
    found = EventAccumulator(str(directory / "tensorboard"), size_guidance={"scalars": 0, "tensors": 0, "images": 0})
    return found.Reload()


def text_of(events: EventAccumulator, tag: str) -> str:
    return str(events.Tensors(tag)[-1].tensor_proto.string_val[0].decode())


def mlflow_run(store: Path, run_id: str) -> tuple[MlflowClient, MlflowRun]:
    """MLflow's own client, and the one run of this id (the run directory's)."""
    client = MlflowClient(f"sqlite:///{store / 'mlflow.db'}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    (run,) = client.search_runs(experiments, f"tags.run_directory = '{run_id}'")
    return client, run


def offline_runs(directory: Path) -> list[OfflineRun]:
    """W&B's offline runs, the earliest one first; a process of W&B's own may still be writing how they ended."""
    paths = sorted(directory.glob("wandb/offline-run-*/*.wandb"))
    wait_for(lambda: all(read_offline_run(path).exit_code is not None for path in paths))
    return [read_offline_run(path) for path in paths]


def wait_for(happened: Any, longest_s: float = 60) -> None:
    """Until ``happened()`` is true, and raises nothing."""
    deadline = time.monotonic() + longest_s
    while time.monotonic() < deadline:
        with suppress(Exception):
            if happened():
                return
        time.sleep(0.2)
    raise TimeoutError(f"did not happen in {longest_s} s")
