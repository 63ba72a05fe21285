"""The background process of a training: `python -m fer.trackers` reads the run directory and feeds the trackers.

Its first line of input is the job, as JSON: `directory`, `pid` of the training, and the `trackers` with their options.
A second line, or the end of input, which comes also when the training is killed, says that the run is over. Each line
of output is a logging level's name and a sentence for the user.
"""

import importlib
import json
import os
import signal
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, NoReturn

import psutil
from filelock import FileLock

from fer.core.run_layout import TRACKERS_DIR
from fer.errors import shorten_error
from fer.trackers.background import FINISH_TIMEOUT_S
from fer.trackers.base import RunInfo
from fer.trackers.dispatch import TrackerThread, get_title
from fer.trackers.run_reader import (
    TrackerState,
    compute_elapsed_seconds,
    get_run_id,
    read_config,
    read_history,
    read_result,
)
from fer.trackers.system_metrics import SystemMonitor

POLL_INTERVAL_S, FIRST_SAMPLE_DELAY_S, SAMPLE_INTERVAL_S = 0.5, 2.0, 10.0


class _MessageStream:
    """The process's messages. What libraries print is discarded."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.output = os.fdopen(os.dup(1), "w", encoding="utf-8")
        devnull = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(devnull, stream)

    def write(self, level: str, *words: str) -> None:
        """Write a line: the level, then the words."""
        # Nobody reads it any more where the training was killed.
        with self.lock, suppress(BrokenPipeError):
            self.output.write(f"{level} {' '.join(' '.join(words).split())}\n")
            self.output.flush()


def _import_ipython() -> None:
    """Import IPython where it is installed, as W&B does in its thread: matplotlib trips over a half of it meanwhile."""
    with suppress(Exception):
        importlib.import_module("IPython")


def _follow_run(job: dict[str, Any], stop_event: Event, stream: _MessageStream) -> None:
    """Feed the trackers what the run directory holds, until the run is over and they have it, or time is up."""
    directory = Path(job["directory"])
    state = TrackerState(directory / TRACKERS_DIR / "runs.json")
    config, run_id, monitor = read_config(directory), get_run_id(directory), SystemMonitor(job["pid"])

    def build_run_info(kind: str) -> RunInfo:
        warn = partial(stream.write, "WARNING", get_title(kind) + ":")
        return RunInfo(directory, run_id, config, state.get(kind), partial(state.update, kind), warn)

    if "wandb" in job["trackers"]:
        _import_ipython()
    threads = [
        TrackerThread(kind, options, build_run_info(kind), state, stream.write)
        for kind, options in job["trackers"].items()
    ]
    next_sample = time.monotonic() + FIRST_SAMPLE_DELAY_S
    running, sampled = True, False
    while running:
        running = not stop_event.wait(POLL_INTERVAL_S)
        rows = read_history(directory)
        for thread in threads:
            thread.put_rows(rows)
        # A training that ends before the first sample is due waits for its trackers: it has one too.
        due = time.monotonic() >= next_sample if running else not sampled and psutil.pid_exists(job["pid"])
        if due:
            next_sample, sampled = time.monotonic() + SAMPLE_INTERVAL_S, True
            seconds, metrics = compute_elapsed_seconds(directory), monitor.sample()
            for thread in threads:
                thread.put_system_metrics(seconds, metrics)
    deadline = time.monotonic() + FINISH_TIMEOUT_S
    result = read_result(directory)
    for thread in threads:
        thread.put_result(result)
    for thread in threads:
        if not thread.wait(max(deadline - time.monotonic(), 0)):
            stream.write(
                "WARNING", f"{thread.title} did not answer for {FINISH_TIMEOUT_S:g} s; it may lack a part of this run"
            )


def main() -> NoReturn:
    """Follow the run of the job on standard input; always exits with 0."""
    # Ctrl-C or a cluster's signal is meant for the training, which then records how it ended.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    stream, stop_event = _MessageStream(), Event()
    job = json.loads(sys.stdin.readline())

    def wait_for_stop() -> None:
        sys.stdin.readline()
        stop_event.set()

    Thread(target=wait_for_stop, daemon=True).start()
    trackers_dir = Path(job["directory"]) / TRACKERS_DIR
    try:
        trackers_dir.mkdir(exist_ok=True)
        # The process of a killed training may still log its end when the run is resumed.
        with FileLock(trackers_dir / ".lock"):
            _follow_run(job, stop_event, stream)
    except Exception as error:
        stream.write("WARNING", f"Trackers are off for this run ({type(error).__name__}: {shorten_error(error)})")
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()
    # A thread that hangs inside a library would hold up an ordinary exit.
    os._exit(0)


if __name__ == "__main__":
    main()
