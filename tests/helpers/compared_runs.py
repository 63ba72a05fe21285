"""Made-up run directories: only files, as train.py leaves them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from fer.compare.runs import ComparedRun, find_runs
from fer.emotions import EMOTIONS

SETTINGS: dict[str, Any] = {
    "seed": 0,
    "name": "made",
    "dataset": {"batch_size": 32, "classes": 7},
    "model": {"name": "mobilenetv2_100", "drop_rate": 0.2},
    "optimizer": {"lr": 0.001, "weight_decay": 0.05},
    "trainer": {"max_epochs": 3, "stages": ["fit", "test"]},
}
IMAGES = 140


def settings(**changes: Any) -> dict[str, Any]:
    """SETTINGS with dotted keys changed: optimizer__lr=0.1."""
    made: dict[str, Any] = json.loads(json.dumps(SETTINGS))
    for key, value in changes.items():
        *sections, last = key.split("__")
        inner = made
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[last] = value
    return made


def predictions(
    right: np.ndarray, first: int = 0, classes: tuple[str, ...] = EMOTIONS, wrong_class: str | None = None
) -> pd.DataFrame:
    """Image ``first + n`` is judged rightly where ``right[n]``, else as the next class or as ``wrong_class``."""
    number = np.arange(first, first + len(right))
    labels = number % len(EMOTIONS)
    other = (labels + 1) % len(EMOTIONS) if wrong_class is None else np.full(len(right), classes.index(wrong_class))
    probabilities = np.full((len(right), len(classes)), 0.05)
    probabilities[np.arange(len(right)), np.where(right, labels, other)] = 0.7
    return pd.DataFrame(
        {
            "sample_id": [f"made/{image}" for image in number],
            "label": [EMOTIONS[label] for label in labels],
            **{f"p_{name}": probabilities[:, column] for column, name in enumerate(classes)},
        }
    )


def measure(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.05, "high": value + 0.04}


def part(accuracy: float, classes: tuple[str, ...] = EMOTIONS) -> dict[str, Any]:
    """One part of metrics.json."""
    figure = measure(accuracy)
    return {
        "samples": IMAGES,
        "accuracy": figure,
        "balanced_accuracy": measure(accuracy - 0.02),
        "macro_f1": measure(accuracy - 0.03),
        "log_loss": 1.5 - accuracy,
        "ece": 0.08,
        "ece_calibrated": 0.04,
        "per_class": {name: {"samples": 20, "precision": figure, "recall": figure, "f1": figure} for name in classes},
        "confusion_matrix": [],
        "by_source": {},
    }


def make_run(
    directory: Path,
    accuracy: float = 0.7,
    val_accuracy: float | None = None,
    monitor: str = "val_accuracy",
    provenance: dict[str, Any] | None = None,
    table: pd.DataFrame | None = None,
    epochs: int = 3,
    **changes: Any,
) -> Path:
    """A finished run of a given test accuracy, whose wrongly judged images are the first ones."""
    directory.mkdir(parents=True)
    content = {"defaults": ["base", "_self_"], **settings(**changes)}
    (directory / "run.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    facts = {"status": "finished", "command": ["train.py"], "git_commit": "c" * 40, "data_fingerprint": "d" * 64}
    (directory / "provenance.json").write_text(json.dumps({**facts, "fit_seconds": 12.5, **(provenance or {})}))
    val = accuracy if val_accuracy is None else val_accuracy
    metrics = {"monitor": monitor, "best_epoch": epochs, "epochs": epochs, "temperature": 1.1}
    (directory / "metrics.json").write_text(json.dumps({**metrics, "val": part(val), "test": part(accuracy)}))
    epoch = np.arange(1, epochs + 1)
    history = {"epoch": epoch, "val_accuracy": val * epoch / epochs, "val_loss": 2 / epoch, "train_loss": 1.9 / epoch}
    pd.DataFrame({**history, "seconds": 4.0, "images_per_second": 250.0}).to_csv(directory / "history.csv", index=False)
    if table is None:
        table = predictions(np.arange(IMAGES) >= round((1 - accuracy) * IMAGES))
    for name in ("val", "test"):
        table.to_parquet(directory / f"predictions_{name}.parquet", index=False)
    return directory


def read(*places: Path) -> list[ComparedRun]:
    return find_runs(places)[0]


def edit(directory: Path, name: str, **changes: Any) -> None:
    """Change top-level entries of a JSON file."""
    path = directory / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
