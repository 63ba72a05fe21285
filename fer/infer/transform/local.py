"""Batch transform on this machine: the packaged model, served by a process of its own."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2

from fer.config.aws import LocalTransform
from fer.core.io import written_beside
from fer.core.progress import progress
from fer.core.system import PROJECT
from fer.errors import UserError, first_line
from fer.infer.transform.shards import Request

STOP_S, LOOK_S = 30.0, 0.05
LOG_LINES = 5
log = logging.getLogger(__name__)
# A line a request says nothing that the progress does not.
logging.getLogger("httpx2").setLevel(logging.WARNING)


class LocalBatch:
    """Sends requests to the model of an unpacked ``package``, several at a time."""

    def __init__(self, package: Path, chosen: LocalTransform, threads: int, flip: bool, log_file: Path) -> None:
        self.package, self.chosen, self.log_file = package, chosen, log_file
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(PROJECT),
            "FER_THREADS": str(threads),
            "FER_FLIP": str(int(flip)),
        }

    def send(self, requests: Sequence[Request], content_type: str) -> None:
        """Have each request answered into its ``.out``. One that fails is left without; the reason is logged.

        Raises UserError where the server does not start, or refuses what is sent.
        """
        with self.server() as address:
            self.send_to(address, requests, content_type)

    def send_to(self, address: str, requests: Sequence[Request], content_type: str) -> None:
        """The same through a server that runs already."""
        headers = {"Content-Type": content_type, "Accept": "application/jsonlines"}
        workers = min(self.chosen.max_concurrent, len(requests))
        with (
            client_of(address, self.chosen.timeout_s, headers) as client,
            ThreadPoolExecutor(workers) as pool,
        ):
            waiting = {pool.submit(ask, client, request): request for request in requests}
            try:
                self.collect(waiting)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def collect(self, waiting: dict[Future[None], Request]) -> None:
        total = sum(len(request.ids) for request in waiting.values())
        shown = progress(as_completed(waiting), total, "Faces", "faces", size=lambda done: len(waiting[done].ids))
        for done in shown:
            try:
                done.result()
            except httpx2.HTTPError as error:
                log.warning("%s: no answer (%s)", waiting[done].path.name, first_line(error))

    @contextmanager
    def server(self) -> Iterator[str]:
        """The address of a server of the package, for as long as the block lasts."""
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "fer.serving", "--model", str(self.package), "--port", "0", "--attached"],
                cwd=self.package,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            if " on http://" not in first:
                process.wait(STOP_S)
                raise UserError(f"the server of the packaged model did not start: {self.last_words()}")
            address = first.split()[-1]
            self.until_ready(address, process)
            yield address
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def until_ready(self, address: str, process: "subprocess.Popen[str]") -> None:
        """Until the model has answered its samples. Raises UserError where the server ends instead."""
        while process.poll() is None:
            # A connection of its own each time: one that stays open would keep a server from ending.
            with suppress(httpx2.TransportError), client_of(address, self.chosen.timeout_s) as client:
                if client.get("/ping").status_code == httpx2.codes.OK:
                    return
            time.sleep(LOOK_S)
        raise UserError(f"the server of the packaged model ended: {self.last_words()}")

    def last_words(self) -> str:
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return " ".join(lines[-LOG_LINES:]) or f"see {self.log_file}"


def client_of(address: str, timeout_s: float, headers: dict[str, str] | None = None) -> httpx2.Client:
    """A client that asks the server itself, whatever proxy this machine has for others."""
    return httpx2.Client(base_url=address, headers=headers, timeout=timeout_s, trust_env=False)


def ask(client: httpx2.Client, request: Request) -> None:
    """Raises httpx2.HTTPError where it may be tried again, UserError where that is of no use."""
    answer = client.post("/invocations", content=request.path.read_bytes())
    if 400 <= answer.status_code < 500:
        raise UserError(f"{request.path}: the model's server refuses it: {answer.text.strip()[:300]}")
    answer.raise_for_status()
    with written_beside(request.out) as beside:
        beside.write_bytes(answer.content)
