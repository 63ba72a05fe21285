"""Validation several times an epoch: where, what each one counts for, and what stays exact."""

from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Timer

import fer.train.pruning
from fer.config import Config
from fer.config.compose import load_overrides
from fer.core.run_layout import TRIAL_JSON
from fer.core.user_cache import get_user_cache_dir
from fer.errors import UserError
from fer.sweep.job import read_metric
from fer.trackers.run_reader import read_history
from fer.train.callbacks import MetricsHistory
from fer.train.pipeline import resume, train
from fer.train.validation_points import compute_epoch_fraction, list_validation_batches
from tests.helpers.breaking_off import BreakOff, add_callback
from tests.helpers.composing import refusal
from tests.helpers.programs import FAST, metrics_of

TIMES = ["seconds", "images_per_second"]


def configure(*overrides: str) -> Config:
    """A training of five batches an epoch."""
    short = ("dataset.sources.synthetic.count=140", "dataset.batch_size=20", "trainer.early_stopping.patience=null")
    # The same images for all.
    cache = f"dataset.cache_dir={get_user_cache_dir()}/data"
    return load_overrides([*FAST, *short, cache, "trainer.max_epochs=2", *overrides])


def history_of(run: Path) -> pd.DataFrame:
    return pd.read_csv(run / "history.csv").drop(columns=TIMES)


