"""The real server over a real `model.tar.gz`, in a process of its own, as a container of SageMaker runs it."""

import io
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import requests

from tests.helpers.paths import PROJECT

LISTENING = re.compile(r"^Serving .* on (http://\S+)$")
HEALTHY_WITHIN = 60  # seconds until /ping must answer 200


class NotServing(Exception):
    """The server ended, or did not become healthy."""


class PackageServer:
    """Unpacks ``archive`` and serves it between ``with``; ``note`` gets each line that the server writes."""

    def __init__(self, archive: bytes, environment: dict[str, str], note: Callable[[str], None]) -> None:
        self.archive = archive
        self.environment = environment
        self.note = note
        self.url = ""
        self.listens = threading.Event()
        self.stopped = threading.Event()

    def __enter__(self) -> Self:
        self.place = tempfile.TemporaryDirectory(prefix="simulated-container-")
        try:
            with tarfile.open(fileobj=io.BytesIO(self.archive), mode="r:gz") as archive:
                archive.extractall(self.place.name, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            self.place.cleanup()
            raise NotServing(f"Failed to extract model data archive: {error}") from None
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fer.serving", "--model", self.place.name, "--host", "127.0.0.1", "--port", "0"],
            cwd=self.place.name,
            env={**os.environ, "PYTHONPATH": str(PROJECT), "OMP_WAIT_POLICY": "passive", **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        return self

    def read(self) -> None:
        """Note what the server writes, until it ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := LISTENING.match(line.strip()):
                self.url = found[1]
                self.listens.set()
            self.note(line.rstrip())
        self.listens.set()

    def wait_until_healthy(self) -> None:
        """Wait for /ping to answer 200. Raises NotServing."""
        self.listens.wait(HEALTHY_WITHIN)
        for _ in range(HEALTHY_WITHIN * 20):
            if self.process.poll() is not None or self.stopped.is_set():
                break
            try:
                if requests.get(f"{self.url}/ping", timeout=2).status_code == 200:
                    return
            except requests.RequestException:
                pass
            self.stopped.wait(0.05)
        raise NotServing("Model server did not respond to /ping health check")

    def kill(self) -> None:
        """End the process at once."""
        self.stopped.set()
        self.process.kill()
        self.process.wait()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()
        self.reader.join()
        self.place.cleanup()
