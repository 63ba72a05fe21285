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
from fer.core.io import written_beside
from fer.core.process import interruptible
from fer.data.augmentation import Augmentation
from fer.data.datamodule import FaceData, Part
from fer.data.image_store import Store
from fer.data.manifest import Manifest
from fer.errors import ModelError, first_line
from fer.models.network import FaceNetwork, load_starting_weights
from fer.sweep.study import TRIAL
from fer.train.callbacks import History, Progress, RandomState
from fer.train.checkpoints import BEST, LAST, UNFINISHED, Checkpoints, Patience
from fer.train.distributed import SameDataCheck, build_ddp_strategy
from fer.train.inputs import at_hand
from fer.train.module import Classifier
from fer.train.pruning import Pruning

PRECISIONS = {"32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed", "64": "64-true"}
FULL_MEMORY = "the device's memory is full; lower dataset.batch_size or model.image_size"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """How a training ended, as plain numbers; its weights stand in the run directory.

    ``history`` has a row an epoch, ``seconds`` is the time of the training alone.
    """

    history: list[dict[str, float]]
    interrupted: bool
    seconds: float
    starting_weights_sha256: str | None


def parts_of(manifest: Manifest) -> tuple[Part, Part]:
    """The training and the validation part."""

    def part(name: str) -> Part:
        samples = manifest.part(name)
        return Part(samples.index.to_numpy(), manifest.targets(name), samples["weight"].to_numpy("float32"))

    return part("train"), part("val")


def data_module(config: Config, images: np.ndarray, train: Part, val: Part) -> FaceData:
    """Training and validation batches of a run; ``images`` are those of the store."""
    return FaceData(
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


def new_network(config: Config, classes: int) -> FaceNetwork:
    """The network with random weights. Raises ModelError."""
    model = config.model
    return FaceNetwork(model.name, classes, model.image_size, model.drop_rate, config.trainer.channels_last)


def classifier(config: Config, classes: int, device: str) -> tuple[Classifier, str | None]:
    """The module to train, and the SHA-256 of the weights it starts from. Raises ModelError."""
    model, schedule = config.model, config.optimizer.schedule
    network = new_network(config, classes)
    weights_sha256 = None
    if model.weights != "none":
        weights_sha256 = load_starting_weights(network, at_hand(model.weights, config), model.weights_sha256)
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
    if device == "cuda" and config.trainer.processes > 1 and config.trainer.sync_batchnorm:
        # timm's own conversion knows its layers of batch norm with activation; Lightning's would lose them.
        network.body = convert_sync_batchnorm(network.body)
    module = Classifier(network, settings)
    if config.trainer.precision == "64":
        # Lightning converts after it has loaded a checkpoint, whose digits were lost then.
        module.double()
    if config.trainer.compile:
        module.network.body.compile(mode="reduce-overhead" if device == "cuda" else None)
    return module, weights_sha256


def lightning_trainer(config: Config, device: str, watching: list[Callback], directory: Path) -> pl.Trainer:
    """Lightning's trainer without its own logging, bars and summaries."""
    chosen = config.trainer
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    trainer = pl.Trainer(
        accelerator=device,
        devices=chosen.devices,
        num_nodes=chosen.num_nodes,
        strategy=build_ddp_strategy(config, device) if chosen.processes > 1 else "auto",
        precision=PRECISIONS[chosen.precision],  # type: ignore[arg-type]
        max_epochs=chosen.max_epochs,
        gradient_clip_val=chosen.gradient_clip or None,
        deterministic=chosen.deterministic,
        benchmark=device == "cuda" and not chosen.deterministic,
        limit_train_batches=chosen.limit_batches,
        limit_val_batches=chosen.limit_batches,
        num_sanity_val_steps=0,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=watching,
        default_root_dir=directory,
    )
    # It would have the processes agree before every batch whether one got SIGTERM, which rank 0 alone heeds.
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]
    return trainer


def check_checkpoint(path: Path, module: Classifier) -> None:
    """Raises ModelError where a checkpoint is not one of this network."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        shapes = {key: value.shape for key, value in state.items()}
    except Exception as error:
        # Damaged files raise whatever the damaged part is read by.
        raise ModelError(f"{path}: cannot be read as a checkpoint ({first_line(error)})") from None
    if shapes != {key: value.shape for key, value in module.state_dict().items()}:
        raise ModelError(
            f"{path}: is of another network or has no moving average as this one; resume with its own run.yaml"
        )


def train_network(
    config: Config, store: Store, train: Part, val: Part, directory: Path, device: str, checkpoint: Path | None
) -> Trained:
    """Train until the last epoch, an early stop, or Ctrl-C or SIGTERM, which leave the best weights so far.

    ``checkpoint`` is one to go on from. Raises UserError.
    """
    module, weights_sha256 = classifier(config, train.targets.shape[1], device)
    history = History(directory / "history.csv")
    trainer = lightning_trainer(config, device, callbacks(config, history, directory, store.fingerprint), directory)
    if checkpoint is not None:
        check_checkpoint(checkpoint, module)
    data = data_module(config, store.images, train, val)
    start = time.monotonic()
    with interruptible():
        try:
            trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        except SystemExit:
            # Lightning leaves so after Ctrl-C, and ignores any further one from then on.
            if trainer.state.status != TrainerStatus.INTERRUPTED:
                raise
    seconds = round(time.monotonic() - start, 1)
    if trainer.is_global_zero and not (directory / "checkpoints" / BEST).is_file():
        with written_beside(directory / "checkpoints" / UNFINISHED) as beside:
            torch.save({"state_dict": module.state_dict()}, beside)
    return Trained(history.rows, trainer.state.status == TrainerStatus.INTERRUPTED, seconds, weights_sha256)


def callbacks(config: Config, history: History, directory: Path, fingerprint: str) -> list[Callback]:
    """What watches a training; the checkpoints come last, so that they hold what the others know."""
    stopping = config.trainer.early_stopping
    mode = "min" if stopping.monitor == "val_loss" else "max"
    chosen: list[Callback] = [RandomState(), history, Progress(history, stopping.monitor)]
    if config.trainer.processes > 1:
        chosen.append(SameDataCheck(fingerprint))
    if (directory / TRIAL).is_file():
        chosen.append(Pruning(directory, config.sweep.metric or stopping.monitor))
    if stopping.patience is not None:
        chosen.append(
            Patience(stopping.monitor, stopping.min_delta, stopping.patience, mode=mode, check_on_train_epoch_end=True)
        )
    # Lightning's save_last would keep the last epoch that was better, not the last one.
    for filename, monitor in ((BEST, stopping.monitor), (LAST, None)):
        chosen.append(
            Checkpoints(
                directory / "checkpoints",
                filename=Path(filename).stem,
                monitor=monitor,
                mode=mode,
                save_on_train_epoch_end=True,
                enable_version_counter=False,
            )
        )
    return chosen
