"""One of several processes of a training, as train.py starts them."""

import json
import logging
import os
import signal
import sys
import time
import traceback
from pathlib import Path

RANK = int(os.environ.get("RANK", 0))
# train.py gets SIGTERM, or Ctrl-C, and decides: it interrupts process 0 alone. Until that trains, it just ends.
signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT} if RANK else {signal.SIGTERM})

import numpy as np  # noqa: E402
import torch  # noqa: E402

from fer.core.io import write_text  # noqa: E402
from fer.core.process import hold  # noqa: E402
from fer.errors import UserError, first_line  # noqa: E402
from fer.runs.run_directory import saved_config  # noqa: E402
from fer.train.distributed.launch import ENDED, Failure, Task  # noqa: E402
from fer.train.reproducibility import seed_everything, set_threads  # noqa: E402
from fer.train.trainer import FULL_MEMORY, train_network  # noqa: E402


def take_part(run: Path, folder: Path) -> None:
    """Train; process 0 says in ENDED what the training ended with."""
    task, config = Task.load(folder), saved_config(run)
    images = np.load(task.images, mmap_mode="r", allow_pickle=False)
    set_threads(task.threads)
    seed_everything(config.seed)
    checkpoint = Path(task.checkpoint) if task.checkpoint else None
    ended = train_network(config, images, task.train, task.val, run, task.device, checkpoint)
    if RANK == 0:
        write_text(folder / ENDED, json.dumps(vars(ended)))
    if ended.interrupted:
        # The others are waiting for this process, and so an orderly end would wait for them.
        os._exit(0)


def main() -> None:
    hold()
    run, folder = Path(sys.argv[1]), Path(sys.argv[2])
    if RANK == 0:
        handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout), logging.FileHandler(run / "train.log")]
        logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=handlers)
    try:
        take_part(run, folder)
    except Exception as error:
        reason, details = f"process {RANK}: {type(error).__name__}: {first_line(error)}", traceback.format_exc()
        if isinstance(error, UserError):
            reason, details = str(error), ""
        elif isinstance(error, torch.OutOfMemoryError):
            reason, details = FULL_MEMORY, ""
        Failure(reason, details, time.time()).save(folder, RANK)
        # An orderly end would wait for the others, which wait for this one.
        os._exit(1)


if __name__ == "__main__":
    main()
