"""Lightning's checkpoints and early stopping, made to go on in another run directory."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.utilities import rank_zero_only
from typing_extensions import override

from fer.core.run_layout import BEST_CKPT
from fer.errors import ModelError
from fer.train.schedules import SCHEDULES
from fer.train.validation_points import is_epoch_end


class RelocatableCheckpoint(ModelCheckpoint):
    """The best or the last checkpoint; a resumed run brings along the best one of the run that it continues."""

    @property
    @override
    def state_key(self) -> str:
        # The name under which checkpoints of earlier versions hold it.
        return super().state_key.replace(type(self).__qualname__, "Checkpoints", 1)

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
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        source, directory = Path(state_dict["dirpath"]), Path(str(self.dirpath))
        # A run that goes on in its own directory has it there already.
        if source != directory and (source / BEST_CKPT).is_file():
            _copy_checkpoint(source / BEST_CKPT, directory)

        def relocate(path: str) -> str:
            return str(directory / Path(path).name) if path else path

        best = {relocate(path): score for path, score in state_dict["best_k_models"].items()}
        keys = ("best_model_path", "kth_best_model_path", "last_model_path")
        paths = {key: relocate(state_dict[key]) for key in keys}
        super().load_state_dict({**state_dict, **paths, "best_k_models": best, "dirpath": str(directory)})


@rank_zero_only
def _copy_checkpoint(file: Path, directory: Path) -> None:
    """Copy a file into a directory; rank 0 alone does."""
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, directory / file.name)


class ResumableEarlyStopping(EarlyStopping):
    """Early stopping that a resumed run does not outlive: where it had stopped before, it stops at once."""

    @property
    @override
    def state_key(self) -> str:
        # As above.
        return super().state_key.replace(type(self).__qualname__, "Patience", 1)

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience

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
