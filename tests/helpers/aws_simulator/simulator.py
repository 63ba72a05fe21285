"""AWS for tests, over real HTTP: moto's server, as strict as AWS, with jobs that do what they are asked to.

`python -m tests.helpers.aws_simulator.simulator --port 0` serves until it is ended, `simulated_aws()` around a test.
"""

import argparse
import os
import signal
import socket
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
import requests
from botocore.config import Config
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from tests.helpers.aws_simulator import strictness
from tests.helpers.aws_simulator.endpoints import Endpoints
from tests.helpers.aws_simulator.faults import Faults
from tests.helpers.aws_simulator.front import Front
from tests.helpers.aws_simulator.processing_jobs import ProcessingJobs
from tests.helpers.aws_simulator.scaling import Scaling
from tests.helpers.aws_simulator.training_jobs import TrainingJobs
from tests.helpers.aws_simulator.transform_jobs import Jobs
from tests.helpers.aws_simulator.tuning_jobs import TuningJobs
from tests.helpers.paths import PROJECT

REGION = "us-east-1"
STARTED = "Simulating AWS on "


class Handler(MotoRequestHandler):
    """Resets a connection where the application says so; keeps no log of requests."""

    def connection_dropped(self, error: BaseException, environ: dict[str, Any] | None = None) -> None:
        # Closed with nothing lingering, a socket sends RST.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        pass


def serve(port: int) -> None:
    """Serve on 127.0.0.1 until SIGTERM or SIGINT."""
    faults = Faults()
    trainings = TrainingJobs(faults.interruption)
    # A tuning ends before its trainings do.
    endpoints = Endpoints()
    jobs_of_all_kinds = (Jobs(faults.for_job), ProcessingJobs(faults.for_job), TuningJobs(trainings), trainings)
    kinds = (*jobs_of_all_kinds, endpoints, Scaling(endpoints))
    strictness.install()
    for jobs in kinds:
        jobs.install()

    def end_all() -> None:
        for jobs in kinds:
            jobs.end_all()

    def reset() -> None:
        end_all()
        BackendDict.reset()
        reset_model_data()
        strictness.forget()

    app = Front(DomainDispatcherApplication(create_backend_app), endpoints, faults, reset)
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=Handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"{STARTED}http://127.0.0.1:{server.port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        end_all()


@dataclass(frozen=True)
class Simulated:
    """A simulator that runs. ``environment`` is what a program needs to find it."""

    url: str
    environment: dict[str, str]

    def client(self, service: str, attempts: int = 1, **config: Any) -> Any:
        """boto3's client of a service; it tries ``attempts`` times, once by default, so that faults are seen."""
        return client_of(self.url, service, attempts, **config)

    def fault(self, kind: str, **fields: Any) -> None:
        """Switch a fault on: fields of tests.helpers.aws_simulator.faults.Fault."""
        self.ask("POST", "faults", {"kind": kind, **fields})

    def faults(self) -> list[dict[str, Any]]:
        """The faults that are still on."""
        return list(self.ask("GET", "faults"))

    def clear_faults(self) -> None:
        self.ask("DELETE", "faults")

    def calls(self) -> Counter[str]:
        """How often each operation was called, by `service:Operation`."""
        return Counter({f"{call['service']}:{call['operation']}": call["count"] for call in self.ask("GET", "calls")})

    def walked(self) -> set[str]:
        """The operations, `service:Operation`, whose requests kept to AWS's descriptions; a reset forgets none."""
        return set(self.ask("GET", "walked"))

    def reset(self) -> None:
        """Forget everything else; jobs end."""
        self.ask("POST", "reset")

    def ask(self, method: str, what: str, content: Any = None) -> Any:
        answer = requests.request(method, f"{self.url}/simulator/{what}", json=content, timeout=60)
        if answer.status_code != 200:
            raise ValueError(answer.json()["error"])
        return answer.json()


@cache
def client_of(url: str, service: str, attempts: int, **config: Any) -> Any:
    return boto3.client(
        service,
        region_name=REGION,
        endpoint_url=url,
        aws_access_key_id="simulated",
        aws_secret_access_key="simulated",
        config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}, **config),
    )


@contextmanager
def simulated_aws() -> Iterator[Simulated]:
    """A simulator in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.aws_simulator.simulator", "--port", "0"],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith(STARTED):
            raise RuntimeError(f"the simulator did not start: {line!r}")
        url = line.removeprefix(STARTED).strip()
        keys = {
            "AWS_ACCESS_KEY_ID": "simulated",
            "AWS_SECRET_ACCESS_KEY": "simulated",
            "AWS_SESSION_TOKEN": "simulated",
        }
        files = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        where = {"AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true"}
        yield Simulated(url, {**keys, **files, **where})
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.helpers.aws_simulator.simulator", description="AWS for tests"
    )
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    serve(parser.parse_args().port)


if __name__ == "__main__":
    main()
