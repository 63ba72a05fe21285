"""Processes: their rank among several, signals, and their end with the process that started them."""

import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

PARENT_PID_ENV = "FER_LIFELINE"
POLL_INTERVAL_S = 0.2
# The run directory of the processes that train.py itself has started.
LAUNCHED_ENV = "FER_LAUNCHED"


def with_parent_pid(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a program that ends with this process, if it calls ``exit_with_parent``."""
    return {**environment, PARENT_PID_ENV: str(os.getpid())}


def exit_with_parent() -> None:
    """End this process as soon as its parent is gone, where it got its environment from ``with_parent_pid``."""
    if PARENT_PID_ENV in os.environ:
        # What this process starts in turn has this one as its parent.
        watch_parent(int(os.environ.pop(PARENT_PID_ENV)))


def watch_parent(parent: int) -> None:
    """End this process, as SIGKILL would, as soon as its parent is not ``parent`` any more."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_INTERVAL_S)
        os._exit(1)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def get_global_rank() -> int:
    """Return the rank of this process among those that torchrun or srun has started; 0 where it is alone."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return int(os.environ["RANK"])
    return int(os.environ["SLURM_PROCID"]) if is_started_by_srun() else 0


def is_started_by_srun() -> bool:
    """Whether SLURM has started this process as one of several; the batch script of many tasks is not."""
    return "SLURM_STEP_ID" in os.environ and int(os.environ.get("SLURM_NTASKS", "1")) > 1


@contextmanager
def interrupt_on_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt inside the block at Ctrl-C or SIGTERM, once: the weights are saved after it.

    Of several processes only rank 0 is interrupted; the others call ``ignore_interrupts`` inside the block.
    """

    def interrupt(number: int, frame: object) -> None:
        ignore_interrupts()
        raise KeyboardInterrupt

    previous_handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if get_global_rank() == 0:
        for number in previous_handlers:
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, previous in previous_handlers.items():
            signal.signal(number, previous)


def ignore_interrupts() -> None:
    """Ignore Ctrl-C and SIGTERM from now on: rank 0 saves, and the other ranks answer it until it has."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def end_on_closed_pipe() -> Iterator[None]:
    """End the program without a traceback where nobody reads standard output any more, as after `| head`."""
    handle_error = logging.Handler.handleError

    def handle_quietly(handler: logging.Handler, record: logging.LogRecord) -> None:
        if not isinstance(sys.exception(), BrokenPipeError) or not discard_unread_output():
            handle_error(handler, record)

    # What only logs, such as a training, goes on.
    logging.Handler.handleError = handle_quietly  # type: ignore[method-assign, assignment]
    try:
        try:
            yield
        finally:
            # Otherwise Python would find out at its end, and complain.
            logging.Handler.handleError = handle_error  # type: ignore[method-assign]
            sys.stdout.flush()
    except BrokenPipeError:
        # It may be another pipe.
        if not discard_unread_output():
            raise
        sys.exit(1)


def discard_unread_output() -> bool:
    """Whether nobody reads standard output any more; what is still written to it is discarded then."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):
        # It is no file.
        return False
    if not any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True
