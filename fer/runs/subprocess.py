"""train.py in a process of its own, which works in the run's directory and ends with the process that started it."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from fer.config.quoting import quote_literally
from fer.core.installation import PROJECT_ROOT, build_train_command
from fer.core.process import with_parent_pid

TRAIN_PROGRAM = "train.py"


def start_training(
    run: Path, environment: Mapping[str, str], project: Path = PROJECT_ROOT, launcher: Sequence[str] = ()
) -> "subprocess.Popen[str]":
    """Start train.py on the run that a directory's run.yaml describes, be it new or begun.

    Args:
        run: The run directory.
        environment: Variables beside those of this process.
        project: Directory of the code.
        launcher: Arguments of Python before the program, such as ``-m torch.distributed.run``.

    Returns:
        The process, whose output and errors are its ``stdout``.
    """
    return subprocess.Popen(
        [sys.executable, *launcher, *build_train_command(project), *build_resume_arguments(run)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # What a launcher starts is no child of this process.
        env={**os.environ, **environment} if launcher else with_parent_pid({**os.environ, **environment}),
        text=True,
        errors="replace",
    )


def build_resume_arguments(run: Path) -> list[str]:
    """Return the arguments of train.py that go on with a run, or begin with one that has its run.yaml alone."""
    quoted = quote_literally(str(run))
    return [f"resume={quoted}", f"hydra.run.dir={quoted}"]


def extract_error_lines(lines: Sequence[str]) -> list[str]:
    """Return the errors among the lines that a failed training printed; its last line where there are none."""
    return [line for line in lines if line.startswith(f"{TRAIN_PROGRAM}: ")] or list(lines[-1:])
