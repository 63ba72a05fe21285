"""The process beside a training: `python -m fer.trackers` reads the run directory and tells the trackers.

Its first line of input is the order, as JSON: `directory`, `pid` of the training, and the `trackers` with their
options. A second line, or the end of input, which comes also when the training is killed, says that the run is over.
Each line of output is a level's name and a sentence for the user.
"""

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

from fer.errors import first_line
from fer.trackers.background import END_S
from fer.trackers.base import Begun
from fer.trackers.dispatch import TITLES, Lane
from fer.trackers.images import PLACE
from fer.trackers.run_reader import Memory, config_of, ended, epochs_of, run_id, seconds_since_start
from fer.trackers.system_metrics import Machine

LOOK_S, FIRST_SAMPLE_S, SAMPLE_S = 0.5, 2.0, 10.0


class Voice:
    """The process's output. What libraries print goes nowhere."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.output = os.fdopen(os.dup(1), "w", encoding="utf-8")
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(nowhere, stream)

    def say(self, level: str, *words: str) -> None:
        # Nobody listens any more where the training was killed.
        with self.lock, suppress(BrokenPipeError):
            print(level, " ".join(" ".join(words).split()), file=self.output, flush=True)


def follow(order: dict[str, Any], over: Event, voice: Voice) -> None:
    """Tell the trackers what the run directory holds, until the run is over and they have it, or time is up."""
    directory = Path(order["directory"])
    memory = Memory(directory / PLACE / "runs.json")
    config, identity, machine = config_of(directory), run_id(directory), Machine(order["pid"])

    def begun(kind: str) -> Begun:
        warn = partial(voice.say, "WARNING", TITLES[kind] + ":")
        return Begun(directory, identity, config, memory.of(kind), partial(memory.note, kind), warn)

    lanes = [Lane(kind, options, begun(kind), memory, voice.say) for kind, options in order["trackers"].items()]
    next_sample = time.monotonic() + FIRST_SAMPLE_S
    running = True
    while running:
        running = not over.wait(LOOK_S)
        rows = epochs_of(directory)
        for lane in lanes:
            lane.epochs(rows)
        if running and time.monotonic() >= next_sample:
            next_sample = time.monotonic() + SAMPLE_S
            seconds, figures = seconds_since_start(directory), machine.sample()
            for lane in lanes:
                lane.system(seconds, figures)
    deadline = time.monotonic() + END_S
    result = ended(directory)
    for lane in lanes:
        lane.end(result)
    for lane in lanes:
        if not lane.over(max(deadline - time.monotonic(), 0)):
            name = TITLES[lane.kind]
            voice.say("WARNING", f"{name} did not answer for {END_S:g} s; it may lack a part of this run")


def main() -> NoReturn:
    # A Ctrl-C or a cluster's signal is for the training, which then says how it ended.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    voice, over = Voice(), Event()
    order = json.loads(sys.stdin.readline())

    def listen() -> None:
        sys.stdin.readline()
        over.set()

    Thread(target=listen, daemon=True).start()
    place = Path(order["directory"]) / PLACE
    try:
        place.mkdir(exist_ok=True)
        # The process beside a killed training may still be telling its end when the run is gone on with.
        with FileLock(place / ".lock"):
            follow(order, over, voice)
    except Exception as error:
        voice.say("WARNING", f"Trackers are off for this run ({type(error).__name__}: {first_line(error)})")
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()
    # A thread that hangs inside a library would hold up an ordinary end.
    os._exit(0)


if __name__ == "__main__":
    main()
