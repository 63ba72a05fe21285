"""Trainings of a sweep that a fork server starts: PyTorch is imported once, not by each (`hydra.launcher.preload`)."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from fer.core.installation import with_project_path
from fer.runs.subprocess import build_resume_arguments

# The socket of the server, for processes that a launcher has started.
SERVER_ENV = "FER_FORK_SERVER"


def start_fork_server() -> "subprocess.Popen[bytes] | None":
    """Start the server of this process and return it, None where there is one already; it ends with this process."""
    if SERVER_ENV in os.environ:
        return None
    path = Path(tempfile.mkdtemp(prefix="fer-")) / "socket"
    # -P: nothing is imported from the current directory.
    command = [sys.executable, "-P", "-m", "fer.cli.fork_server", str(path)]
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=with_project_path(os.environ))
    os.environ[SERVER_ENV] = str(path)
    return server


class ForkedTraining:
    """A training that the server has forked, with as much of `subprocess.Popen` as a sweep needs.

    Args:
        run: The run directory, as for ``fer.runs.subprocess.start_training``.
        environment: Variables beside those of this process.

    Raises:
        OSError: There is no server that answers.
    """

    def __init__(self, run: Path, environment: Mapping[str, str]) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(os.environ[SERVER_ENV])
        request = {
            "arguments": build_resume_arguments(run),
            "environment": {**os.environ, **environment},
            "directory": os.getcwd(),
        }
        output, theirs = os.pipe()
        try:
            content = json.dumps(request).encode() + b"\n"
            sent = socket.send_fds(self._connection, [content], [theirs])
            self._connection.sendall(content[sent:])
        finally:
            os.close(theirs)
        self.stdout = os.fdopen(output, errors="replace")

    def wait(self) -> int:
        """Wait for its end and return its exit code, negative after a signal."""
        answer = self._connection.recv(16)
        self._connection.close()
        self.stdout.close()
        return int(answer) if answer else 1
