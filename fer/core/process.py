"""Processes: their rank among several, their ends by a signal, and with the process that started them."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

PARENT_PID_ENV = "FER_LIFELINE"
POLL_INTERVAL_S = 0.2
# The run directory of the processes that train.py itself has started.
LAUNCHED_ENV = "FER_LAUNCHED"


def with_parent_pid(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a program that is to end with this process."""
    return {**environment, PARENT_PID_ENV: str(os.getpid())}


def exit_with_parent() -> None:
    """Where this process was started by ``tied_to_me``, end it as soon as its starter is gone."""
    if PARENT_PID_ENV in os.environ:
        # What this process starts in turn has its own starter.
        watch_parent(int(os.environ.pop(PARENT_PID_ENV)))


def watch_parent(parent: int) -> None:
    """End this process, as SIGKILL would, as soon as its parent is not ``parent`` any more."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_INTERVAL_S)
        os._exit(1)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def get_global_rank() -> int:
    """The number of this process among those that torchrun or srun has started together; 0 where it is alone."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return int(os.environ["RANK"])
    return int(os.environ["SLURM_PROCID"]) if is_started_by_srun() else 0


def is_started_by_srun() -> bool:
    """Whether SLURM has started this process as one of several; a batch script of many tasks is none."""
    return "SLURM_STEP_ID" in os.environ and int(os.environ.get("SLURM_NTASKS", "1")) > 1


@contextmanager
def interrupt_on_signals() -> Iterator[None]:
    """SIGTERM interrupts as Ctrl-C does, and both do so once: what follows is the saving.

    Of several processes only rank 0 is interrupted, and the others answer it until it has saved.
    """

    def interrupt(number: int, frame: object) -> None:
        for either in (signal.SIGINT, signal.SIGTERM):
            signal.signal(either, signal.SIG_IGN)
        raise KeyboardInterrupt

    handler = signal.SIG_IGN if get_global_rank() else interrupt
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
