"""Training in this process, alone or as one of several: the network, and Lightning's trainer around it."""

import logging
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.trainer.states import TrainerStatus
from timm.layers import convert_sync_batchnorm

from fer.config import Config
from fer.core.io import atomic_write
from fer.core.process import interrupt_on_signals
from fer.core.run_layout import BEST_CKPT, CHECKPOINTS_DIR, HISTORY_CSV, LAST_CKPT, TRIAL_JSON, UNFINISHED_CKPT
from fer.data.augmentation import Augmentation
from fer.data.datamodule import FaceDataModule, Split
from fer.data.image_store import ImageStore
from fer.data.manifest import Manifest
from fer.errors import ModelError, shorten_error
from fer.models.network import FaceNetwork, load_pretrained_weights
from fer.train.callbacks import MetricsHistory, ProgressCallback, RngStateCallback
from fer.train.checkpoints import RelocatableCheckpoint, ResumableEarlyStopping
from fer.train.distributed import SameDataCheck, build_ddp_strategy
from fer.train.inputs import localize
from fer.train.module import FaceClassifierModule
from fer.train.pruning import PruningCallback

PRECISIONS = {"32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed", "64": "64-true"}
OUT_OF_MEMORY = "the device's memory is full; lower dataset.batch_size or model.image_size"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainerResult:
    """How a training ended, as plain numbers; its weights stand in the run directory.

    ``history`` has a row an epoch, ``seconds`` is the time of the training alone.
    """

    history: list[dict[str, float]]
    interrupted: bool
    seconds: float
    starting_weights_sha256: str | None


def build_splits(manifest: Manifest) -> tuple[Split, Split]:
    """The training and the validation part."""

    def part(name: str) -> Split:
        samples = manifest.get_split(name)
        return Split(samples.index.to_numpy(), manifest.get_targets(name), samples["weight"].to_numpy("float32"))

    return part("train"), part("val")


def build_datamodule(config: Config, images: np.ndarray, train: Split, val: Split) -> FaceDataModule:
    """Training and validation batches of a run; ``images`` are those of the store."""
    return FaceDataModule(
        images,
        train,
        val,
        augmentation=Augmentation(**config.dataset.augment.model_dump()),
        side=config.model.image_size,
        batch_size=config.dataset.batch_size,
        seed=config.seed,
        weighted_sampling=config.dataset.balance == "weighted_sampling",
        resident=config.trainer.resident,
    )


def build_network(config: Config, classes: int) -> FaceNetwork:
    """The network with random weights. Raises ModelError."""
    model = config.model
    return FaceNetwork(model.name, classes, model.image_size, model.drop_rate, config.trainer.channels_last)


def build_module(config: Config, classes: int, device: str) -> tuple[FaceClassifierModule, str | None]:
    """The module to train, and the SHA-256 of the weights it starts from. Raises ModelError."""
    model, schedule = config.model, config.optimizer.schedule
    network = build_network(config, classes)
    weights_sha256 = None
    if model.weights != "none":
        weights_sha256 = load_pretrained_weights(network, localize(model.weights, config), model.weights_sha256)
    settings = {
        "loss_kind": model.loss.kind,
        "label_smoothing": model.loss.label_smoothing,
        "focal_gamma": model.loss.focal_gamma,
        "lr": config.optimizer.lr,
        "weight_decay": config.optimizer.weight_decay,
        "schedule_kind": schedule.kind,
        "warmup": schedule.warmup,
        "final": schedule.final,
        "ema_decay": config.trainer.ema_decay,
        "head_epochs": model.head_epochs,
        "unfreeze_per_epoch": model.unfreeze_per_epoch,
        # Scaled half-precision gradients cannot be clipped inside a fused step.
        "fused": device == "cuda" and config.trainer.precision != "16",
    }
    if device == "cuda" and config.trainer.world_size > 1 and config.trainer.sync_batchnorm:
        # timm's own conversion knows its layers of batch norm with activation; Lightning's would lose them.
        network.body = convert_sync_batchnorm(network.body)
    module = FaceClassifierModule(network, settings)
    if config.trainer.precision == "64":
        # Lightning converts after it has loaded a checkpoint, whose digits were lost then.
        module.double()
    if config.trainer.compile:
        module.network.body.compile(mode="reduce-overhead" if device == "cuda" else None)
    return module, weights_sha256


