"""Programs that start quickly: a process that has imported their libraries forks a child for each of them.

Importing PyTorch, Lightning and OpenCV takes most of the time of a short program. A child still is a process of its
own that runs the program's file or module as `__main__`, with its own arguments, directory, environment, streams and
exit code. Only libraries are imported beforehand: the project's own modules are read by each program.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from tests.helpers.paths import PROJECT
from tests.helpers.programs import Done, environment

LIBRARIES = (
    *("torch", "torchvision", "timm", "pytorch_lightning", "torchmetrics", "safetensors.torch"),
    *("cv2", "av", "imagehash", "matplotlib.pyplot", "pandas", "plotly.offline", "pyarrow.parquet"),
    *("scipy.stats", "scipy.signal", "supervision", "trackers", "hydra.main", "omegaconf", "pydantic"),
    *("boto3.s3.transfer", "httpx2", "jinja2"),
)
LONGEST_S = 300
READY = "ready"


@cache
def forker() -> "subprocess.Popen[str]":
    """The process with the libraries; it ends with this one, whose end of its input is closed then."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.forkserver"],
        cwd=PROJECT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert answer(process) == READY
    return process


def run_forked(*command: str, cwd: Path, surroundings: Mapping[str, str]) -> Done:
    """Run `python COMMAND…` to its end, a script or a module; ``surroundings`` is its environment."""
    process = forker()
    with tempfile.TemporaryDirectory() as place:
        streams = [str(Path(place, name)) for name in ("stdout", "stderr")]
        order = {"command": command, "cwd": str(cwd), "environment": dict(surroundings)}
        assert process.stdin is not None
        process.stdin.write(json.dumps({**order, "streams": streams}) + "\n")
        process.stdin.flush()
        code = int(answer(process))
        out, error = (Path(stream).read_text(encoding="utf-8", errors="replace") for stream in streams)
    return subprocess.CompletedProcess(command, code, out, error)


def answer(process: "subprocess.Popen[str]") -> str:
    """The next line of the process, which is ended where none comes in time."""
    assert process.stdout is not None
    if not select.select([process.stdout], [], [], LONGEST_S)[0]:
        process.kill()
        raise TimeoutError(f"no answer in {LONGEST_S} s")
    return process.stdout.readline().strip()


def serve() -> None:
    """Fork a child for each order on standard input."""
    for library in LIBRARIES:
        importlib.import_module(library)
    # The collector then passes over what the libraries have made, and copies none of its pages.
    gc.collect()
    gc.freeze()
    print(READY, flush=True)
    # Not line by line through a buffer that a child would inherit half read.
    while line := sys.stdin.readline():
        child = os.fork()
        if child == 0:
            leave(become(json.loads(line)))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def become(order: Mapping[str, Any]) -> int:
    """Run the ordered program as a fresh process would; its exit code."""
    for number, name in enumerate(("/dev/null", *order["streams"])):
        opened = os.open(name, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0, closefd=False)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["cwd"])
    what, *arguments = order["command"]
    try:
        if what == "-m":
            sys.argv, sys.path[0] = arguments, order["cwd"]
            runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
        else:
            sys.argv, sys.path[0] = [what, *arguments], str(Path(what).parent)
            runpy.run_path(what, run_name="__main__")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def leave(code: int) -> NoReturn:
    """End as the interpreter does, but for taking all libraries apart, which takes two seconds."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    serve()
