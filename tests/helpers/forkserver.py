"""The template of the tests' programs: a process that has imported their libraries, and forks a copy for each order.

Importing PyTorch, Lightning and OpenCV takes most of the time of a short program. A copy is a child of whoever asked
for it (Linux's CLONE_PARENT), and a process of its own in all else: it runs the program's file or module as
``__main__`` with its own arguments, directory, environment, streams, session and exit code. The libraries and the
project's own modules are imported beforehand, the templates of its pages compiled and the names that a configuration
may hold gathered; nothing of a program has run. A program that finds another copy of the project on its path reads that
one's modules itself. Who asks is tests/helpers/forking.py.
"""

import array
import atexit
import ctypes
import fcntl
import gc
import importlib
import importlib.machinery
import json
import os
import pkgutil
import resource
import runpy
import signal
import socket
import sys
import tempfile
import threading
import traceback
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from tests.helpers.forking import READY, SYS_CLONE, ask_for_copies
from tests.helpers.parsing import parse_once
from tests.helpers.paths import PROJECT, WITHOUT_REPORT_ENV

LIBRARIES = (
    *("torch", "torchvision", "timm", "pytorch_lightning", "torchmetrics", "safetensors.torch"),
    *("torch.distributed.launcher", "torch.nn.parallel", "cv2", "av", "imagehash", "matplotlib.pyplot", "pandas"),
    *("plotly.offline", "pyarrow.parquet", "scipy.stats", "scipy.signal", "supervision", "trackers", "hydra.main"),
    *("omegaconf", "pydantic", "boto3.s3.transfer", "httpx2", "jinja2", "onnxruntime", "joblib", "uvicorn"),
    *("sklearn.metrics", "timm.optim", "onnx", "mlflow", "mlflow.store.tracking.sqlalchemy_store"),
    *("matplotlib.backends.backend_svg", "pyarrow.dataset", "pyarrow.pandas_compat", "scipy.fftpack"),
    *("pandas.io.formats.csvs", "pandas.core.methods.to_dict", "pandas.core.reshape.reshape", "av.subtitles.stream"),
    *("sqlalchemy.dialects.sqlite", "sagemaker_mlflow.mlflow_sagemaker_registry_store", "alembic.command"),
    *("hydra._internal.logging_config", "torch.utils.serialization.config", "fsspec.implementations.chained"),
    # PyTorch imports it at the end of a process.
    "tabulate",
)
# Modules that set the environment of their program, or need what is not imported here.
NOT_IMPORTED = (".__main__", ".wandb", ".mlflow", ".google")
# What the image of the server has: an isolated program, such as the check of a package, sees nothing else of these.
ISOLATED = (
    *("cv2", "flatbuffers", "google", "ml_dtypes", "numpy", "onnx", "onnxruntime", "packaging", "PIL", "scipy"),
    *("typing_extensions", "yaml", "_yaml"),
)
# Programs that start no others, and need no template.
ALONE = ("package_probe.py", "fer.serving", "fer.trackers", "fer.config", "fer.compare", "fer.client")
# These start others only where an argument says so; what they start without a template takes its time, and works.
MOSTLY_ALONE = ("train.py", "infer.py")
STARTING = ("-m", "--multirun", "ddp", "devices", "tracker", "route", "aws", "models:/", "resume=", "experiment=")
# Not among the libraries, and only one program needs it.
NEED_STREAMLIT = ("fer.app.pages", "fer.app.entry")
MAX_ORDER, MAX_DESCRIPTORS = 1 << 20, 32
# Descriptors from here on are in nobody's way.
HIGH = 200
_hidden: list[Any] = []
HUGE_PAGE = 2 << 20
# madvise(2), since Linux 6.1; Python has no name for it yet.
MADV_COLLAPSE = 25
# SIGCHLD tells the parent of the end, as fork does.
CLONE_PARENT = 0x00008000
PR_SET_NAME = 15


def _serve(connection: socket.socket) -> NoReturn:
    """Fork a copy for each order that comes."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        message, control, _, _ = connection.recvmsg(MAX_ORDER, socket.CMSG_SPACE(MAX_DESCRIPTORS * 4))
        if not message:
            os._exit(0)
        received = array.array("i", control[0][2]).tolist()
        pid = _clone_sibling()
        if pid == 0:
            order = json.loads(message)
            if order["session"]:
                os.setsid()
            # Not before: who asked may kill the whole group at once, and must not be in it.
            connection.send(str(os.getpid()).encode())
            connection.close()
            _leave(_become(order, received))
        if pid < 0:
            raise OSError("no copy of the template could be made")
        for descriptor in received:
            os.close(descriptor)


def _clone_sibling() -> int:
    """Fork a child of this process's parent; 0 in the child."""
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = int(ctypes.PyDLL(None).syscall(SYS_CLONE, CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0))
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
    else:
        ctypes.pythonapi.PyOS_AfterFork_Parent()
    return pid