def crash_at(epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """End a training after its first validation within ``epoch``, from 0."""
    validated = MetricsHistory.on_validation_end

    def crash(self: MetricsHistory, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        validated(self, trainer, module)
        if trainer.current_epoch == epoch:
            raise RuntimeError("the machine crashed")

    monkeypatch.setattr(MetricsHistory, "on_validation_end", crash)


@pytest.mark.parametrize(
    ("batches", "validations", "expected"),
    [
        (8, 4, [2, 4, 6, 8]),
        (10, 4, [3, 5, 8, 10]),
        (10, 3, [4, 7, 10]),
        (7, 1, [7]),
        (3, 5, [1, 2, 3]),
        (1, 2, [1]),
        (1000, 7, [143, 286, 429, 572, 715, 858, 1000]),
    ],
)
def test_validations_are_evenly_spaced_and_end_with_the_epoch(
    batches: int, validations: int, expected: list[int]
) -> None:
    assert list_validation_batches(batches, validations) == expected


@pytest.mark.slow
def test_each_batch_of_an_epoch_has_a_fraction_of_its_own() -> None:
    for batches, validations in [(10, 3), (7, 7), (5, 1), (30_000, 1), (30_000, 1000)]:
        fractions = [compute_epoch_fraction(done, batches, validations) for done in range(1, batches + 1)]
        assert fractions == sorted(set(fractions)) and 0 < fractions[0] and fractions[-1] == 1
    assert [compute_epoch_fraction(done, 10, 3) for done in (3, 4)] == [0.3, 0.3333]


def test_an_epoch_has_at_least_one() -> None:
    assert "trainer.validations=0" in refusal("trainer.validations=0")


@pytest.mark.slow
@pytest.mark.usefixtures("without_report")
def test_more_validations_change_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the weights nor the rows of whole epochs; a sweep's study hears of whole epochs alone."""
    monkeypatch.chdir(tmp_path)
    told: list[tuple[int, float]] = []
    monkeypatch.setattr(fer.train.pruning, "_report_metric", lambda _, *row: bool(told.append(row)))
    once, often = tmp_path / "once", tmp_path / "often"
    train(configure(), once)
    often.mkdir()
    (often / TRIAL_JSON).write_text("{}")
    train(configure("trainer.validations=3"), often)
    assert [line.split(",")[0] for line in (once / "history.csv").read_text().splitlines()] == ["epoch", "1", "2"]
    rows = history_of(often)
    assert rows["epoch"].tolist() == [0.3333, 0.6667, 1, 1.3333, 1.6667, 2]
    whole = rows[rows["epoch"] % 1 == 0].reset_index(drop=True)
    pd.testing.assert_frame_equal(whole, history_of(once), check_dtype=False)
    # Of the epoch so far: 40, 80 and 100 faces, whose count of right ones only grows.
    right = rows["train_accuracy"][:3].to_numpy() * [40, 80, 100]
    assert right == pytest.approx(right.round()) and (right[1:] >= right[:-1]).all()
    last = [torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for run in (once, often)]
    assert all(torch.equal(value, last[1][key]) for key, value in last[0].items())
    assert told == [(epoch, whole["val_accuracy"][epoch - 1]) for epoch in (1, 2)]
    assert metrics_of(often)["epochs"] == 2
    assert [row["epoch"] for row in read_history(often).values()] == rows["epoch"].tolist()
    assert list(read_history(often)) == [1, 2, 3, 4, 5, 6] and list(read_history(once)) == [1, 2]


@pytest.mark.slow
def test_a_training_stops_in_the_midst_of_an_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    patience = ["trainer.early_stopping.patience=1", "trainer.early_stopping.min_delta=1"]
    train(configure("trainer.validations=4", "trainer.early_stopping.monitor=val_loss", *patience), run)
    rows = history_of(run)
    assert rows["epoch"].tolist() == [0.25, 0.5]
    metrics = metrics_of(run)
    best = rows.loc[rows["val_loss"].idxmin()]
    assert (metrics["best_epoch"], metrics["epochs"]) == (best["epoch"], 0.5)
    assert read_metric(run, "val_accuracy") == best["val_accuracy"]
    assert f"best epoch {best['epoch']} of 0.5" in (run / "report.html").read_text()
    # There is no end of an epoch to go on from, and the best one is none.
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["best.ckpt"]
    again = configure(f"trainer.resume_from={run / 'checkpoints' / 'best.ckpt'}")
    with pytest.raises(UserError, match=r"is of the midst of an epoch.*resume from last\.ckpt"):
        train(again, tmp_path / "again")


@pytest.mark.slow
@pytest.mark.usefixtures("without_report")
def test_a_run_that_crashed_within_an_epoch_ends_as_an_unbroken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = configure("trainer.validations=2")
    whole = tmp_path / "whole"
    train(config, whole)
    for epoch in (0, 1):
        broken = tmp_path / f"broken-{epoch}"
        with monkeypatch.context() as patch:
            crash_at(epoch, patch)
            with pytest.raises(RuntimeError, match="crashed"):
                train(config, broken)
        assert history_of(broken)["epoch"].tolist() == [0.5, 1, 1.5][: 2 * epoch + 1]
        resume(broken)
        pd.testing.assert_frame_equal(history_of(broken), history_of(whole))
        assert metrics_of(broken)["weights_sha256"] == metrics_of(whole)["weights_sha256"]


@pytest.mark.slow
@pytest.mark.usefixtures("without_report")
@pytest.mark.parametrize(
    ("callback", "validations", "epochs"),
    [
        (BreakOff(3), 1, [0.6]),
        (BreakOff(3), 3, [0.3333, 0.6]),
        (BreakOff(7), 1, [1, 1.4]),
        # Where it would have been validated anyway, and at the end of an epoch.
        (BreakOff(4), 3, [0.3333, 0.6667]),
        (BreakOff(5), 1, [1]),
        (Timer(timedelta(microseconds=1), interval="step"), 1, [0.2]),
    ],
)
def test_a_callback_may_stop_a_training_after_any_batch(
    callback: Callback, validations: int, epochs: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was trained until then is validated, and may be the best; a schedule by epoch takes no step for it."""
    monkeypatch.chdir(tmp_path)
    add_callback(callback, monkeypatch)
    run = tmp_path / "run"
    stepped = ["optimizer.schedule.kind=StepLR", "optimizer.schedule.options.step_size=1"]
    train(configure(f"trainer.validations={validations}", *stepped), run)
    rows = history_of(run)
    assert rows["epoch"].tolist() == epochs
    assert rows["lr"].nunique() == (2 if epochs == [1, 1.4] else 1)
    metrics = metrics_of(run)
    assert metrics["epochs"] == epochs[-1]
    assert metrics["best_epoch"] == rows["epoch"][rows["val_accuracy"].idxmax()]
    assert metrics["val"] is not None and read_metric(run, "val_accuracy") == rows["val_accuracy"].max()
