"""The network and Lightning's trainer around it, in a process that trains alone or as one of several."""

import logging
import time
import warnings
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Timer
from pytorch_lightning.trainer.states import TrainerStatus

from fer.config import Config
from fer.core.io import atomic_write
from fer.core.process import get_global_rank, interrupt_on_signals
from fer.core.run_layout import BEST_CKPT, CHECKPOINTS_DIR, HISTORY_CSV, LAST_CKPT, TRIAL_JSON, UNFINISHED_CKPT
from fer.data.clips.index import ClipWindows
from fer.data.datamodule import FaceDataModule, Split
from fer.data.manifest import Manifest
from fer.errors import ModelError, UserError, shorten_error
from fer.train.affect import add_affect_targets
from fer.train.callbacks import MetricsHistory, ProgressCallback, RngStateCallback
from fer.train.checkpoints import (
    BestCheckpoint,
    RelocatableCheckpoint,
    ResumableEarlyStopping,
    check_optimization_is_kept,
    find_best_checkpoint,
    restore_best_checkpoint,
)
from fer.train.clip_inputs import get_format, select_windows
from fer.train.distillation import add_soft_targets
from fer.train.distributed import SynchronizedStart, build_ddp_strategy
from fer.train.inputs import PreparedData
from fer.train.logit_adjustment import compute_class_prior
from fer.train.module import FaceClassifierModule
from fer.train.module_factory import build_module
from fer.train.overfitting import describe_overfitting, select_splits
from fer.train.plugins import build_augmentation, build_callbacks
from fer.train.profile_report import attach_profiler, write_profile
from fer.train.pruning import PruningCallback
from fer.train.validation_points import set_validation_points

PRECISIONS = {"32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed", "64": "64-true"}
SINGLE_VALUE = (
    "batch normalisation met a batch of one image, from which it cannot take a variance; raise dataset.batch_size to 2 "
    "or more for each process, or model.image_size"
)
OUT_OF_MEMORY = "the device's memory is full; lower dataset.batch_size or model.image_size"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainerResult:
    """How a training ended; its weights are in the run directory.

    Attributes:
        history: A row of history.csv each validation.
        interrupted: Whether Ctrl-C or SIGTERM ended it.
        seconds: Time of the training alone.
        starting_weights_sha256: Of the file of weights that it started from; None where they were random.
        best: The checkpoint of its best epoch; None where nothing was validated.
    """

    history: list[dict[str, float]]
    interrupted: bool
    seconds: float
    starting_weights_sha256: str | None
    best: BestCheckpoint | None


def build_splits(manifest: Manifest) -> tuple[Split, Split]:
    """Return the training and the validation split."""

    def build_split(name: str) -> Split:
        samples = manifest.get_split(name)
        return Split(samples.index.to_numpy(), manifest.get_targets(name), samples["weight"].to_numpy("float32"))

    return build_split("train"), build_split("val")


def build_datamodule(
    config: Config, images: np.ndarray, train: Split, val: Split, windows: ClipWindows | None = None
) -> FaceDataModule:
    """Build the batches of a training.

    Args:
        config: The run's configuration.
        images: Those of the store, (M, h, w, C) uint8.
        train: The training split.
        val: The validation split.
        windows: The windows of the store's clips; None of images.
    """
    return FaceDataModule(
        images,
        train,
        val,
        augmentation=build_augmentation(config),
        side=config.model.image_size,
        batch_size=config.dataset.batch_size,
        seed=config.seed,
        weighted_sampling=config.dataset.balance == "weighted_sampling" and config.trainer.overfit_batches is None,
        resident=config.trainer.resident,
        windows=windows,
    )


def build_trainer(config: Config, device: str, callbacks: list[Callback], directory: Path) -> pl.Trainer:
    """Build Lightning's trainer, without its own logging, progress bars and summaries.

    Args:
        config: The run's configuration.
        device: ``cpu``, ``cuda`` or ``mps``.
        callbacks: What watches the training, in the order in which it is called.
        directory: The run directory.
    """
    cfg = config.trainer
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    trainer = pl.Trainer(
        accelerator=device,
        devices=cfg.devices,
        num_nodes=cfg.num_nodes,
        strategy=build_ddp_strategy(config, device) if cfg.world_size > 1 else "auto",
        precision=PRECISIONS[cfg.precision],  # type: ignore[arg-type]
        max_epochs=cfg.max_epochs,
        accumulate_grad_batches=cfg.accumulate,
        gradient_clip_val=cfg.gradient_clip or None,
        deterministic=cfg.deterministic,
        benchmark=device == "cuda" and not cfg.deterministic,
        limit_train_batches=cfg.limit_batches,
        limit_val_batches=cfg.limit_batches,
        num_sanity_val_steps=0,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=callbacks,
        default_root_dir=directory,
    )
    # Rank 0 alone handles SIGTERM. Lightning's handler would wait for all processes in the midst of whatever they do,
    # and all would agree before every batch whether one got it.
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]
    set_validation_points(trainer, cfg.validations)
    return trainer


