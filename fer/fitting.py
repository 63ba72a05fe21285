"""One training: the network, Lightning's trainer around it, and the weights it ends with."""

import logging
import shutil
import signal
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint
from pytorch_lightning.trainer.states import TrainerStatus

from fer.config import Config
from fer.data.augment import Augmentation
from fer.data.manifest import Manifest
from fer.data.module import FaceData, Part
from fer.data.store import Store
from fer.errors import ModelError, UserError, first_line
from fer.model.callbacks import History, Progress, RandomState
from fer.model.classifier import Classifier
from fer.model.network import FaceNetwork, load_starting_weights

PRECISIONS = {"32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed"}
BEST, LAST = "best.ckpt", "last.ckpt"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    """What a training ended with: the best network, on the CPU, and a row of ``history`` an epoch.

    ``best_epoch`` (counted from 1) and ``best_value`` of the monitored figure are None where no epoch was finished.
    """

    network: FaceNetwork
    history: list[dict[str, float]]
    best_epoch: int | None
    best_value: float | None
    interrupted: bool
    seconds: float
    starting_weights_sha256: str | None


class Checkpoints(ModelCheckpoint):
    """Best and last checkpoint; a resumed run takes the best one of the run that it goes on from along."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        source, own = Path(state_dict["dirpath"]), Path(str(self.dirpath))
        if (source / BEST).is_file():
            own.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / BEST, own / BEST)

        def moved(path: str) -> str:
            return str(own / Path(path).name) if path else path

        best = {moved(path): score for path, score in state_dict["best_k_models"].items()}
        paths = {key: moved(state_dict[key]) for key in ("best_model_path", "kth_best_model_path", "last_model_path")}
        super().load_state_dict({**state_dict, **paths, "best_k_models": best, "dirpath": str(own)})


def device_of(config: Config) -> str:
    """`cpu`, `cuda` or `mps`, as the configuration and the machine have it. Raises UserError."""
    asked = config.trainer.accelerator
    found = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = {"auto": found, "gpu": "cuda"}.get(asked, asked)
    if device != "cpu" and device != found:
        raise UserError(f"trainer.accelerator={asked}: this machine has none; use trainer.accelerator=cpu or auto")
    if device == "cpu" and config.trainer.precision == "16":
        raise UserError("trainer.precision=16 needs a GPU, and this machine has none; use 32 or bf16")
    return device


def data_module(config: Config, store: Store, manifest: Manifest) -> FaceData:
    """Training and validation batches of a run."""

    def part(name: str) -> Part:
        samples = manifest.part(name)
        return Part(samples.index.to_numpy(), manifest.targets(name), samples["weight"].to_numpy("float32"))

    return FaceData(
        store.images,
        part("train"),
        part("val"),
        augmentation=Augmentation(**config.dataset.augment.model_dump()),
        side=config.model.image_size,
        batch_size=config.dataset.batch_size,
        seed=config.seed,
        weighted_sampling=config.dataset.balance == "weighted_sampling",
        resident=config.trainer.resident,
    )


def classifier(config: Config, classes: int, device: str) -> tuple[Classifier, str | None]:
    """The module to train, and the SHA-256 of the weights it starts from. Raises ModelError."""
    model, schedule = config.model, config.optimizer.schedule
    network = FaceNetwork(model.name, classes, model.image_size, model.drop_rate, config.trainer.channels_last)
    weights_sha256 = None
    if model.weights != "none":
        weights_sha256 = load_starting_weights(network, model.weights, model.weights_sha256)
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
    module = Classifier(network, settings)
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
    return pl.Trainer(
        accelerator=device,
        devices=chosen.devices,
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


def resume_checkpoint(resume_from: str, module: Classifier) -> Path:
    """The checkpoint that ``trainer.resume_from`` means, checked against the network. Raises UserError."""
    path = Path(resume_from)
    if path.is_dir():
        path = path / "checkpoints" / LAST
        if not path.is_file():
            raise UserError(
                f"trainer.resume_from={resume_from}: has no checkpoints/{LAST}: the run ended before its first epoch "
                "did; start it again without resume_from"
            )
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
    return path


def fit(config: Config, store: Store, manifest: Manifest, directory: Path, device: str) -> Fitted:
    """Train until the last epoch, an early stop, or Ctrl-C or SIGTERM, which leave the best weights so far."""
    module, weights_sha256 = classifier(config, len(manifest.classes), device)
    monitor = config.trainer.early_stopping.monitor
    history = History(directory / "history.csv")
    trainer = lightning_trainer(config, device, callbacks(config, history, directory), directory)
    resume = config.trainer.resume_from
    checkpoint = resume_checkpoint(resume, module) if resume else None
    keyboard, terminate = signal.getsignal(signal.SIGINT), signal.signal(signal.SIGTERM, signal.default_int_handler)
    start = time.monotonic()
    try:
        trainer.fit(module, datamodule=data_module(config, store, manifest), ckpt_path=checkpoint, weights_only=True)
    except SystemExit:
        # Lightning leaves so after Ctrl-C, and ignores any further one from then on.
        if trainer.state.status != TrainerStatus.INTERRUPTED:
            raise
    finally:
        signal.signal(signal.SIGTERM, terminate)
        signal.signal(signal.SIGINT, keyboard)
    seconds = round(time.monotonic() - start, 1)
    best = directory / "checkpoints" / BEST
    if best.is_file():
        module.load_state_dict(torch.load(best, map_location="cpu", weights_only=True)["state_dict"])
    else:
        log.warning("No epoch was finished: the weights of this moment are kept")
    rows = sorted(history.rows, key=lambda row: row[monitor] if monitor == "val_loss" else -row[monitor])
    return Fitted(
        network=module.judged.cpu().eval(),
        history=history.rows,
        best_epoch=int(rows[0]["epoch"]) if rows else None,
        best_value=float(rows[0][monitor]) if rows else None,
        interrupted=trainer.state.status == TrainerStatus.INTERRUPTED,
        seconds=seconds,
        starting_weights_sha256=weights_sha256,
    )


def callbacks(config: Config, history: History, directory: Path) -> list[Callback]:
    """What watches a training; the checkpoints come last, so that they hold what the others know."""
    stopping = config.trainer.early_stopping
    mode = "min" if stopping.monitor == "val_loss" else "max"
    chosen: list[Callback] = [RandomState(), history, Progress(history, stopping.monitor)]
    if stopping.patience is not None:
        chosen.append(
            EarlyStopping(
                stopping.monitor, stopping.min_delta, stopping.patience, mode=mode, check_on_train_epoch_end=True
            )
        )
    chosen.append(
        Checkpoints(
            directory / "checkpoints",
            filename=Path(BEST).stem,
            monitor=stopping.monitor,
            mode=mode,
            save_last=True,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
    )
    return chosen
