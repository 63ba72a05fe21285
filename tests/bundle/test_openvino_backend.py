"""OpenVINO: full precision, the threads asked for, the same bytes each time, and no word to anybody."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fer.bundle import onnx_export, openvino_backend
from fer.core import extras
from fer.core.openvino_import import import_openvino
from fer.errors import UserError
from fer.serving import Predictor
from tests.helpers.networks import faces
from tests.helpers.paths import PROJECT

pytestmark = pytest.mark.slow
openvino = import_openvino()


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What OpenVINO compiles during the test."""
    models: list[Any] = []

    class Core(openvino.Core):
        def compile_model(self, *arguments: Any) -> Any:
            models.append(super().compile_model(*arguments))
            return models[-1]

    recording = ModuleType("openvino")
    recording.Core = Core  # type: ignore[attr-defined]
    monkeypatch.setattr(openvino_backend, "import_openvino", lambda: recording)
    return models


def test_it_reads_the_file_of_onnx_runtime(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    run = str(runs["gray"])
    Predictor.load(run, runtime="onnx")
    monkeypatch.setattr(onnx_export, "export_onnx", None)
    Predictor.load(run, runtime="openvino")


def test_it_computes_in_full_precision_with_the_threads_asked_for(runs: dict[str, Path], compiled: list[Any]) -> None:
    for threads in (None, 1, 2):
        Predictor.load(str(runs["gray"]), runtime="openvino", threads=threads)
    for model in compiled:
        assert model.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.f32
        assert model.get_property("DYNAMIC_QUANTIZATION_GROUP_SIZE") == 0
        assert (model.get_property("NUM_STREAMS"), model.get_property("ENABLE_CPU_PINNING")) == (1, False)
    assert [model.get_property("INFERENCE_NUM_THREADS") for model in compiled[1:]] == [1, min(2, os.cpu_count() or 2)]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_later_start_gives_the_same_bytes(threads: int, runs: dict[str, Path]) -> None:
    """As a run that was killed and goes on: what it has finished and what it adds come from one model."""
    pictures = list(faces(24, 64, 3))
    first, second = (Predictor.load(str(runs["colour"]), runtime="openvino", threads=threads) for _ in range(2))
    expected = first.predict(pictures, batch_size=8)
    np.testing.assert_array_equal(second.predict(pictures[16:], batch_size=8), expected[16:])
    np.testing.assert_array_equal(first.predict(pictures, batch_size=8), expected)


def test_two_threads_may_ask_at_once(runs: dict[str, Path]) -> None:
    predictor = Predictor.load(str(runs["gray"]), runtime="openvino", threads=1)
    batches = [list(faces(8, 48, 1, seed)) for seed in range(8)]
    expected = [predictor.predict(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        np.testing.assert_array_equal(list(pool.map(predictor.predict, batches)), expected)


def test_an_installation_without_it_says_what_to_install(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "_is_importable", lambda _: False)
    with pytest.raises(UserError) as raised:
        Predictor.load(str(runs["gray"]), runtime="openvino")
    assert str(raised.value) == (
        "inference.runtime=openvino: needs openvino; install it with pip install 'fer-experiments[export]'"
    )


QUIET = """
import socket, sys
from pathlib import Path

def refuse(*_):
    Path.home().joinpath("asked").touch()
    raise OSError("no network")

socket.getaddrinfo = socket.socket.connect = refuse
from fer.serving import Predictor
Predictor.load(sys.argv[1], runtime="openvino")
assert not {"torch", "onnxruntime", "openvino_telemetry.main"} & {*sys.modules}
assert sys.modules["openvino_telemetry"] is None
"""


def test_it_needs_no_pytorch_and_reports_to_nobody(runs: dict[str, Path], tmp_path: Path) -> None:
    """By default `import openvino` alone writes an id into the home directory, and sends it in a process of its own."""
    run = str(runs["gray"])
    Predictor.load(run, runtime="openvino")
    # OpenVINO keeps quiet by itself in some tests' surroundings.
    known = {name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD", "JENKINS_URL")}
    command = [sys.executable, "-c", QUIET, run]
    done = subprocess.run(command, cwd=PROJECT, env={**known, "HOME": str(tmp_path)}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(tmp_path.iterdir())