def build_trainer(config: Config, device: str, callbacks: list[Callback], directory: Path) -> pl.Trainer:
    """Lightning's trainer without its own logging, bars and summaries."""
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
    # It would have the processes agree before every batch whether one got SIGTERM, which rank 0 alone heeds.
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]
    return trainer


def _check_checkpoint(path: Path, module: FaceClassifierModule) -> None:
    """Raises ModelError where a checkpoint is not one of this network."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        shapes = {key: value.shape for key, value in state.items()}
    except Exception as error:
        # Damaged files raise whatever the damaged part is read by.
        raise ModelError(f"{path}: cannot be read as a checkpoint ({shorten_error(error)})") from None
    if shapes != {key: value.shape for key, value in module.state_dict().items()}:
        raise ModelError(
            f"{path}: is of another network or has no moving average as this one; resume with its own run.yaml"
        )


def train_network(
    config: Config, store: ImageStore, train: Split, val: Split, directory: Path, device: str, checkpoint: Path | None
) -> TrainerResult:
    """Train until the last epoch, an early stop, or Ctrl-C or SIGTERM, which leave the best weights so far.

    ``checkpoint`` is one to go on from. Raises UserError.
    """
    module, weights_sha256 = build_module(config, train.targets.shape[1], device)
    history = MetricsHistory(directory / HISTORY_CSV)
    trainer = build_trainer(config, device, _build_callbacks(config, history, directory, store.fingerprint), directory)
    if checkpoint is not None:
        _check_checkpoint(checkpoint, module)
    data = build_datamodule(config, store.images, train, val)
    start = time.monotonic()
    with interrupt_on_signals():
        try:
            trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        except SystemExit:
            # Lightning leaves so after Ctrl-C, and ignores any further one from then on.
            if trainer.state.status != TrainerStatus.INTERRUPTED:
                raise
    seconds = round(time.monotonic() - start, 1)
    if trainer.is_global_zero and not (directory / CHECKPOINTS_DIR / BEST_CKPT).is_file():
        with atomic_write(directory / CHECKPOINTS_DIR / UNFINISHED_CKPT) as temporary:
            torch.save({"state_dict": module.state_dict()}, temporary)
    return TrainerResult(history.rows, trainer.state.status == TrainerStatus.INTERRUPTED, seconds, weights_sha256)


def _build_callbacks(config: Config, history: MetricsHistory, directory: Path, fingerprint: str) -> list[Callback]:
    """What watches a training; the checkpoints come last, so that they hold what the others know."""
    stopping = config.trainer.early_stopping
    mode = "min" if stopping.monitor == "val_loss" else "max"
    selected: list[Callback] = [RngStateCallback(), history, ProgressCallback(history, stopping.monitor)]
    if config.trainer.world_size > 1:
        selected.append(SameDataCheck(fingerprint))
    if (directory / TRIAL_JSON).is_file():
        selected.append(PruningCallback(directory, config.sweep.metric or stopping.monitor))
    if stopping.patience is not None:
        selected.append(
            ResumableEarlyStopping(
                stopping.monitor, stopping.min_delta, stopping.patience, mode=mode, check_on_train_epoch_end=True
            )
        )
    # Lightning's save_last would keep the last epoch that was better, not the last one.
    for filename, monitor in ((BEST_CKPT, stopping.monitor), (LAST_CKPT, None)):
        selected.append(
            RelocatableCheckpoint(
                directory / CHECKPOINTS_DIR,
                filename=Path(filename).stem,
                monitor=monitor,
                mode=mode,
                save_on_train_epoch_end=True,
                enable_version_counter=False,
            )
        )
    return selected
