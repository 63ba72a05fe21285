"""Running the programs as a user does, and reading what they leave."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from fer.emotions import EMOTIONS
from fer.synthetic import draw_dataset_face
from tests.helpers.paths import PROJECT

LONGEST_S = 300
INFER = str(PROJECT / "infer.py")
Done = subprocess.CompletedProcess[str]
Program = Callable[..., Done]
# Large enough to have every class, small enough for a run of seconds on one core. The network is a tiny one of the
# kind of MobileNetV2, with batch norm and depthwise convolutions.
FAST = (
    "dataset.sources.synthetic.count=140",
    "dataset.sources.synthetic.size=48",
    "dataset.batch_size=32",
    "model.name=test_efficientnet",
    "model.image_size=48",
    "trainer=cpu",
    "trainer.threads=1",
)
FAST_ANY_DATA = FAST[2:]
# Those of the drawn clip are larger, and Haar finds them in a third of the time.
LARGE_FACES = "extraction.detector.min_size=80"
PROBABILITIES = [f"p_{name}" for name in EMOTIONS]
SMOOTHED = [f"s_{name}" for name in EMOTIONS]


def environment() -> dict[str, str]:
    """No program that a test runs may ask the network for anything."""
    return {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1"}


def run(*command: str, cwd: Path, surroundings: Mapping[str, str] | None = None) -> Done:
    """Run `python COMMAND…` to its end; what it leaves running may keep its streams."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=cwd,
            env=dict(surroundings or environment()),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=error,
        )
        try:
            code = process.wait(LONGEST_S)
        finally:
            process.kill()
        out.seek(0)
        error.seek(0)
        texts = (stream.read().decode(errors="replace") for stream in (out, error))
        return subprocess.CompletedProcess(command, code, *texts)


def start(*command: str, cwd: Path, surroundings: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start `python COMMAND…` in a process group of its own, output in one stream."""
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=cwd,
        env=surroundings or environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Until something has happened in a running program; fails when it ends before."""
    deadline = time.monotonic() + 200
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)


def metrics_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "metrics.json").read_text())


def provenance_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "provenance.json").read_text())


def table_of(run: Path) -> pd.DataFrame:
    return pd.read_parquet(run / "predictions.parquet")


def tables_are_the_same(one: Path, other: Path) -> bool:
    names = ("predictions.parquet", "predictions.csv", "videos.parquet")
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def face(index: int, size: int = 48) -> np.ndarray:
    return draw_dataset_face(9, index, size).image


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
