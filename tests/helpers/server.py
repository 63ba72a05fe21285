"""Packages to serve, servers to ask, and what they answer."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.serving import send_get
from fer.bundle.io import FaceFormat
from fer.bundle.reference_samples import ReferenceSamples, write_samples
from fer.bundle.verification import load_verified_predictor
from fer.models.network import FaceNetwork
from fer.serving import Predictor
from fer.serving.app import Service
from fer.serving.settings import STOP_S
from fer.serving.stopping import BoundedServer
from tests.helpers.networks import SMALL, faces, lively
from tests.helpers.paths import PROJECT
from tests.helpers.programs import png
from tests.helpers.served_runs import run_of

PNG, JPEG, TAR = "image/png", "image/jpeg", "application/x-tar"
# Nothing here takes a tenth of it; a server that hangs must not hang the tests.
PATIENCE_S = 120


def packaged(folder: Path, native: FaceFormat) -> Path:
    """A directory laid out as an unpacked package: the bundle with its exported network and its samples."""
    run_of(folder, lively(FaceNetwork(SMALL, 7, 48, 0.0)), native)
    predictor = Predictor.load(str(folder / "bundle"), runtime="onnx", threads=1)
    images = faces(4, native.side, 3, 5)
    write_samples(folder / "bundle", ReferenceSamples(images, predictor.predict(list(images))))
    return folder


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


@dataclass(frozen=True)
class Answer:
    status: int
    content: bytes
    headers: dict[str, str]

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.content.splitlines()]

    @property
    def error(self) -> str:
        (error,) = json.loads(self.content).values()
        return error


def post(port: int, kind: str | None, body: Any, **headers: str) -> Answer:
    """One invocation; a ``body`` that is an iterator goes in chunks, without a length."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        types = {} if kind is None else {"Content-Type": kind}
        connection.request("POST", "/invocations", body, {**types, **headers}, encode_chunked=True)
        response = connection.getresponse()
        return Answer(response.status, response.read(), {key.lower(): value for key, value in response.getheaders()})
    finally:
        connection.close()


def probabilities_of(line: dict[str, Any]) -> np.ndarray:
    return np.array(list(line["probabilities"].values()))


def wait_until(holds: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < until, f"waited in vain: {what}"
        time.sleep(0.01)


def metric(port: int, name: str) -> float:
    """The value of one line of /metrics, 0 where there is none yet."""
    page = send_get(port, "/metrics")[1].decode()
    return next((float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith(f"{name} ")), 0.0)


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[str]
    port: int
    line: str
    log: Path


@contextlib.contextmanager
def server(folder: Path, *arguments: str, **environment: str) -> Iterator[Server]:
    """`python -m fer.serving ARGUMENTS`, ready to answer; its log is written into ``folder``."""
    log = folder / "server.log"
    process = launched(log, *arguments, **environment)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Serving "), log.read_text()
        port = int(line.rsplit(":", 1)[1])
        wait_until(lambda: process.poll() is not None or send_get(port, "/ping")[0] == 200, "/ping")
        assert process.poll() is None, log.read_text()
        yield Server(process, port, line, log)
    finally:
        process.kill()
        process.communicate()


def launched(log: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    known = {**os.environ, "PYTHONPATH": str(PROJECT), "FER_THREADS": "1"}
    with log.open("w") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "fer.serving", *arguments],
            env={**known, **environment},
            cwd=log.parent,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        )


@contextlib.contextmanager
def within(service: Service) -> Iterator[int]:
    """The port of a real server around ``service`` in this process, so that a test can change what it serves."""
    running = BoundedServer(service.build_app(), STOP_S)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=running.run, args=([listener],))
    thread.start()
    try:
        wait_until(lambda: running.started, "the server")
        yield listener.getsockname()[1]
    finally:
        running.should_exit = True
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def service_of(model: Path) -> Service:
    """A service for a model; fails where the model cannot be loaded."""
    return Service(lambda: load_verified_predictor(str(model), 1), flip=False, on_failure=lambda: None)


@contextlib.contextmanager
def loaded(model: Path) -> Iterator[tuple[Service, int]]:
    """A service for a model, ready to answer in this process, and its port."""
    service = service_of(model)
    with within(service) as port:
        wait_until(lambda: send_get(port, "/ping")[0] == 200, "the model")
        yield service, port


def gray_png(seed: int, side: int = 48) -> bytes:
    return png(faces(1, side, 1, seed)[0][..., 0])
