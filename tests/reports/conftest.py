"""A made-up training run (no picture shows a face, and the figures were drawn, not measured), and a written page."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fer.reports.training import CaptionedImage, TrainingReport
from fer.reports.videos import VideoReport, write_video_report
from tests.helpers.video_report import Write

CLASSES = ["anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"]


def measure(value: float | None) -> dict[str, float | None]:
    if value is None:
        return {"value": None, "low": None, "high": None}
    return {"value": value, "low": value - 0.0123, "high": value + 0.0117}


def split_figures(classes: list[str], accuracy: float, without_images: tuple[str, ...] = ()) -> dict[str, Any]:
    size = len(classes)
    matrix = np.full((size, size), 3)
    np.fill_diagonal(matrix, 1000 + np.arange(size))
    for name in without_images:
        matrix[classes.index(name)] = 0
    per_class = {}
    for row, name in enumerate(classes):
        value = None if name in without_images else 0.5 + 0.0513 * row
        per_class[name] = {
            "samples": int(matrix[row].sum()),
            "precision": measure(value),
            "recall": measure(value),
            "f1": measure(value),
        }
    samples = int(matrix.sum())
    return {
        "samples": samples,
        "accuracy": measure(accuracy),
        "balanced_accuracy": measure(accuracy - 0.1),
        "macro_f1": measure(accuracy - 0.05),
        "log_loss": 0.47125,
        "log_loss_calibrated": 0.44881,
        "ece": 0.05149,
        "ece_calibrated": 0.01932,
        "kl_to_votes": 0.21372,
        "per_class": per_class,
        "confusion_matrix": matrix.tolist(),
        "by_source": {"ferplus": {"samples": samples, "accuracy": measure(accuracy)}},
    }


def history(epochs: int) -> pd.DataFrame:
    epoch = np.arange(1, epochs + 1)
    return pd.DataFrame(
        {
            "epoch": epoch,
            "lr": 1e-3 / epoch,
            "train_loss": 1.5 / epoch,
            "train_accuracy": 0.9 - 0.4 / epoch,
            "val_loss": 1.4 / epoch,
            "val_objective": 1.4 / epoch,
            "val_accuracy": 0.86 - 0.3 / epoch,
            "val_balanced_accuracy": 0.76 - 0.3 / epoch,
            "val_macro_f1": 0.78 - 0.3 / epoch,
            "seconds": np.full(epochs, 92.4),
            "images_per_second": np.full(epochs, 312.0),
        }
    )


def pictures(captions: list[str]) -> list[CaptionedImage]:
    random = np.random.default_rng(0)
    return [CaptionedImage(random.integers(0, 256, (12, 12), dtype=np.uint8), caption) for caption in captions]


@pytest.fixture
def make_report() -> Callable[..., TrainingReport]:
    """Function that makes a complete report; its keyword arguments replace fields, ``metrics`` in part."""

    def make(classes: list[str] = CLASSES, metrics: dict[str, Any] | None = None, **fields: Any) -> TrainingReport:
        all_metrics = {
            "monitor": "val_accuracy",
            "best_epoch": 3,
            "epochs": 4,
            "temperature": 1.2143,
            "weights_sha256": "9f86d081884c7d65",
            "val": split_figures(classes, 0.8777),
            "test": split_figures(classes, 0.86106),
        }
        complete: dict[str, Any] = {
            "title": "ferplus",
            "status": "finished",
            "command": "python train.py experiment=ferplus seed=3",
            "reproduce": "python train.py --config-dir RUN --config-name run",
            "history": history(4),
            "classes": classes,
            "class_counts": pd.DataFrame(
                {"train": 28558, "val": 1200, "test": 1100}, index=pd.Index(classes), dtype=int
            ),
            "findings": [("pixel-identical images", 1853, "kept in one split")],
            "samples": pictures([name for name in classes for _ in range(2)]),
            "mistakes": pictures(["sadness, predicted happiness 0.97", "fear, predicted surprise 0.95"]),
            "config_yaml": "seed: 3\nname: ferplus\n",
            "environment": {"device": "cpu", "git commit": "4f1c9a7e"},
            "notes": ["Labels follow the majority rule."],
        }
        return TrainingReport(metrics={**all_metrics, **(metrics or {})}, **{**complete, **fields})

    return make


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(report: VideoReport) -> str:
        path = tmp_path / "report.html"
        write_video_report(report, path)
        return path.read_text(encoding="utf-8")

    return write


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file with the name of a video; what is in it does not matter here."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"not a video")
    return path
