"""What programs import before they need it: a start is paid by every command, every refusal and every job."""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fer.core.garbage import pause_garbage_collection
from tests.helpers.paths import PROJECT

SLOW = ("torch", "timm", "numpy", "pandas", "scipy", "matplotlib", "cv2", "pynvml")
REPORT = "import atexit, json, sys; atexit.register(lambda: print(json.dumps(sorted(sys.modules))))\n"


def list_imported(code: str, *arguments: str, cwd: Path | None = None) -> set[str]:
    """Run code with a command line and return the modules that its process has imported in the end."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-c", REPORT + code, *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["optimizer.lrr=1"], ["--cfg", "job"], ["-m", "optimizer.lr=-1,1e-3"]])
def test_what_needs_no_training_imports_nothing_of_one(arguments: list[str], tmp_path: Path) -> None:
    imported = list_imported("from fer.cli.train import run; run()", *arguments, cwd=tmp_path)
    assert "hydra" in imported
    assert not imported & set(SLOW)


@pytest.mark.slow
def test_inference_imports_what_its_input_needs() -> None:
    code = (
        "import fer.infer.pipeline\n"
        "from fer.video.detectors import Face; from fer.video.tracker import FaceTracker\n"
        "FaceTracker().update([Face(0, 0, 9, 9, 1.0)], 0.0)"
    )
    imported = list_imported(code)
    assert "onnxruntime" in imported
    assert not imported & {"torch", "timm", "matplotlib", "scipy.stats", "supervision", "trackers", "scenedetect"}


def test_no_garbage_is_looked_for_during_imports() -> None:
    assert gc.isenabled()
    with pause_garbage_collection():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
    gc.unfreeze()
