"""What a training keeps in checkpoints, writes and shows."""

import csv
import logging
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from fer.models.network import FaceNetwork
from fer.train.callbacks import MetricsHistory, ProgressCallback, RngStateCallback
from fer.train.module import FaceClassifierModule
from tests.helpers.networks import batch_of, settings

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
Make = Callable[[], FaceNetwork]
NO_TRAINER = cast(Any, None)


def draws() -> list[float]:
    """The next numbers of every global generator; normal ones are drawn in pairs, of which one is kept."""
    return [
        *(torch.rand(3).tolist() + torch.randn(1).tolist()),
        *(np.random.rand(2).tolist() + [np.random.randn()]),
        *(random.random(), random.gauss(0, 1)),
    ]


def test_random_state_round_trips_through_a_safe_checkpoint(tmp_path: Path) -> None:
    torch.manual_seed(5)
    np.random.seed(6)
    random.seed(7)
    draws()
    torch.save(RngStateCallback().state_dict(), tmp_path / "state.pt")
    expected = [draws(), draws()]
    restored = RngStateCallback()
    restored.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    other = draws()
    restored.on_train_epoch_start(NO_TRAINER, NO_TRAINER)
    assert [draws(), draws()] == expected
    assert other not in expected


def test_random_state_is_set_once_and_only_after_loading() -> None:
    torch.manual_seed(1)
    callback = RngStateCallback()
    first = draws()
    callback.on_train_epoch_start(NO_TRAINER, NO_TRAINER)
    assert draws() != first
    callback.load_state_dict(callback.state_dict())
    callback.on_train_epoch_start(NO_TRAINER, NO_TRAINER)
    expected = draws()
    callback.on_train_epoch_start(NO_TRAINER, NO_TRAINER)
    assert draws() != expected


def fit(network: FaceNetwork, history: MetricsHistory, epochs: int) -> FaceClassifierModule:
    module = FaceClassifierModule(network, settings(schedule_kind="cosine", label_smoothing=0.2))
    loader: DataLoader[Any] = DataLoader([batch_of(8), batch_of(4)], batch_size=None)  # type: ignore[arg-type]
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=[history, ProgressCallback(history, "val_accuracy")],
        num_sanity_val_steps=0,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(module, loader, loader)
    return module


def test_history_has_a_row_an_epoch(make_network: Make, tmp_path: Path) -> None:
    history = MetricsHistory(tmp_path / "history.csv")
    module = fit(make_network(), history, 2)
    with history.path.open() as file:
        rows = list(csv.DictReader(file))
    columns = "epoch lr train_loss train_accuracy val_loss val_accuracy val_balanced_accuracy val_macro_f1 "
    assert list(rows[0]) == [*columns.split(), "val_objective", "seconds", "images_per_second"]
    assert [row["epoch"] for row in rows] == ["1", "2"]
    total, right, count = module.train_sums.tolist()
    assert count == 12
    assert float(rows[1]["train_loss"]) == pytest.approx(total / 12)
    assert float(rows[1]["train_accuracy"]) == pytest.approx(right / 12)
    for name, value in module.val_metrics.items():
        assert float(rows[1][name]) == pytest.approx(value)
    assert all(float(row["seconds"]) > 0 and float(row["images_per_second"]) > 12 / 60 for row in rows)


def test_history_goes_on_where_a_checkpoint_ended(tmp_path: Path) -> None:
    earlier, later = MetricsHistory(tmp_path / "a.csv"), MetricsHistory(tmp_path / "b.csv")
    earlier.rows = [{"epoch": 1, "lr": 0.1}, {"epoch": 2, "lr": 0.05}]
    torch.save(earlier.state_dict(), tmp_path / "state.pt")
    later.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    later.rows.append({"epoch": 3, "lr": 0.01})
    assert [row["epoch"] for row in later.rows] == [1, 2, 3]
    assert len(earlier.rows) == 2


def test_a_run_of_an_earlier_version_keeps_its_measure(
    make_network: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its best value and its patience are those of the training objective, which val_loss was up to 0.2."""
    history = MetricsHistory(tmp_path / "history.csv")
    history.load_state_dict({"rows": [{"epoch": 1, "lr": 0.1, "val_loss": 0.5, "val_accuracy": 0.4}]})
    with caplog.at_level(logging.WARNING):
        module = fit(make_network(), history, 1)
    assert "its val_loss stays the value of the training objective" in caplog.text
    assert module.val_metrics["val_loss"] == module.val_metrics["val_objective"]
    assert list(pd.read_csv(history.path)["val_objective"].isna()) == [True, False]
    later = fit(make_network(), MetricsHistory(tmp_path / "new.csv"), 1)
    assert later.val_metrics["val_loss"] != later.val_metrics["val_objective"]


def test_a_log_gets_a_line_an_epoch(make_network: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fer.train.callbacks")
    history = MetricsHistory(tmp_path / "history.csv")
    fit(make_network(), history, 2)
    lines = [record.getMessage() for record in caplog.records if record.name == "fer.train.callbacks"]
    best = 0.0
    assert len(lines) == 2
    for number, (line, row) in enumerate(zip(lines, history.rows, strict=True), start=1):
        best = max(best, row["val_accuracy"])
        assert line == (
            f"Epoch {number}/2: train_loss {row['train_loss']:.4f}, val_loss {row['val_loss']:.4f}, val_accuracy "
            f"{row['val_accuracy']:.4f} (best {best:.4f}), {row['images_per_second']:.0f} images/s, at most "
            f"{(2 - number) * row['seconds']:.0f} s left"
        )


def test_the_best_loss_is_the_smallest(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.INFO, "fer.train.callbacks")
    history = MetricsHistory(tmp_path / "history.csv")
    trainer = cast(Any, SimpleNamespace(current_epoch=1, max_epochs=5))
    usual = {"train_loss": 0.5, "images_per_second": 90.0, "seconds": 2.0}
    history.rows = [{"val_loss": 0.25, **usual}, {"val_loss": 0.75, **usual}]
    ProgressCallback(history, "val_loss").on_train_epoch_end(trainer, cast(Any, SimpleNamespace(unit="clips")))
    assert caplog.records[-1].getMessage() == (
        "Epoch 2/5: train_loss 0.5000, val_loss 0.7500, val_loss 0.7500 (best 0.2500), 90 clips/s, at most 6 s left"
    )
