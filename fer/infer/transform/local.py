"""Batch transform on this machine: the packaged model, in a server that is a process of its own."""

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
from fer.core.installation import with_project_path
from fer.core.io import atomic_write
from fer.core.progress import track_progress
from fer.errors import UserError, shorten_error
from fer.infer.transform.shards import Request

STOP_TIMEOUT_S, POLL_INTERVAL_S = 30.0, 0.05
LOG_LINES = 5
log = logging.getLogger(__name__)
# A line a request says nothing that the progress does not.
logging.getLogger("httpx2").setLevel(logging.WARNING)


class LocalBatchTransform:
    """Sends requests to the model of an unpacked package, several at a time.

    Args:
        package: Directory of the package.
        cfg: How many at a time, and how long each may take.
        threads: Threads of the model.
        flip: Take the mean over each face and its mirror image.
        log_file: Where the server's log goes.
    """

    def __init__(self, package: Path, cfg: LocalTransform, threads: int, flip: bool, log_file: Path) -> None:
        self.cfg, self.log_file = cfg, log_file
        # Whatever this program's own environment says: as SageMaker's containers compute it.
        settings = {"FER_THREADS": str(threads), "FER_FLIP": str(int(flip)), "FER_RUNTIME": "onnx"}
        self.arguments = ["--model", str(package.absolute()), "--port", "0", "--attached"]
        self.environment = {**with_project_path(os.environ), **settings}

    def send(self, requests: Sequence[Request], content_type: str) -> None:
        """Start a server and have each request answered into its ``.out``.

        Args:
            requests: One that fails is left without an answer; the reason is logged.
            content_type: Of their bodies.

        Raises:
            UserError: The server does not start, or refuses what is sent.
        """
        with self.run_server() as address:
            self.send_to(address, requests, content_type)

    def send_to(self, address: str, requests: Sequence[Request], content_type: str) -> None:
        """The same through a server that runs already."""
        headers = {"Content-Type": content_type, "Accept": "application/jsonlines"}
        workers = min(self.cfg.max_concurrent, len(requests))
        with (
            _build_client(address, self.cfg.timeout_s, headers) as client,
            ThreadPoolExecutor(workers) as pool,
        ):
            futures = {pool.submit(_send_request, client, request): request for request in requests}
            try:
                self._log_failures(futures)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _log_failures(self, futures: dict[Future[None], Request]) -> None:
        """Wait for all requests, and log those that may be tried again. Raises UserError for others."""
        total = sum(len(request.sample_ids) for request in futures.values())
        completed = track_progress(
            as_completed(futures), total, "Faces", "faces", size=lambda future: len(futures[future].sample_ids)
        )
        for future in completed:
            try:
                future.result()
            except httpx2.HTTPError as error:
                log.warning("%s: no answer (%s)", futures[future].path.name, shorten_error(error))

    @contextmanager
    def run_server(self) -> Iterator[str]:
        """The address of a server of the package, for as long as the block lasts."""
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as errors:
            # A package may come from anybody: nothing is imported from its directory, nor from that of the run.
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "fer.serving", *self.arguments],
                cwd="/",
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
                process.wait(STOP_TIMEOUT_S)
                raise UserError(f"the server of the packaged model did not start: {self._read_log_tail()}")
            address = first.split()[-1]
            self._wait_until_ready(address, process)
            yield address
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _wait_until_ready(self, address: str, process: "subprocess.Popen[str]") -> None:
        """Wait until the model has answered its samples. Raises UserError where the server ends instead."""
        while process.poll() is None:
            # A connection of its own each time: one that stays open would keep a server from ending.
            with suppress(httpx2.TransportError), _build_client(address, self.cfg.timeout_s) as client:
                if client.get("/ping").status_code == httpx2.codes.OK:
                    return
            time.sleep(POLL_INTERVAL_S)
        raise UserError(f"the server of the packaged model ended: {self._read_log_tail()}")

    def _read_log_tail(self) -> str:
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return " ".join(lines[-LOG_LINES:]) or f"see {self.log_file}"


def _build_client(address: str, timeout_s: float, headers: dict[str, str] | None = None) -> httpx2.Client:
    """A client that reaches the server directly, whatever proxy this machine has for others."""
    return httpx2.Client(base_url=address, headers=headers, timeout=timeout_s, trust_env=False)


def _send_request(client: httpx2.Client, request: Request) -> None:
    """Write the answer. Raises httpx2.HTTPError where it may be tried again, UserError where that is of no use."""
    response = client.post("/invocations", content=request.path.read_bytes())
    if 400 <= response.status_code < 500:
        raise UserError(f"{request.path}: the model's server refuses it: {response.text.strip()[:300]}")
    response.raise_for_status()
    with atomic_write(request.output_path) as temporary:
        temporary.write_bytes(response.content)
