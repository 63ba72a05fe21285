"""Python programs that start quickly: copies of a process that has imported their libraries.

Importing PyTorch, Lightning and OpenCV takes most of the time of a short program. Within ``forking()``, and in all
that is started there, ``subprocess.Popen`` asks a template, a process that holds nothing but libraries, for a copy.
The copy is a child of whoever asked (Linux's CLONE_PARENT), and a process of its own in all else: it runs the program's
file or module as ``__main__`` with its own arguments, directory, environment, streams, session and exit code. The
libraries and the project's own modules are imported beforehand, the templates of its pages compiled and the names that
a configuration may hold gathered; nothing of a program has run. A program that finds another copy of the project on its
path reads that one's modules itself.

What the template cannot stand for is started as always: another interpreter, other flags, code in a string.
"""

import array
import atexit
import ctypes
import gc
import importlib
import importlib.machinery
import json
import os
import pkgutil
import platform
import resource
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from tests.helpers.paths import PROJECT

LIBRARIES = (
    *("torch", "torchvision", "timm", "pytorch_lightning", "torchmetrics", "safetensors.torch"),
    *("torch.distributed.launcher", "torch.nn.parallel", "cv2", "av", "imagehash", "matplotlib.pyplot", "pandas"),
    *("plotly.offline", "pyarrow.parquet", "scipy.stats", "scipy.signal", "supervision", "trackers", "hydra.main"),
    *("omegaconf", "pydantic", "boto3.s3.transfer", "httpx2", "jinja2", "onnxruntime", "joblib", "uvicorn"),
    *("sklearn.metrics", "timm.optim", "onnx", "mlflow", "mlflow.store.tracking.sqlalchemy_store"),
    "matplotlib.backends.backend_svg",
)
# What the libraries read when they are loaded. A thread of OpenBLAS would not survive the copying.
LIBRARY_ENVIRONMENT = {
    **{"OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1", "OPENBLAS_NUM_THREADS": "1"},
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
# Modules that set the environment of their program, or need what is not imported here.
NOT_IMPORTED = (".__main__", ".wandb", ".mlflow")
# Not among the libraries, and only one program needs it.
NEED_STREAMLIT = ("fer.app.pages", "fer.app.entry")
SCRIPTS = ("train.py", "infer.py", "register.py")
COPIED_MODULES = ("fer.", "tests.helpers.", "torch.distributed.run", "submitit.")
READY = b"ready"
MAX_ORDER = 1 << 20
# What a process inherits from whoever starts it.
LIMITS = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]
# clone(2); SIGCHLD tells the parent of the end, as fork does.
CLONE_PARENT, SYS_CLONE = 0x00008000, {"x86_64": 56, "aarch64": 220}.get(platform.machine())
PR_SET_NAME = 15
_original_execute = subprocess.Popen._execute_child  # type: ignore[attr-defined]
# The socket to the template of this process, where it has one. An order and its answer belong together.
_template: socket.socket | None = None
_ordering = threading.Lock()


