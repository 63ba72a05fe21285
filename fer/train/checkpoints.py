"""Lightning's checkpoints and early stopping, made to go on in another run directory."""

import logging
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from typing_extensions import override

from fer.core.io import atomic_write
from fer.core.run_layout import BEST_CKPT, LAST_CKPT, PREVIOUS_BEST_CKPT
from fer.errors import ModelError
from fer.train.schedules import SCHEDULES
from fer.train.validation_points import is_epoch_end

# The names under which checkpoints of earlier versions hold the states of callbacks.
CHECKPOINTS_STATE, PATIENCE_STATE = "Checkpoints", "Patience"
log = logging.getLogger(__name__)


class RelocatableCheckpoint(ModelCheckpoint):
    """The best or the last checkpoint.

    A best one is not lost to a later one before last.ckpt is as late: a killed run goes on from last.ckpt.
    """

    @property
    @override
    def state_key(self) -> str:
        return super().state_key.replace(type(self).__qualname__, CHECKPOINTS_STATE, 1)

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        # Where the best one was not found, one that is worse is better than none.
        found = trainer.strategy.broadcast(Path(str(self.dirpath), BEST_CKPT).is_file())
        if self.monitor is not None and not found:
            self.best_k_models = {}

    @override
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # In the midst of an epoch there may be a better network, but nothing from which a training goes on exactly.
        if self.monitor is not None and not is_epoch_end(trainer):
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if is_epoch_end(trainer):
            super().on_train_epoch_end(trainer, pl_module)

    @override
    def _save_checkpoint(self, trainer: pl.Trainer, filepath: str) -> None:
        path = Path(filepath)
        previous = path.with_name(PREVIOUS_BEST_CKPT)
        if trainer.is_global_zero and self.monitor is not None:
            last = path.with_name(LAST_CKPT)
            if path.is_file() and last.is_file() and not previous.is_file():
                path.replace(previous)
        super()._save_checkpoint(trainer, filepath)
        if trainer.is_global_zero and self.monitor is None:
            previous.unlink(missing_ok=True)

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        directory = Path(str(self.dirpath))

        def relocate(path: str) -> str:
            return str(directory / Path(path).name) if path else path

        best = {relocate(path): score for path, score in state_dict["best_k_models"].items()}
        keys = ("best_model_path", "kth_best_model_path", "last_model_path")
        paths = {key: relocate(state_dict[key]) for key in keys}
        super().load_state_dict({**state_dict, **paths, "best_k_models": best, "dirpath": str(directory)})


def restore_best_checkpoint(checkpoint: Path | None, directory: Path) -> None:
    """Give a training the best checkpoint of what it goes on from; none where it begins anew.

    Those that were saved after the one that it goes on from are no part of it: they may never come again.

    Args:
        checkpoint: The one to go on from.
        directory: Directory of the training's own checkpoints.
    """
    best = directory / BEST_CKPT
    source = None if checkpoint is None else _find_best_until(checkpoint)
    if source is None:
        best.unlink(missing_ok=True)
    elif source != best:
        with atomic_write(best) as temporary:
            shutil.copyfile(source, temporary)
    (directory / PREVIOUS_BEST_CKPT).unlink(missing_ok=True)


def _find_best_until(checkpoint: Path) -> Path | None:
    """Find the best checkpoint of a training up to this one: beside it, or where it was saved."""
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    folders = [state["dirpath"] for key, state in saved["callbacks"].items() if key.startswith(CHECKPOINTS_STATE)]
    epoch = read_epoch(checkpoint)
    found = (find_best_checkpoint(Path(folder), epoch) for folder in (checkpoint.parent, *folders[:1]))
    return next((best.path for best in found if best is not None), None)


@dataclass(frozen=True)
class BestCheckpoint:
    """The best checkpoint of a training, and the epoch that it is of."""

    path: Path
    epoch: float


def find_best_checkpoint(directory: Path, until: float | None = None) -> BestCheckpoint | None:
    """Find the best checkpoint in a directory; none that is damaged.

    Args:
        directory: Directory of a training's checkpoints.
        until: The last epoch that it may be of; None is any.
    """
    for name in (BEST_CKPT, PREVIOUS_BEST_CKPT):
        epoch = read_epoch(directory / name)
        if epoch is not None and epoch <= (math.inf if until is None else until):
            return BestCheckpoint(directory / name, epoch)
    return None


def read_epoch(path: Path) -> float | None:
    """Read the epoch of a checkpoint, that of its last row of history.csv; None where it cannot be read."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        epoch: float = saved["callbacks"]["History"]["rows"][-1]["epoch"]
    except Exception:
        # Damaged files raise whatever the damaged part is read by.
        return None
    return epoch


class ResumableEarlyStopping(EarlyStopping):
    """Early stopping that a resumed run does not outlive: where it had stopped before, it stops at once."""

    @property
    @override
    def state_key(self) -> str:
        return super().state_key.replace(type(self).__qualname__, PATIENCE_STATE, 1)

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True
            log.warning(
                "Early stopping had ended the training at this checkpoint: nothing is trained. To train on, add "
                "trainer.early_stopping.patience=null to trainer.resume_from"
            )

    @override
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.wait_count >= self.patience:
            log.info("Early stopping: %s was no better in the last %d validations", self.monitor, self.wait_count)

    @override
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not is_epoch_end(trainer):
            self._run_early_stopping_check(trainer)

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Where it has stopped in the midst of an epoch, it has seen the last validation.
        if is_epoch_end(trainer):
            super().on_train_epoch_end(trainer, pl_module)


def check_optimization_is_kept(path: Path, saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise ModelError where a checkpoint holds the state of another optimizer or schedule.

    Args:
        path: The checkpoint.
        saved: Hyper-parameters of its training; those of earlier versions have fewer.
        wanted: Hyper-parameters of the training that is to go on from it.
    """
    before, now = _list_kinds(saved), _list_kinds(wanted)
    if before["optimizer.schedule.kind"] in SCHEDULES and now["optimizer.schedule.kind"] in SCHEDULES:
        # Our own schedules have one kind of state.
        del now["optimizer.schedule.kind"]
    for name, value in now.items():
        if before.get(name, value) != value:
            raise ModelError(
                f"{path}: its training had {name}={before[name]}, whose state {name}={value} cannot go on from; "
                f"keep {name}={before[name]}, or train anew without trainer.resume_from"
            )


def _list_kinds(hyper_parameters: Mapping[str, Any]) -> dict[str, str]:
    """What the kinds of state of optimizer and schedule are chosen by."""
    settings, schedule = hyper_parameters.get("settings", {}), hyper_parameters.get("library_schedule", {})
    kinds = {
        "optimizer.name": settings.get("optimizer", "adamw"),
        "optimizer.schedule.kind": settings.get("schedule_kind", "one_cycle"),
    }
    if schedule:
        kinds |= {"optimizer.schedule.kind": schedule["kind"], "optimizer.schedule.interval": schedule["interval"]}
    return kinds
