"""Containers of SageMaker's jobs as processes: the real command, with a directory that stands for /opt/ml."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import matplotlib

ML = "/opt/ml"
# What is read as text and may name a path below /opt/ml; data, checkpoints and models are left alone.
TEXTS = {".py", ".sh", ".json", ".yaml"}
SIGTERM_BIT = 1 << (signal.SIGTERM - 1)
# How the container's shell starts one of our programs.
PROGRAM = "python3 -m fer."
# Stands for python3 in the container's shell: our programs are noted, and then started as all those of the tests are.
NOTING_PYTHON = """#!/bin/sh
case "$1 $2" in
"-m fer."*) exec {python} -c 'import json, os, sys
json.dump([os.getpid(), sys.argv[1:], os.getcwd(), dict(os.environ)], open("{note}", "w"))' "$@" ;;
*) exec {python} "$@" ;;
esac
"""


def run_shell(
    command: Sequence[str], directory: Path, environment: Mapping[str, str], note: Callable[[str], None]
) -> tuple[list[str], str, dict[str, str], bool]:
    """Run a container's command up to the Python program that it starts.

    A program is then not started by it, importing PyTorch anew, but can be as all those of the tests are.

    Returns:
        The program, its directory and its environment, and whether it is process 1, for which the shells before it
        must have left their place. A command without a program is one that ends as it did.
    """
    with tempfile.TemporaryDirectory() as shims:
        python, noted = Path(shims) / "python3", Path(shims) / "noted.json"
        python.write_text(NOTING_PYTHON.format(python=sys.executable, note=noted))
        python.chmod(0o755)
        path = environment["PATH"]
        process = subprocess.Popen(
            command,
            cwd=directory,
            env={**environment, "PATH": f"{shims}{os.pathsep}{path}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        for line in process.communicate()[0].splitlines():
            note(line)
        if not noted.exists():
            return ["/bin/sh", "-c", f"exit {process.returncode}"], str(directory), dict(environment), True
        pid, arguments, place, variables = json.loads(noted.read_text())
    return [sys.executable, *arguments], place, {**variables, "PATH": path}, pid == process.pid


class Container:
    """A process that runs ``command`` as a container would, in a session of its own, from its start on.

    No machine but a container has an /opt/ml of its own, so every mention of it in the command, in the values of the
    environment and in the texts below ``ml`` (code and settings that the job has brought) is made one of ``ml``.
    The environment is ``environment`` alone, with this interpreter's packages: an image holds no more. ``note`` gets
    each line of output, from a thread of the container.
    """

    def __init__(
        self, command: Sequence[str], ml: Path, environment: Mapping[str, str], note: Callable[[str], None]
    ) -> None:
        self.note = note
        starts_program = any(PROGRAM in part for part in command)
        for file in ml.rglob("*"):
            if file.suffix in TEXTS and file.is_file() and ML in (text := file.read_text(encoding="utf-8")):
                file.write_text(text.replace(ML, str(ml)), encoding="utf-8")
                starts_program |= file.suffix == ".sh" and PROGRAM in text
        image = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]),
            **{"LANG": "C.UTF-8", "HOME": str(ml), "OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1"},
            # Which fonts there are takes a second to find out; an image knows its own.
            "MPLCONFIGDIR": matplotlib.get_cachedir(),
        }
        environment = {**image, **{name: value.replace(ML, str(ml)) for name, value in environment.items()}}
        program, directory, self.is_first = [part.replace(ML, str(ml)) for part in command], str(ml), True
        if starts_program:
            program, directory, environment, self.is_first = run_shell(program, ml, environment, note)
        self.process = subprocess.Popen(
            program,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.note(line.rstrip("\n"))

    def wait(self, seconds: float | None = None) -> int | None:
        """The exit code of the first process, after which the others are gone, too; None where it still runs."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self.kill()
        return code

    def terminate(self) -> None:
        """SIGTERM as a container gets it: to its first process alone, and only where that one handles it.

        The kernel spares process 1 what it has no handler for, and no shell passes it on to its children.
        """
        if self.is_first and handles_sigterm(self.process.pid):
            with suppress(ProcessLookupError):
                self.process.terminate()

    def kill(self) -> None:
        """End every process of the container at once."""
        if self.reader.is_alive():
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.reader.join()


def handles_sigterm(pid: int) -> bool:
    """Whether a process has a handler for SIGTERM; taken for yes where the kernel does not tell (no Linux)."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) & SIGTERM_BIT)
    return True