@contextmanager
def forking() -> Iterator[None]:
    """Within it, programs of this interpreter are forked."""
    if SYS_CLONE is None or sys.platform != "linux":
        yield
        return
    subprocess.Popen._execute_child = _execute_child  # type: ignore[attr-defined]
    try:
        yield
    finally:
        subprocess.Popen._execute_child = _original_execute  # type: ignore[attr-defined]


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
    order |= {"session": start_new_session, "limits": [(kind, *resource.getrlimit(kind)) for kind in LIMITS]}
    with _ordering:
        template = _template or _start_template()
        template.sendmsg(
            [json.dumps(order).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", streams).tobytes())]
        )
        self.pid = int(template.recv(64))
    self._child_created = True  # type: ignore[attr-defined]
    self._close_pipe_fds(*others[3:9])  # type: ignore[attr-defined]


def _parse_order(args: Any, cwd: Any, env: Any) -> dict[str, Any] | None:
    """What is to be run, where the template can run it."""
    if isinstance(args, (str, bytes)) or not isinstance(args, Sequence):
        return None
    interpreter, *command = map(os.fsdecode, args)
    environment = dict(os.environ if env is None else env)
    flags = set()
    while command and command[0] in ("-P", "-u"):
        flags.add(command.pop(0))
    if Path(interpreter).resolve() != Path(sys.executable).resolve() or not command:
        return None
    is_module = command[0] == "-m" and command[1].startswith(COPIED_MODULES)
    if is_module or Path(command[0]).name in SCRIPTS:
        cwd = os.path.abspath(os.fsdecode(cwd)) if cwd is not None else os.getcwd()
        return {"command": command, "flags": sorted(flags), "cwd": cwd, "environment": environment}
    return None


def _serve(connection: socket.socket) -> NoReturn:
    """Fork a copy for each order that comes."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        message, control, _, _ = connection.recvmsg(MAX_ORDER, socket.CMSG_SPACE(3 * 4))
        if not message:
            os._exit(0)
        streams = array.array("i", control[0][2][: 3 * 4]).tolist()
        pid = _clone_sibling()
        if pid == 0:
            connection.close()
            _leave(_become(json.loads(message), streams))
        for stream in streams:
            os.close(stream)
        connection.send(str(pid).encode())


def _clone_sibling() -> int:
    """Fork a child of this process's parent; 0 in the child."""
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = int(ctypes.PyDLL(None).syscall(SYS_CLONE, CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0))
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
    else:
        ctypes.pythonapi.PyOS_AfterFork_Parent()
    return pid


def _become(order: Mapping[str, Any], streams: Sequence[int]) -> int:
    """Run the ordered program as a fresh process would; its exit code."""
    _fork_template()
    if order["session"]:
        os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", buffering=1 if "-u" in order["flags"] or os.isatty(1) else -1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    for kind, soft, hard in order["limits"]:
        resource.setrlimit(kind, (soft, hard))
    os.environ.clear()
    os.environ.update(order["environment"])
    # Found once by a process, from its environment.
    tempfile.tempdir = None
    os.chdir(order["cwd"])
    what, *arguments = order["command"]
    # Its command line stays the template's; by this name a test finds it.
    name = arguments[0] if what == "-m" else Path(what).name
    if "RANK" in order["environment"]:
        name = f"rank-{order['environment']['RANK']}"
    ctypes.CDLL(None).prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)
    try:
        sys.path = [*_build_search_path(order), *(path for path in sys.path[1:] if path != str(PROJECT))]
        _forget_project_unless_found()
        if what == "-m":
            sys.argv = arguments
            runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
        else:
            sys.argv = [what, *arguments]
            runpy.run_path(what, run_name="__main__")
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _build_search_path(order: Mapping[str, Any]) -> list[str]:
    """The entries of sys.path before those of the interpreter."""
    what = order["command"][0]
    first = [] if "-P" in order["flags"] else [order["cwd"] if what == "-m" else str(Path(what).resolve().parent)]
    return [*first, *filter(None, order["environment"].get("PYTHONPATH", "").split(os.pathsep))]


def _forget_project_unless_found() -> None:
    """Leave the project's modules to be imported where the search path leads to others than those of the template."""
    found = importlib.machinery.PathFinder.find_spec("fer", sys.path)
    if found is None or found.origin != str(PROJECT / "fer" / "__init__.py"):
        for name in [name for name in sys.modules if name == "fer" or name.startswith("fer.")]:
            del sys.modules[name]


def _import_project() -> None:
    """Import the project's modules, compile the templates of its pages, and gather what a configuration may name."""
    from hydra.core.plugins import Plugins

    import fer

    # Hydra loads the files of its own plugins itself, and would load those again that are here already.
    Plugins.instance()
    for module in pkgutil.walk_packages(fer.__path__, "fer."):
        if not module.name.endswith(NOT_IMPORTED) and not module.name.startswith(NEED_STREAMLIT):
            importlib.import_module(module.name)
    environment = importlib.import_module("fer.reports.page").create_environment()
    for template in environment.list_templates(extensions=["j2"]):
        environment.get_template(template)
    # Hydra's grammar, the project's keys and timm's architectures are the same in every program.
    importlib.import_module("fer.config.compose").load_overrides([])


def _fork_template() -> None:
    """Leave a template behind for what this process will start, before it is anything else than libraries."""
    global _template
    local, remote = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        local.close()
        _serve(remote)
    remote.close()
    _template = local
    subprocess.Popen._execute_child = _execute_child  # type: ignore[attr-defined]


def _leave(code: int) -> NoReturn:
    """End as the interpreter does, but for taking all libraries apart, which takes two seconds."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Import the libraries and the project, and serve as the template of who started this process."""
    # timm imports W&B where it is installed: a directory that it makes then would go with the first copy that ends.
    sys.modules["wandb"] = None  # type: ignore[assignment]
    for library in LIBRARIES:
        importlib.import_module(library)
    _import_project()
    del sys.modules["wandb"]
    # The collector then passes over what the libraries have made, and copies none of its pages.
    gc.collect()
    gc.freeze()
    connection = socket.socket(fileno=int(sys.argv[1]))
    connection.send(READY)
    _serve(connection)


if __name__ == "__main__":
    main()
