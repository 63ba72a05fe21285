"""train.py as a process of its own, which does a run in the run's directory and ends with whoever started it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from fer.core.installation import PROJECT_ROOT, build_train_command
from fer.core.process import with_parent_pid

TRAIN_PROGRAM = "train.py"


def start_training(
    run: Path, environment: Mapping[str, str], project: Path = PROJECT_ROOT, launcher: Sequence[str] = ()
) -> "subprocess.Popen[str]":
    """Begin or go on with the run that a directory's run.yaml describes; what it says comes through ``stdout``.

    ``project`` is the directory of the code; ``launcher`` are arguments of Python that start the program.
    """
    quoted = json.dumps(str(run))
    return subprocess.Popen(
        [sys.executable, *launcher, *build_train_command(project), f"resume={quoted}", f"hydra.run.dir={quoted}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=with_parent_pid({**os.environ, **environment}),
        text=True,
        errors="replace",
    )


def extract_error_lines(lines: Sequence[str]) -> list[str]:
    """The errors of a training that has failed, each behind its program's name, from the lines that it said.

    Its last line, if any, where it said none.
    """
    return [line for line in lines if line.startswith(f"{TRAIN_PROGRAM}: ")] or list(lines[-1:])
