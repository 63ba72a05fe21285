"""Pruning: a training that belongs to an Optuna sweep reports each epoch, and ends where it is hopeless."""

import json
import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from typing_extensions import override

from fer.core.documents import read_json_object
from fer.core.io import write_text
from fer.core.run_layout import PRUNED_JSON, TRIAL_JSON
from fer.errors import shorten_error
from fer.sweep.study import StudyConfig, open_study
from fer.train.module import FaceClassifierModule
from fer.train.validation_points import is_epoch_end

log = logging.getLogger(__name__)


class TrialPrunedError(Exception):
    """The sweep ended the training after ``epoch``, counted from 1."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"pruned after epoch {epoch}")
        self.epoch = epoch


class PruningCallback(Callback):
    """Reports a metric of each epoch to the study named in trial.json, and ends the training if the study says so.

    Args:
        directory: The run directory.
        metric: Name of a validation metric.
    """

    def __init__(self, directory: Path, metric: str) -> None:
        self.directory, self.metric = directory, metric

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, FaceClassifierModule)
        if not is_epoch_end(trainer):
            return
        epoch = trainer.current_epoch + 1
        prune = trainer.is_global_zero and self._should_prune(epoch, pl_module.val_metrics[self.metric])
        if trainer.strategy.reduce_boolean_decision(prune, all=False):
            trainer.should_stop = True
            if trainer.is_global_zero:
                write_text(self.directory / PRUNED_JSON, json.dumps({"epoch": epoch}))

    def _should_prune(self, epoch: int, value: float) -> bool:
        """Whether the study's pruner ends the trial here; a study that cannot be reached ends none."""
        try:
            return _report_metric(self.directory, epoch, value)
        except Exception as error:
            # A database may raise anything; a training is worth more than its pruning.
            log.warning("The sweep's study cannot be told of epoch %d (%s)", epoch, shorten_error(error))
            return False


def _report_metric(directory: Path, epoch: int, value: float) -> bool:
    """Report the metric of an epoch to the study; whether the trial is to end."""
    import optuna

    trial: dict[str, Any] = read_json_object(directory / TRIAL_JSON)
    optuna_trial = optuna.Trial(open_study(StudyConfig(**trial["study"])), trial["trial_id"])
    optuna_trial.report(value, epoch)
    return optuna_trial.should_prune()


def raise_if_pruned(directory: Path) -> None:
    """Raise TrialPrunedError where the sweep ended the training of this run directory."""
    if (directory / PRUNED_JSON).is_file():
        raise TrialPrunedError(int(read_json_object(directory / PRUNED_JSON)["epoch"]))
