"""One training in several processes: how a machine's processes are started, watched and ended.

Each is a `python -m fer.train.distributed.rank RUN FOLDER`.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from fer.core.io import write_text
from fer.core.process import tied_to_me
from fer.core.system import PROJECT
from fer.data.datamodule import Part
from fer.errors import UserError
from fer.train.distributed.machines import INTERRUPTED, Machine, Meeting

LOOK_S = 0.1
# So long the processes that a failed one leaves behind may fail in turn, and an interrupted one save its weights:
# SLURM kills 30 s after it asks to end.
GRACE_S, SAVING_S = 1.0, 20.0
TASK, PARTS, ENDED, CHECKPOINT = "task.json", "parts.npz", "ended.json", "resume.ckpt"
FAILURE = "failure.txt"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """What the processes of a machine need beside the run's configuration."""

    images: str
    device: str
    threads: int
    checkpoint: str | None
    train: Part
    val: Part

    def save(self, folder: Path) -> None:
        parts = {"train": self.train, "val": self.val}
        arrays = {f"{name}_{key}": values for name, part in parts.items() for key, values in vars(part).items()}
        np.savez(folder / PARTS, **arrays)
        facts = {name: value for name, value in vars(self).items() if name not in parts}
        write_text(folder / TASK, json.dumps(facts))

    @classmethod
    def load(cls, folder: Path) -> Self:
        facts = json.loads((folder / TASK).read_text(encoding="utf-8"))
        with np.load(folder / PARTS, allow_pickle=False) as arrays:
            train, val = (
                Part(*(arrays[f"{name}_{key}"] for key in ("rows", "targets", "weights"))) for name in ("train", "val")
            )
        return cls(**facts, train=train, val=val)


@dataclass(frozen=True)
class Failure:
    """Why a process ended, as it says itself, and when (0 where it could say nothing); ``details`` for who mends it."""

    reason: str
    details: str
    time: float

    def save(self, folder: Path, rank: int) -> None:
        write_text(failure_path(folder, rank), json.dumps(vars(self)))


def failure_path(folder: Path, rank: int) -> Path:
    return folder / f"failure-{rank}.json"


def output_path(folder: Path, rank: int) -> Path:
    return folder / f"output-{rank}.txt"


def train_in_processes(run: Path, task: Task, devices: int, machine: Machine, data: str) -> dict[str, Any] | None:
    """Have the training of a run done by ``devices`` processes of each machine; ``data`` is its fingerprint.

    Returns what process 0 says at the end, None on other machines than its own. After Ctrl-C or SIGTERM process 0
    saves its weights before all are ended. Raises UserError where a process fails, KeyboardInterrupt where one is
    interrupted that has nothing to save.
    """
    with tempfile.TemporaryDirectory(prefix="fer-") as place, interruptible():
        folder = Path(place)
        meeting = Meeting(machine)
        reason: str | None = None
        ranks: list[subprocess.Popen[bytes]] = []
        try:
            checkpoint = meeting.agree(data, Path(task.checkpoint) if task.checkpoint else None, folder / CHECKPOINT)
            replace(task, checkpoint=str(checkpoint) if checkpoint else None).save(folder)
            for local in range(devices):
                variables = environment(local, devices, machine, meeting.port, task.threads)
                ranks.append(start(run, folder, local, variables))
            watch(run, ranks, folder, machine, meeting)
        except KeyboardInterrupt:
            reason = INTERRUPTED
            let_save(ranks, machine, meeting)
        except UserError as error:
            reason = str(error)
            raise
        finally:
            for rank in ranks:
                rank.kill()
                rank.wait()
            meeting.end(reason)
        if machine.number == 0 and (folder / ENDED).is_file():
            ended: dict[str, Any] = json.loads((folder / ENDED).read_text(encoding="utf-8"))
            return ended
    if reason == INTERRUPTED:
        raise KeyboardInterrupt
    return None


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM interrupts as Ctrl-C does, and both do so once: what follows is the saving."""

    def interrupt(number: int, frame: object) -> None:
        for either in (signal.SIGINT, signal.SIGTERM):
            signal.signal(either, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def environment(local: int, devices: int, machine: Machine, port: int, threads: int) -> dict[str, str]:
    """The variables by which process number ``local`` of this machine knows the others."""
    values = {
        **{"RANK": machine.number * devices + local, "LOCAL_RANK": local, "GROUP_RANK": machine.number},
        **{"WORLD_SIZE": devices * machine.count, "LOCAL_WORLD_SIZE": devices},
        **{"MASTER_ADDR": machine.address, "MASTER_PORT": port},
        # PyTorch's names for "the store is there already: do not open one".
        **{"TORCHELASTIC_RUN_ID": "fer", "TORCHELASTIC_USE_AGENT_STORE": True},
        # Without it Lightning sets a number of its own.
        "OMP_NUM_THREADS": threads,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH")))),
    }
    return {name: str(value) for name, value in values.items()}


def start(run: Path, folder: Path, local: int, variables: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start a process; only the words of the machine's first one are shown."""
    command = [sys.executable, "-m", "fer.train.distributed.rank", str(run), str(folder)]
    with output_path(folder, int(variables["RANK"])).open("wb") as output:
        # In a session of its own it does not get the terminal's Ctrl-C: this process decides what then happens.
        return subprocess.Popen(
            command,
            env=tied_to_me({**os.environ, **variables}),
            stdin=subprocess.DEVNULL,
            stdout=None if local == 0 else output,
            stderr=None if local == 0 else subprocess.STDOUT,
            start_new_session=True,
        )


def watch(
    run: Path, ranks: Sequence["subprocess.Popen[bytes]"], folder: Path, machine: Machine, meeting: Meeting
) -> None:
    """Until all processes are done. Raises UserError where one fails here or elsewhere."""
    while any(codes := [rank.poll() for rank in ranks]) or None in codes:
        if any(codes):
            # What one that fails leaves behind makes others fail, and may be noticed first.
            time.sleep(GRACE_S)
            first = machine.number * len(ranks)
            failure = cause(folder, {first + place: rank.poll() for place, rank in enumerate(ranks)})
            if failure.time:
                # It may be a consequence, of which another machine knows the cause.
                meeting.look()
            if not failure.details:
                raise UserError(failure.reason)
            write_text(run / FAILURE, failure.details)
            raise UserError(f"{failure.reason}; more in {run / FAILURE}")
        meeting.look()
        time.sleep(LOOK_S)


def cause(folder: Path, codes: dict[int, int | None]) -> Failure:
    """Why the processes with these exit codes failed: one that was killed, or what the first to fail says."""
    failures = []
    for rank, code in codes.items():
        if not code:
            continue
        try:
            failure = Failure(**json.loads(failure_path(folder, rank).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            hint = "; the machine may be out of memory" if code == -signal.SIGKILL else ""
            output = output_path(folder, rank).read_text(encoding="utf-8", errors="replace")
            failure = Failure(f"process {rank} of the training {how}{hint}", output, 0.0)
        failures.append(failure)
    return min(failures, key=lambda failure: failure.time)


def let_save(ranks: Sequence["subprocess.Popen[bytes]"], machine: Machine, meeting: Meeting) -> None:
    """Interrupt process 0, while the others still answer it, and wait until it has saved its weights."""
    deadline = time.monotonic() + SAVING_S
    if machine.number == 0 and ranks:
        ranks[0].send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            ranks[0].wait(SAVING_S)
    with suppress(KeyboardInterrupt, UserError):
        while machine.number and time.monotonic() < deadline:
            meeting.look()
            time.sleep(LOOK_S)
