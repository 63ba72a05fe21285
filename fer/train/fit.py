"""What a training ends with."""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch

from fer.config import Config
from fer.core.path_map import map_path
from fer.core.process import get_global_rank
from fer.core.run_layout import BEST_CKPT, CHECKPOINTS_DIR, LAST_CKPT, UNFINISHED_CKPT
from fer.data.image_store import ImageStore
from fer.data.manifest import Manifest
from fer.errors import UserError
from fer.models.network import FaceNetwork
from fer.train.trainer import build_network, build_splits, train_network

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitResult:
    """What a training ended with: the best network, on the CPU, and a row of ``history`` an epoch.

    ``best_epoch`` (counted from 1) is None where no epoch was finished.
    """

    network: FaceNetwork
    history: list[dict[str, float]]
    best_epoch: int | None
    interrupted: bool
    seconds: float
    starting_weights_sha256: str | None


def fit(config: Config, store: ImageStore, manifest: Manifest, directory: Path, device: str) -> FitResult | None:
    """Train in this process, alone or as one of several.

    A run directory with a last checkpoint goes on from there. None on another rank than 0, which alone has what the
    training ended with. Raises UserError.
    """
    train, val = build_splits(manifest)
    checkpoint = _find_resume_checkpoint(config, directory)
    result = train_network(config, store, train, val, directory, device, checkpoint)
    if get_global_rank():
        return None
    best, unfinished = directory / CHECKPOINTS_DIR / BEST_CKPT, directory / CHECKPOINTS_DIR / UNFINISHED_CKPT
    network = _load_best_network(config, len(manifest.classes), best if best.is_file() else unfinished)
    if not best.is_file():
        log.warning("No epoch was finished: the weights of this moment are kept")
        unfinished.unlink()
    return FitResult(
        network=network,
        history=result.history,
        best_epoch=_find_best_epoch(result.history, config.trainer.early_stopping.monitor),
        interrupted=result.interrupted,
        seconds=result.seconds,
        starting_weights_sha256=result.starting_weights_sha256,
    )


def _find_resume_checkpoint(config: Config, directory: Path) -> Path | None:
    """The checkpoint to go on from: the run's own, or that which `trainer.resume_from` means. Raises UserError."""
    last, resume_from = directory / CHECKPOINTS_DIR / LAST_CKPT, config.trainer.resume_from
    if last.is_file() or resume_from is None:
        return last if last.is_file() else None
    path = Path(map_path(resume_from))
    if path.is_dir():
        path = path / CHECKPOINTS_DIR / LAST_CKPT
        if not path.is_file():
            raise UserError(
                f"trainer.resume_from={resume_from}: has no {CHECKPOINTS_DIR}/{LAST_CKPT}: the run ended before its "
                "first epoch did; start it again without resume_from"
            )
    return path


def _load_best_network(config: Config, classes: int, checkpoint: Path) -> FaceNetwork:
    """The network of a checkpoint that validation judged: the moving average where there is one."""
    prefix = "average.module." if config.trainer.ema_decay else "network."
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    network = build_network(config, classes)
    network.load_state_dict({key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)})
    return network.eval()


def _find_best_epoch(history: list[dict[str, float]], monitor: str) -> int | None:
    """The first epoch, counted from 1, with the best value of the monitored figure."""
    rows = sorted(history, key=lambda row: row[monitor] if monitor == "val_loss" else -row[monitor])
    return int(rows[0]["epoch"]) if rows else None