def _check_checkpoint(path: Path, module: FaceClassifierModule) -> None:
    """Raise ModelError where a checkpoint is not one of this network and optimizer at the end of an epoch."""
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        shapes = {key: value.shape for key, value in checkpoint["state_dict"].items()}
        ended = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["is_last_batch"]
    except Exception as error:
        # Damaged files raise whatever the damaged part is read by.
        raise ModelError(f"{path}: cannot be read as a checkpoint ({shorten_error(error)})") from None
    if shapes != {key: value.shape for key, value in module.state_dict().items()}:
        raise ModelError(
            f"{path}: is of another network or has no average of weights as this one; resume with its own run.yaml"
        )
    if not ended:
        raise ModelError(
            f"{path}: is of the midst of an epoch, from which no training goes on; resume from {LAST_CKPT} of its run"
        )
    check_optimization_is_kept(path, checkpoint.get("hyper_parameters", {}), module.hparams)


def train_network(
    config: Config, data: PreparedData, directory: Path, device: str, checkpoint: Path | None
) -> TrainerResult:
    """Train until the last epoch, an early stop, or Ctrl-C or SIGTERM, which leave the best weights so far.

    Args:
        config: The run's configuration.
        data: Its data.
        directory: The run directory, which gets the checkpoints and history.csv.
        device: ``cpu``, ``cuda`` or ``mps``.
        checkpoint: One to resume from.

    Raises:
        UserError: The weights or the checkpoint cannot be used.
    """
    train, val = select_splits(config, *build_splits(data.manifest))
    class_prior, classes = compute_class_prior(train), val.targets.shape[1]
    if config.model.affect:
        train, val = add_affect_targets(data.manifest, train, val)
    train = add_soft_targets(config, data.store, train, device)
    for line in describe_overfitting(config):
        log.warning("%s", line)
    module, weights_sha256 = build_module(config, classes, device, class_prior)
    history = MetricsHistory(directory / HISTORY_CSV, config.trainer.validations)
    callbacks = _build_callbacks(config, history, directory, data.store.fingerprint)
    trainer = build_trainer(config, device, callbacks, directory)
    if checkpoint is not None:
        _check_checkpoint(checkpoint, module)
    if get_global_rank() == 0:
        restore_best_checkpoint(checkpoint, directory / CHECKPOINTS_DIR)
    windows = select_windows(data.store, get_format(module.network))
    datamodule = build_datamodule(config, data.store.images, train, val, windows)
    profiler = attach_profiler(trainer, config, device)
    start = time.monotonic()
    with interrupt_on_signals():
        try:
            trainer.fit(module, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)
        except SystemExit:
            # Lightning exits like this after Ctrl-C, and ignores any further one from then on.
            if trainer.state.status != TrainerStatus.INTERRUPTED:
                raise
        except ValueError as error:
            if not str(error).startswith("Expected more than 1 value per channel"):
                raise
            raise UserError(SINGLE_VALUE) from None
    seconds = round(time.monotonic() - start, 1)
    if profiler is not None:
        write_profile(profiler, config, directory)
    best = find_best_checkpoint(directory / CHECKPOINTS_DIR) if trainer.is_global_zero else None
    if trainer.is_global_zero and best is None:
        with atomic_write(directory / CHECKPOINTS_DIR / UNFINISHED_CKPT) as temporary:
            torch.save({"state_dict": module.state_dict()}, temporary)
    interrupted = trainer.state.status == TrainerStatus.INTERRUPTED
    return TrainerResult(history.rows, interrupted, seconds, weights_sha256, best)


def _build_callbacks(config: Config, history: MetricsHistory, directory: Path, fingerprint: str) -> list[Callback]:
    """The callbacks of a training; checkpoints come last, so that they hold the state of the others."""
    stopping = config.trainer.early_stopping
    mode = "min" if stopping.monitor == "val_loss" else "max"
    callbacks: list[Callback] = [RngStateCallback(), history, ProgressCallback(history, stopping.monitor)]
    if config.trainer.world_size > 1:
        callbacks.append(SynchronizedStart(fingerprint))
    if (directory / TRIAL_JSON).is_file():
        callbacks.append(PruningCallback(directory, config.sweep.metric or stopping.monitor))
    if stopping.patience is not None:
        callbacks.append(
            ResumableEarlyStopping(
                stopping.monitor, stopping.min_delta, stopping.patience, mode=mode, check_on_train_epoch_end=True
            )
        )
    if config.trainer.max_time is not None:
        # In the midst of an epoch there are no figures to choose it by.
        callbacks.append(Timer(timedelta(minutes=config.trainer.max_time), interval="epoch", verbose=False))
    callbacks += build_callbacks(config)
    # Lightning's save_last would keep the last epoch that was better, not the last one.
    for filename, monitor in ((BEST_CKPT, stopping.monitor), (LAST_CKPT, None)):
        callbacks.append(
            RelocatableCheckpoint(
                directory / CHECKPOINTS_DIR,
                filename=Path(filename).stem,
                monitor=monitor,
                mode=mode,
                save_on_train_epoch_end=True,
                enable_version_counter=False,
            )
        )
    return callbacks
