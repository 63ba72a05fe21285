"""A training, or the fit of a head, and the network that it ends with."""

import logging
from pathlib import Path

import torch

from fer.config import Config
from fer.core.path_map import map_path
from fer.core.process import get_global_rank
from fer.core.run_layout import CHECKPOINTS_DIR, LAST_CKPT, UNFINISHED_CKPT
from fer.errors import UserError
from fer.models.clip_network import ClipNetwork
from fer.models.network import FaceNetwork
from fer.train.fit_result import FitResult
from fer.train.head_fit import fit_head
from fer.train.inputs import PreparedData
from fer.train.module_factory import build_network
from fer.train.trainer import train_network

log = logging.getLogger(__name__)


def fit(config: Config, data: PreparedData, directory: Path, device: str) -> FitResult | None:
    """Train in this process, alone or as one of several, and load the best network; or fit a head.

    Args:
        config: The run's configuration.
        data: Its data.
        directory: The run directory; one with a last checkpoint goes on from there.
        device: ``cpu``, ``cuda`` or ``mps``.

    Returns:
        The result; None on another rank than 0.

    Raises:
        UserError: The weights or the checkpoint to start from cannot be used.
    """
    if config.model.kind == "embedding_head":
        return fit_head(config, data, directory, device)
    checkpoint = _find_resume_checkpoint(config, directory)
    result = train_network(config, data, directory, device, checkpoint)
    if get_global_rank():
        return None
    best, unfinished = result.best, directory / CHECKPOINTS_DIR / UNFINISHED_CKPT
    # Weights are averaged as soon as they are trained, or at the end of an epoch.
    averaged = bool(config.trainer.ema_decay) or (config.trainer.swa_start is not None and best is not None)
    network = _load_network(config, len(data.manifest.classes), best.path if best else unfinished, averaged)
    if best is None:
        log.warning("No epoch was finished: the weights of this moment are kept")
        unfinished.unlink()
    return FitResult(
        network=network,
        history=result.history,
        best_epoch=None if best is None else best.epoch,
        interrupted=result.interrupted,
        seconds=result.seconds,
        starting_weights_sha256=result.starting_weights_sha256,
    )


def _find_resume_checkpoint(config: Config, directory: Path) -> Path | None:
    """The checkpoint to resume from: the run's own, or that of `trainer.resume_from`. Raises UserError."""
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


def _load_network(config: Config, classes: int, checkpoint: Path, averaged: bool) -> FaceNetwork | ClipNetwork:
    """The network of a checkpoint, or its average, which is what was validated where there is one."""
    prefix = "average.module." if averaged else "network."
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    network = build_network(config, classes)
    network.load_state_dict({key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)})
    return network.eval()
