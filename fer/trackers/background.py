"""The training's side of its trackers: it starts their process and waits for it at the end."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any, TextIO

from fer.core.installation import with_project_path

# How long trackers may take for the result of a run, and their process for its exit.
FINISH_TIMEOUT_S, EXIT_TIMEOUT_S, GRACE_S = 45.0, 15.0, 3.0
log = logging.getLogger(__name__)


@contextmanager
def run_trackers(directory: Path, trackers: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """Have trackers follow what the block writes into a run directory.

    They live in a process of their own that reads the run directory: whatever they do, the block's work and results
    stay the same. After the block they have a minute at most to log the result. Raises nothing of its own.

    Args:
        directory: The run directory, which holds run.yaml and provenance.json.
        trackers: Options of each tracker by its kind, see `fer.trackers.dispatch`; none starts no process.

    Examples:
        >>> with run_trackers(run.directory, {"tensorboard": {}, "mlflow": {"uri": None, "experiment": "fer"}}):
        ...     train(run)
    """
    process = _start_process(directory, trackers) if trackers else None
    if process is None:
        yield
        return
    relay = Thread(target=_relay_messages, args=(process.stdout,), daemon=True)
    relay.start()
    try:
        yield
    finally:
        stop_process(process)
        relay.join(GRACE_S)


def _start_process(directory: Path, trackers: Mapping[str, Mapping[str, Any]]) -> "subprocess.Popen[str] | None":
    job = {"directory": str(directory.absolute()), "pid": os.getpid(), "trackers": trackers}
    try:
        # -P: nothing is imported from the current directory. A session of its own: Ctrl-C does not reach it.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "fer.trackers"],
            env=with_project_path(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
    except OSError as error:
        log.warning("Trackers are off for this run (%s)", error)
        return None
    return process


def _relay_messages(output: TextIO) -> None:
    """Log the process's messages."""
    for line in output:
        level, _, message = line.strip().partition(" ")
        log.log(logging.getLevelNamesMapping()[level], "%s", message)


def stop_process(process: "subprocess.Popen[str]") -> None:
    """Tell the process that the run is over and wait for it; it is killed where it takes too long."""
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.write("over\n")
        process.stdin.close()
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
        if process.poll() is None:
            log.info("Waiting for the trackers, a minute at most; Ctrl-C goes on without them")
        process.wait(FINISH_TIMEOUT_S + EXIT_TIMEOUT_S - GRACE_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
    if process.wait() != 0:
        log.warning("The trackers did not come to their end; they may lack a part of this run")