def _become(order: Mapping[str, Any], received: Sequence[int]) -> int:
    """Run the ordered program as a fresh process would; its exit code."""
    what, *arguments = order["command"]
    name = arguments[0] if what == "-m" else Path(what).name
    if _may_start_others(name, arguments):
        # In the new session: whoever ends its processes ends what they start, too.
        _fork_template(received)
    _place(received, order["descriptors"])
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
    # Its command line stays the template's; by this name a test finds it.
    if "RANK" in order["environment"]:
        name = f"rank-{order['environment']['RANK']}"
    ctypes.CDLL(None).prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)
    try:
        sys.path = [*_build_search_path(order), *(path for path in sys.path[1:] if path != str(PROJECT))]
        _forget_project_unless_found()
        if "-I" in order["flags"]:
            _hide_libraries()
        elif WITHOUT_REPORT_ENV in os.environ:
            importlib.import_module("fer.train.results").write_report = lambda *_, **__: None
        if what == "-m":
            sys.argv = arguments
            runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
        elif what == "-c":
            sys.argv = ["-c"]
            exec(arguments[0], {"__name__": "__main__"})
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


def _may_start_others(name: str, arguments: Sequence[str]) -> bool:
    if name in MOSTLY_ALONE:
        return any(word in argument for argument in arguments for word in STARTING)
    return name not in ALONE


def _place(received: Sequence[int], numbers: Sequence[int]) -> None:
    """Give descriptors the numbers that they have in the process that asked."""
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, HIGH) for descriptor in received]
    for descriptor in received:
        os.close(descriptor)
    for descriptor, number in zip(high, numbers, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)


def _build_search_path(order: Mapping[str, Any]) -> list[str]:
    """The entries of sys.path before those of the interpreter."""
    if "-I" in order["flags"]:
        return []
    what = order["command"][0]
    start = {"-m": order["cwd"], "-c": ""}.get(what, str(Path(what).resolve().parent))
    first = [] if "-P" in order["flags"] else [start]
    return [*first, *filter(None, order["environment"].get("PYTHONPATH", "").split(os.pathsep))]


def _forget_project_unless_found() -> None:
    """Leave the project's modules to be imported where the search path leads to others than those of the template."""
    found = importlib.machinery.PathFinder.find_spec("fer", sys.path)
    if found is None or found.origin != str(PROJECT / "fer" / "__init__.py"):
        for name in [name for name in sys.modules if name == "fer" or name.startswith("fer.")]:
            del sys.modules[name]


def _hide_libraries() -> None:
    """Leave to be imported what an isolated program must not have by chance. The modules live on: some cannot end."""
    kept = {*sys.stdlib_module_names, *sys.builtin_module_names, *ISOLATED, "__main__"}
    for name in [name for name in sys.modules if name.partition(".")[0] not in kept]:
        _hidden.append(sys.modules.pop(name))


def _import_project() -> None:
    """Import the project's modules, prepare what its pages are made of, and gather what a configuration may name."""
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
    importlib.import_module("fer.reports.plotly").compress_plotly()
    # Hydra's grammar, the project's keys, timm's architectures and AWS's services are the same in every program.
    parse_once()
    importlib.import_module("tests.helpers.mlflow_tables").copy_tables()
    importlib.import_module("mlflow.store.db.utils")._get_latest_schema_revision()
    load_overrides = importlib.import_module("fer.config.compose").load_overrides
    load_overrides([])
    settings = load_overrides(["aws=sagemaker", "aws.bucket=any", "aws.region=us-east-1"], "infer").aws
    importlib.import_module("fer.aws.settings").connect(settings, dry_run=True)


def _fork_template(received: Sequence[int]) -> None:
    """Leave a template behind for what this process will start, before it is anything else than libraries."""
    local, remote = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        local.close()
        for descriptor in received:
            os.close(descriptor)
        _serve(remote)
    remote.close()
    ask_for_copies(socket.socket(fileno=fcntl.fcntl(local.fileno(), fcntl.F_DUPFD_CLOEXEC, HIGH)))
    local.close()


def _collapse_pages() -> None:
    """Have the kernel put what this process holds onto huge pages, where it can.

    Forking copies a table's entry a page, and an end drops it again: of 4 KiB each these are two hundred thousand.
    """
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, access, _, _, file, *_ = line.split()
        start, end = (int(address, 16) for address in addresses.split("-"))
        start, end = -(-start // HUGE_PAGE) * HUGE_PAGE, end // HUGE_PAGE * HUGE_PAGE
        if access == "rw-p" and file == "0" and start < end:
            libc.madvise(start, end - start, MADV_COLLAPSE)


def _leave(code: int) -> NoReturn:
    """End as the interpreter does, but for taking all libraries apart, which takes two seconds."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Import the libraries and the project, and serve as the template of who started this process."""
    gc.disable()
    # timm imports W&B where it is installed: a directory that it makes then would go with the first copy that ends.
    sys.modules["wandb"] = None  # type: ignore[assignment]
    for library in LIBRARIES:
        importlib.import_module(library)
    _import_project()
    del sys.modules["wandb"]
    # PyTorch's launcher names the caller in each event of a rendezvous, and reads the sources of all modules for it.
    rendezvous = importlib.import_module("torch.distributed.elastic.rendezvous.dynamic_rendezvous")
    rendezvous.get_method_name = lambda depth=2: f"caller {depth}"
    # Taking PyTorch's two hundred libraries of operators apart takes a fifth of the time of a program that refuses.
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        finalizer.atexit = False
    # The collector then passes over what the libraries have made, and copies none of its pages.
    gc.collect()
    gc.freeze()
    gc.set_threshold(30_000, 50, 100)
    gc.enable()
    _collapse_pages()
    connection = socket.socket(fileno=int(sys.argv[1]))
    connection.send(READY)
    _serve(connection)


if __name__ == "__main__":
    main()
