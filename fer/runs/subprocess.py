"""train.py as a process of its own, which does a run in the run's directory and ends with whoever started it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from fer.core.process import tied_to_me
from fer.core.system import PROJECT

PROGRAM = "train.py"


def start_training(run: Path, environment: Mapping[str, str], project: Path = PROJECT) -> "subprocess.Popen[str]":
    """Begin or go on with the run that a directory's run.yaml describes; what it says comes through ``stdout``.

    ``project`` is the directory of the code.
    """
    place = json.dumps(str(run))
    return subprocess.Popen(
        [sys.executable, str(project / PROGRAM), f"resume={place}", f"hydra.run.dir={place}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=tied_to_me({**os.environ, **environment}),
        text=True,
        errors="replace",
    )


def sentences_of(said: Sequence[str]) -> list[str]:
    """The errors of a training that has failed, each behind its program's name, from the lines that it said.

    Its last line, if any, where it said none.
    """
    return [line for line in said if line.startswith(f"{PROGRAM}: ")] or list(said[-1:])
