"""The best checkpoint of a training that was broken off: what ships is always what best_epoch says."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch

from fer.bundle.io import load_bundle
from fer.config import Config
from fer.config.compose import load_overrides
from fer.core.user_cache import get_user_cache_dir
from fer.train.pipeline import resume, train
from tests.helpers.breaking_off import BreakOff, add_callback
from tests.helpers.programs import FAST, metrics_of

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_report")]
BATCHES = 5
CRASH = RuntimeError("the machine crashed")


def configure(*overrides: str) -> Config:
    short = ("dataset.sources.synthetic.count=140", "dataset.batch_size=20", "trainer.early_stopping.patience=null")
    # The same images for all.
    cache = f"dataset.cache_dir={get_user_cache_dir()}/data"
    return load_overrides([*FAST, *short, cache, "trainer.max_epochs=3", "trainer.stages=[fit]", *overrides])


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def score(accuracies: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the validations of a training give these accuracies, one after the other."""
    left = iter(accuracies)
    names = ("accuracy", "balanced_accuracy", "macro_f1")
    monkeypatch.setattr("fer.train.module.compute_metrics", lambda _: dict.fromkeys(names, next(left)))


def crash(config: Config, run: Path, step: int, accuracies: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        score(accuracies, patch)
        add_callback(BreakOff(step, CRASH), patch)
        with pytest.raises(RuntimeError, match="crashed"):
            train(config, run)


def check_what_ships(run: Path, epochs: list[float], best: float | None) -> None:
    """That history has these rows, and that the bundle holds the weights of the best one."""
    assert pd.read_csv(run / "history.csv")["epoch"].tolist() == epochs
    assert metrics_of(run)["best_epoch"] == best
    if best is not None:
        saved = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
        # Of two validations of five batches the first one is after three.
        assert saved["global_step"] == int(best) * BATCHES + (3 if best % 1 else 0)
        shipped = load_bundle(str(run / "bundle")).network.state_dict()
        assert all(torch.equal(value, saved["state_dict"][f"average.module.{key}"]) for key, value in shipped.items())


@pytest.mark.parametrize(("accuracies", "best"), [([0.1, 0.5, 0.6], 1), ([0.5, 0.1, 0.6], 0.5)])
def test_a_better_one_that_was_never_reached_again_does_not_ship(
    accuracies: list[float], best: float, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after a better validation at 1.5, resumed from 1, and stopped before 1.5 comes again."""
    run = work / "run"
    crash(configure("trainer.validations=2"), run, 9, accuracies, monkeypatch)
    score([0.0], monkeypatch)
    add_callback(BreakOff(7), monkeypatch)
    resume(run)
    check_what_ships(run, [0.5, 1, 1.4], best)
    # It stopped within an epoch, too: the best one up to last.ckpt is the best one of all here.
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]


def test_another_run_takes_over_the_best_one_up_to_where_it_begins(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of a run that was stopped within an epoch, and has ended with a later one."""
    first, second = work / "first", work / "second"
    with monkeypatch.context() as patch:
        score([0.1, 0.5, 0.6, 0.9], patch)
        add_callback(BreakOff(9), patch)
        train(configure("trainer.validations=2"), first)
    assert metrics_of(first)["best_epoch"] == 1.8
    names = sorted(path.name for path in (first / "checkpoints").iterdir())
    assert names == ["best.ckpt", "last.ckpt", "previous_best.ckpt"]
    score([0.3, 0.2], monkeypatch)
    # Where a run lies now counts, not where its checkpoints were saved.
    moved = first.rename(work / "moved")
    train(configure(f"trainer.resume_from={moved}"), second)
    check_what_ships(second, [0.5, 1, 2, 3], 1)
    assert sorted(path.name for path in (second / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]


def test_an_interrupted_run_goes_on_with_the_best_one_of_whole_epochs(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = work / "run"
    with monkeypatch.context() as patch:
        score([0.1, 0.5, 0.6], patch)
        add_callback(BreakOff(9, KeyboardInterrupt()), patch)
        with pytest.raises(SystemExit):
            train(configure("trainer.validations=2"), run)
    check_what_ships(run, [0.5, 1, 1.5], 1.5)
    score([0.2, 0.2, 0.2, 0.2], monkeypatch)
    resume(run)
    check_what_ships(run, [0.5, 1, 1.5, 2, 2.5, 3], 1)


def test_a_run_that_begins_anew_has_no_best_one(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed within its first epoch, and interrupted there before any validation."""
    run = work / "run"
    crash(configure("trainer.validations=2"), run, 4, [0.9], monkeypatch)
    add_callback(BreakOff(2, KeyboardInterrupt()), monkeypatch)
    with pytest.raises(SystemExit):
        resume(run)
    assert metrics_of(run)["best_epoch"] is None and list((run / "checkpoints").iterdir()) == []


def test_a_crash_between_the_two_checkpoints_loses_none(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = work / "run"
    save = pl.Trainer.save_checkpoint

    def crash_at_last(self: pl.Trainer, filepath: Any, *arguments: Any, **named: Any) -> None:
        if self.global_step == 2 * BATCHES and Path(filepath).name == "last.ckpt":
            raise CRASH
        save(self, filepath, *arguments, **named)

    with monkeypatch.context() as patch:
        score([0.5, 0.6], patch)
        patch.setattr(pl.Trainer, "save_checkpoint", crash_at_last)
        with pytest.raises(RuntimeError, match="crashed"):
            train(configure(), run)
    score([0.0], monkeypatch)
    add_callback(BreakOff(7), monkeypatch)
    resume(run)
    check_what_ships(run, [1, 1.4], 1)


def test_without_the_best_one_the_best_since_then_ships(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a run whose last checkpoint alone was kept; a damaged best one is none either."""
    first, second = work / "first", work / "second"
    crash(configure(), first, 9, [0.5], monkeypatch)
    shutil.copyfile(first / "checkpoints" / "last.ckpt", work / "kept.ckpt")
    (first / "checkpoints" / "best.ckpt").write_bytes(b"damaged")
    score([0.3, 0.2], monkeypatch)
    train(configure(f"trainer.resume_from={work / 'kept.ckpt'}"), second)
    check_what_ships(second, [1, 2, 3], 2)
