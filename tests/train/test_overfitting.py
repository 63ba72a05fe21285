"""A training on its first batches alone: the images, what changes them, what it reaches, and what is said about it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fer.config import Config
from fer.config.compose import load_overrides
from fer.data.datamodule import FaceDataModule, Split
from fer.train.overfitting import describe_overfitting, select_splits
from fer.train.pipeline import train
from fer.train.trainer import build_datamodule
from tests.helpers.networks import faces
from tests.helpers.programs import FAST, metrics_of

# Batch norm's running statistics lag behind by some dozens of steps, of which an epoch here has one.
NETWORK = ("model.name=test_convnext", "model.drop_rate=0", "trainer.max_epochs=20")


def configure(*overrides: str) -> Config:
    return load_overrides(["dataset.batch_size=4", "model.image_size=32", *overrides])


def draw_splits(count: int) -> tuple[Split, Split]:
    """A training part, sorted by class, with weights, and a validation part of other rows."""
    targets = np.eye(7, dtype=np.float32)[np.arange(count) * 7 // count]
    weights = np.linspace(1, 2, count, dtype=np.float32)
    return Split(np.arange(count), targets, weights), Split(np.arange(count, count + 3), targets[:3], weights[:3])


@pytest.mark.parametrize(
    ("overrides", "count", "expected"),
    [
        (["trainer.overfit_batches=1"], 30, 4),
        (["trainer.overfit_batches=3"], 30, 12),
        (["trainer.overfit_batches=9"], 30, 28),
        (["trainer.overfit_batches=2"], 3, 3),
        (["trainer.overfit_batches=3", "trainer.limit_batches=2"], 30, 8),
    ],
)
def test_the_same_batches_are_trained_and_validated(overrides: list[str], count: int, expected: int) -> None:
    config = configure(*overrides)
    train_split, val = draw_splits(count)
    first, judged = select_splits(config, train_split, val)
    assert len(set(first.rows)) == len(first.rows) == expected
    data = build_datamodule(config, faces(count + 3, 32), first, judged)

    def collect(loader: object) -> set[int]:
        return {row for batch in loader for row in batch["images"].flatten(1).float().sum(1).tolist()}  # type: ignore[attr-defined]

    assert collect(data.train_dataloader()) == collect(data.val_dataloader())
    # They are those that the first epoch of a training begins with, of several classes though the part is sorted.
    whole = build_datamodule(configure(), faces(count + 3, 32), *draw_splits(count)).train_dataloader()
    begun = torch.cat([batch["images"] for batch in list(whole)[: len(data.train_dataloader())]])
    assert collect(data.val_dataloader()) == set(begun.flatten(1).float().sum(1).tolist())


def test_nothing_changes_the_images_or_their_share() -> None:
    config = configure(
        *("trainer.overfit_batches=2", "dataset.balance=weighted_sampling", "dataset.augment.mixup=1"),
        "dataset.augment.mix_probability=1",
    )
    first, judged = select_splits(config, *draw_splits(30))
    images = faces(33, 32)
    data: FaceDataModule = build_datamodule(config, images, first, judged)
    loader = data.train_dataloader()
    seen = [row for batch in loader for row in batch["images"].flatten(1).float().sum(1).tolist()]
    assert len(set(seen)) == len(seen) == 8 and set(first.weights) == {1}
    batch = next(iter(loader))
    pixels, targets = data.augmentation(batch["images"], batch["targets"], 32, (0, 0, 0))
    torch.testing.assert_close(pixels, batch["images"].permute(0, 3, 1, 2) / 255, rtol=0, atol=1e-3)
    assert torch.equal(targets, batch["targets"])


def test_without_the_key_the_parts_stay() -> None:
    parts = draw_splits(30)
    assert select_splits(configure(), *parts) == parts
    assert describe_overfitting(configure()) == []


@pytest.mark.slow
def test_a_network_learns_one_batch_by_heart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["trainer.overfit_batches=1", "trainer.ema_decay=0", "trainer.early_stopping.patience=null"]
    train(load_overrides([*FAST, *options, *NETWORK]), tmp_path / "run")
    history = pd.read_csv(tmp_path / "run" / "history.csv")
    assert history["val_accuracy"].max() >= 0.95 and history["train_accuracy"].max() >= 0.95
    warning = "say nothing about other images"
    assert warning in caplog.text and warning in (tmp_path / "run" / "report.html").read_text()
    # The evaluation afterwards is of the real parts.
    manifest = pd.read_parquet(tmp_path / "run" / "manifest.parquet")
    metrics = metrics_of(tmp_path / "run")
    for part in ("val", "test"):
        assert metrics[part]["samples"] == (manifest["split"] == part).sum()
