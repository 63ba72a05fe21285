"""What a training ends with, whether this process trained or several did."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fer.config import Config
from fer.data.manifest import Manifest
from fer.data.store import Store
from fer.distributed import Task, train_in_processes
from fer.fitting import BEST, LAST, UNFINISHED, Trained, new_network, parts_of, train_network
from fer.machines import this_machine
from fer.model.network import FaceNetwork
from fer.paths import here

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    """What a training ended with: the best network, on the CPU, and a row of ``history`` an epoch.

    ``best_epoch`` (counted from 1) is None where no epoch was finished.
    """

    network: FaceNetwork
    history: list[dict[str, float]]
    best_epoch: int | None
    interrupted: bool
    seconds: float
    starting_weights_sha256: str | None


def fit(config: Config, store: Store, manifest: Manifest, directory: Path, device: str) -> Fitted | None:
    """Train in this process, or in several as ``trainer.devices`` and ``trainer.num_nodes`` have it.

    A run directory with a last checkpoint goes on from there. None on another machine than the first of several,
    which alone has what the training ended with. Raises UserError.
    """
    train, val = parts_of(manifest)
    own, elsewhere = directory / "checkpoints" / LAST, config.trainer.resume_from
    resume = own if own.is_file() else Path(here(elsewhere)) if elsewhere else None
    if config.trainer.processes == 1:
        trained = train_network(config, store.images, train, val, directory, device, resume)
    else:
        assert isinstance(store.images, np.memmap)
        task = Task(
            str(store.images.filename), device, torch.get_num_threads(), str(resume) if resume else None, train, val
        )
        machine = this_machine(config.trainer.num_nodes)
        ended = train_in_processes(directory, task, config.trainer.devices, machine, store.fingerprint)
        if ended is None:
            return None
        trained = Trained(**ended)
    best, unfinished = directory / "checkpoints" / BEST, directory / "checkpoints" / UNFINISHED
    network = judged_network(config, len(manifest.classes), best if best.is_file() else unfinished)
    if not best.is_file():
        log.warning("No epoch was finished: the weights of this moment are kept")
        unfinished.unlink()
    return Fitted(
        network=network,
        history=trained.history,
        best_epoch=best_epoch(trained.history, config.trainer.early_stopping.monitor),
        interrupted=trained.interrupted,
        seconds=trained.seconds,
        starting_weights_sha256=trained.starting_weights_sha256,
    )


def judged_network(config: Config, classes: int, checkpoint: Path) -> FaceNetwork:
    """The network of a checkpoint that validation judged: the moving average where there is one."""
    prefix = "average.module." if config.trainer.ema_decay else "network."
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    network = new_network(config, classes)
    network.load_state_dict({key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)})
    return network.eval()


def best_epoch(history: list[dict[str, float]], monitor: str) -> int | None:
    """The first epoch, counted from 1, with the best value of the monitored figure."""
    rows = sorted(history, key=lambda row: row[monitor] if monitor == "val_loss" else -row[monitor])
    return int(rows[0]["epoch"]) if rows else None
