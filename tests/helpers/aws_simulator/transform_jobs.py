"""Transform jobs that do what SageMaker's do: the real package, over the real objects, into real `.out` objects."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.responses import EmptyResult
from moto.core.utils import utcnow
from moto.logs.models import logs_backends
from moto.sagemaker.exceptions import ResourceNotFound, ValidationError
from moto.sagemaker.models import SageMakerModelBackend
from moto.sagemaker.responses import SageMakerResponse

from tests.helpers.aws_simulator import storage
from tests.helpers.aws_simulator.job_checks import MB, Part, Served, check_job, limits_of, parts_of_input, served_by
from tests.helpers.aws_simulator.job_logs import put_line
from tests.helpers.aws_simulator.package_server import NotServing, PackageServer
from tests.helpers.aws_simulator.strictness import replace

GROUP = "/aws/sagemaker/TransformJobs"
CLIENT = "ClientError: See job logs for more information"
SERVER = "AlgorithmError: See job logs for more information"


class RunningJob:
    """One transform job at work; ``fault`` is one of tests.helpers.aws_simulator.faults.JOB, or None."""

    def __init__(self, region: str, job: Any, served: Served, fault: str | None) -> None:
        self.job = job
        self.served = served
        self.fault = fault
        self.stop = threading.Event()
        self.server: PackageServer | None = None
        self.lock = threading.Lock()
        self.logs = logs_backends[DEFAULT_ACCOUNT_ID][region]
        self.concurrent, payload = limits_of(vars(job))
        self.payload = payload * MB
        client = job.model_client_config or {}
        self.timeout = client.get("InvocationsTimeoutInSeconds") or 600
        self.retries = client.get("InvocationsMaxRetries", 3)
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        """Do the job; its status, times and reason of failure follow."""
        self.job.transform_start_time = utcnow()
        try:
            reason = self.transform_all()
        except (NotServing, ValueError) as error:
            reason = f"ClientError: {error}"
        except Exception as error:  # a fault of the simulator itself must not leave the job in progress for ever
            reason = f"InternalServerError: {type(error).__name__}: {error}"
        self.job.transform_end_time = self.job.last_modified_time = utcnow()
        if self.stop.is_set():
            self.job.transform_job_status = "Stopped"
            return
        self.job.failure_reason = reason
        self.job.transform_job_status = "Failed" if reason else "Completed"

    def transform_all(self) -> str | None:
        """Send all objects; returns why the job failed, None where all answered."""
        parts = parts_of_input(self.job.transform_input, self.job.transform_output)
        archive = storage.read(self.served.data_url)
        if archive is None:
            raise ValueError(f"Could not find model data at {self.served.data_url}")
        environment = {
            **{"SAGEMAKER_BATCH": "true", "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(self.payload // MB)},
            **{"SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": str(self.concurrent)},
            **self.served.environment,
            **(self.job.environment or {}),
        }
        half = len(parts) // 2 if self.fault else len(parts)
        with PackageServer(archive, environment, self.note) as self.server:
            if self.stop.is_set():
                return None
            self.server.wait_until_healthy()
            reasons = self.transform(parts[:half], self.sent)
            match self.fault:
                case "job_fails":
                    reasons += self.transform(parts[half:], self.failed)
                case "job_killed":
                    self.server.kill()
                    reasons += self.transform(parts[half:], self.sent)
                case "job_stuck":
                    self.stop.wait()
        return next(filter(None, reasons), None)

    def transform(self, parts: list[Part], send: Callable[[Part], str | None]) -> list[str | None]:
        """Why each object failed, None for those that are done."""
        with ThreadPoolExecutor(self.concurrent) as pool:
            return list(pool.map(send, parts))

    def sent(self, part: Part) -> str | None:
        """Send one object, and write its answer where it is a success."""
        body = storage.read(part.source) or b""
        if len(body) > self.payload:
            self.note(f"{part.source}: Too much data for max payload size", data=True)
            return CLIENT
        asked, output = self.job.transform_input, self.job.transform_output
        headers = {"Content-Type": asked.get("ContentType") or "application/octet-stream"}
        if accept := output.get("Accept"):
            headers["Accept"] = accept
        assert self.server is not None
        reason = SERVER
        for _ in range(1 + self.retries):
            if self.stop.is_set():
                return None
            try:
                url = f"{self.server.url}/invocations"
                answer = requests.post(url, data=body, headers=headers, timeout=self.timeout)
            except requests.RequestException as error:
                self.note(f"{part.source}: {type(error).__name__}: {error}", data=True)
                continue
            if answer.status_code == 200:
                storage.write(part.target, answer.content, output.get("KmsKeyId"))
                return None
            self.note(f"{part.source}: HTTP {answer.status_code}: {answer.text}", data=True)
            if answer.status_code < 500:
                return CLIENT
            reason = SERVER
        return reason

    def failed(self, part: Part) -> str:
        self.note(f"{part.source}: HTTP 500: simulated failure", data=True)
        return SERVER

    def note(self, line: str, data: bool = False) -> None:
        """A log event: of the container, or (``data``) of what SageMaker itself did with the objects."""
        stream = f"{self.job.transform_job_name}/i-simulated{'/data-log' if data else ''}"
        text = f"[sagemaker logs]: {line}" if data else line
        with self.lock:
            put_line(self.logs, GROUP, stream, text)

    def end(self) -> None:
        """Stop the job and wait for it."""
        self.stop.set()
        if self.server is not None:
            self.server.kill()
        self.thread.join()


class Jobs:
    """All transform jobs of the simulator."""

    def __init__(self, next_fault: Callable[[], str | None]) -> None:
        self.next_fault = next_fault
        self.running: dict[str, RunningJob] = {}

    def install(self) -> None:
        """Make moto in this process run transform jobs."""
        backend: Any = SageMakerModelBackend
        response: Any = SageMakerResponse
        replace(backend, "create_transform_job", self.create)
        replace(backend, "stop_transform_job", self.stop)
        response.stop_transform_job = respond_stop

    def create(self, original: Any, backend: Any, **given: Any) -> Any:
        check_job(backend, given)
        job = original(backend, **given)
        job.transform_job_status = "InProgress"
        job.transform_start_time = job.transform_end_time = None
        job.failure_reason = job.labeling_job_arn = job.auto_ml_job_arn = None
        served = served_by(backend, given["model_name"])
        running = RunningJob(backend.region_name, job, served, self.next_fault())
        self.running[job.arn] = running
        running.thread.start()
        return job

    def stop(self, _: Any, backend: Any, name: str) -> None:
        job = backend.transform_jobs.get(name)
        if job is None:
            raise ResourceNotFound(f"Could not find transform job {name}.")
        if job.transform_job_status != "InProgress":
            raise ValidationError(f"The request was rejected: the transform job is {job.transform_job_status}.")
        job.transform_job_status = "Stopping"
        threading.Thread(target=self.running[job.arn].end, daemon=True).start()

    def end_all(self) -> None:
        """Stop all jobs and wait for them."""
        for running in list(self.running.values()):
            running.end()
        self.running.clear()


def respond_stop(self: Any) -> EmptyResult:
    self.sagemaker_backend.stop_transform_job(self._get_param("TransformJobName"))
    return EmptyResult()
