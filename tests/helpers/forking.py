"""Programs as copies of a process that has imported their libraries: whoever starts them asks the forkserver.

Within ``forking()``, and in all that is started there, ``subprocess.Popen`` asks a template, a process that holds
nothing but libraries (see tests/helpers/forkserver.py), for a copy; so does loky, which starts the workers of joblib.
What the template cannot stand for is started as always: another interpreter, other flags, code in a string, unless it
is the line by which pytest-xdist starts its workers.
"""

import array
import json
import os
import platform
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from joblib.externals.loky.backend import fork_exec as loky  # type: ignore[import-untyped]

from tests.helpers.paths import PROJECT

# What the libraries read when they are loaded. A thread of OpenBLAS would not survive the copying.
LIBRARY_ENVIRONMENT = {
    **{"OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1", "OPENBLAS_NUM_THREADS": "1"},
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
# What a test writes as program.py may have libraries imported that it does not need itself.
SCRIPTS = ("train.py", "infer.py", "register.py", "program.py", "package_probe.py")
LOKY_WORKER = "joblib.externals.loky.backend.popen_loky_posix"
COPIED_MODULES = (
    *("fer.", "tests.helpers.", "torch.distributed.run", "submitit.", "mkdocs", "ipykernel_launcher"),
    LOKY_WORKER,
)
# The last one is for debuggers, and comes with every kernel of Jupyter.
FLAGS = ("-I", "-P", "-u", "-Xfrozen_modules=off")
# How execnet, which pytest-xdist talks to its workers with, begins.
WORKER = "import sys;exec(eval(sys.stdin.readline()))"
READY = b"ready"
# What a process inherits from whoever starts it.
LIMITS = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]
# clone(2), on the machines that have it.
SYS_CLONE = {"x86_64": 56, "aarch64": 220}.get(platform.machine())
_original_execute = subprocess.Popen._execute_child  # type: ignore[attr-defined]
_original_fork_exec = loky.fork_exec
# The socket to the template of this process, where it has one. An order and its answer belong together.
_template: socket.socket | None = None
_ordering = threading.Lock()


@contextmanager
def forking() -> Iterator[None]:
    """Within it, programs of this interpreter are forked."""
    if SYS_CLONE is None or sys.platform != "linux":
        yield
        return
    ask_for_copies(_template)
    try:
        yield
    finally:
        subprocess.Popen._execute_child = _original_execute  # type: ignore[attr-defined]
        loky.fork_exec = _original_fork_exec


@contextmanager
def starting_anew() -> Iterator[None]:
    """Within it, programs are started as always: they import what they ask for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "_execute_child", _original_execute)
        yield


def ask_for_copies(template: socket.socket | None = None) -> None:
    """Have this process ask a template for what it starts, by default one that it starts itself."""
    global _template
    _template = template
    subprocess.Popen._execute_child = _execute_child  # type: ignore[attr-defined]
    loky.fork_exec = _fork_worker


def _start_template() -> socket.socket:
    """Start the template of this process; it ends with this one, whose end of the socket is closed then."""
    global _template
    local, remote = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), **LIBRARY_ENVIRONMENT}
    subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.forkserver", str(remote.fileno())],
        cwd=PROJECT,
        env=environment,
        stdin=subprocess.DEVNULL,
        pass_fds=[remote.fileno()],
    )
    remote.close()
    assert local.recv(16) == READY
    _template = local
    return local


def _execute_child(
    self: "subprocess.Popen[Any]",
    args: Any,
    executable: Any,
    preexec_fn: Any,
    close_fds: Any,
    pass_fds: Any,
    cwd: Any,
    env: Any,
    *others: Any,
) -> None:
    """Popen's own way to start a process, or the template's."""
    _, _, shell, p2cread, _, _, c2pwrite, _, errwrite, *_, start_new_session, process_group = others
    order = None if shell else _parse_order(args, cwd, env)
    plain = executable is None and preexec_fn is None and close_fds and not pass_fds and process_group == -1
    if order is None or not plain:
        _original_execute(self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, *others)
        return
    given = (p2cread, c2pwrite, errwrite)
    streams = [number if stream == -1 else stream for number, stream in enumerate(given)]
    self.pid = _send_order(order | {"session": start_new_session, "descriptors": [0, 1, 2]}, streams)
    self._child_created = True  # type: ignore[attr-defined]
    self._close_pipe_fds(*others[3:9])  # type: ignore[attr-defined]


def _fork_worker(command: Sequence[str], kept: Sequence[int], env: Mapping[str, str] | None = None) -> int:
    """loky's own way to start a worker with some of its descriptors, or the template's."""
    order = _parse_order(command, None, {**os.environ, **(env or {})})
    if order is None:
        return int(_original_fork_exec(command, kept, env))
    descriptors = sorted({0, 1, 2, *map(int, kept)})
    return _send_order(order | {"session": False, "descriptors": descriptors}, descriptors)


def _send_order(order: Mapping[str, Any], descriptors: Sequence[int]) -> int:
    """Have a copy made that gets these descriptors; its process id."""
    content = {**order, "limits": [(kind, *resource.getrlimit(kind)) for kind in LIMITS]}
    rights = array.array("i", descriptors).tobytes()
    with _ordering:
        template = _template or _start_template()
        template.sendmsg([json.dumps(content).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        return int(template.recv(64))


def _parse_order(args: Any, cwd: Any, env: Any) -> dict[str, Any] | None:
    """What is to be run, where the template can run it."""
    if isinstance(args, (str, bytes)) or not isinstance(args, Sequence):
        return None
    interpreter, *command = map(os.fsdecode, args)
    environment = dict(os.environ if env is None else env)
    flags = set()
    while command and command[0] in FLAGS:
        flags.add(command.pop(0))
    if Path(interpreter).resolve() != Path(sys.executable).resolve() or not command:
        return None
    is_module = command[0] == "-m" and command[1].startswith(COPIED_MODULES)
    if is_module or command == ["-c", WORKER] or Path(command[0]).name in SCRIPTS:
        cwd = os.path.abspath(os.fsdecode(cwd)) if cwd is not None else os.getcwd()
        return {"command": command, "flags": sorted(flags), "cwd": cwd, "environment": environment}
    return None
