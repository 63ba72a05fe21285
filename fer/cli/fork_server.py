"""`python -m fer.cli.fork_server SOCKET`: imports what a training needs once, and forks a process for each training.

A sweep starts it and asks it, see fer/sweep/preload.py. Nothing is computed here, so that every training begins with
what it would find in a process of its own.
"""

import atexit
import json
import os
import runpy
import select
import shutil
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, NoReturn

from fer.core.garbage import pause_garbage_collection
from fer.core.installation import INSTALLED, PROJECT_ROOT
from fer.core.process import PARENT_PID_ENV, POLL_INTERVAL_S


def main() -> None:
    """Serve until the process that has started this one is gone."""
    path, parent = Path(sys.argv[1]), os.getppid()
    # Ctrl-C is for the trainings.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    # Who connects now waits for the imports.
    listener.listen(128)
    with pause_garbage_collection():
        import fer.cli.train
        import fer.train.pipeline  # noqa: F401
    while os.getppid() == parent:
        if select.select([listener], [], [], POLL_INTERVAL_S)[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _run_request(connection)
            connection.close()
        _reap_children()
    shutil.rmtree(path.parent, ignore_errors=True)


def _reap_children() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _run_request(connection: socket.socket) -> NoReturn:
    """In a process for one request: fork the training, and answer with its exit code."""
    request, output = _receive_request(connection)
    keeper = os.getpid()
    training = os.fork()
    if training == 0:
        connection.close()
        _run_training(request, output, keeper)
    os.close(output)
    while (ended := os.waitpid(training, os.WNOHANG))[0] == 0:
        # Nothing more is sent: what can be read is the end of who has asked.
        if select.select([connection], [], [], POLL_INTERVAL_S / 4)[0]:
            os.kill(training, signal.SIGKILL)
            os._exit(1)
    connection.sendall(str(os.waitstatus_to_exitcode(ended[1])).encode())
    os._exit(0)


def _receive_request(connection: socket.socket) -> tuple[dict[str, Any], int]:
    """The request, a line of JSON, and the file to which the training writes."""
    content, files, _, _ = socket.recv_fds(connection, 1 << 16, 1)
    while not content.endswith(b"\n"):
        content += connection.recv(1 << 16)
    request: dict[str, Any] = json.loads(content)
    return request, files[0]


def _run_training(request: dict[str, Any], output: int, keeper: int) -> NoReturn:
    """Run train.py in this process, as Python would run it in a new one."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.environ.clear()
    os.environ.update(request["environment"], **{PARENT_PID_ENV: str(keeper)})
    os.chdir(request["directory"])
    script = str(PROJECT_ROOT / "train.py")
    sys.argv = [script, *request["arguments"]]
    code = 0
    try:
        if INSTALLED:
            runpy.run_module("fer.cli.train", run_name="__main__", alter_sys=True)
        else:
            sys.path.insert(0, str(PROJECT_ROOT))
            runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    _exit(code)


def _exit(code: int) -> NoReturn:
    """End as Python does, but for what libraries in C++ do then: threads that they would join were not forked."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
