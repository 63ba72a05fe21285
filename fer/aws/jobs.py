"""SageMaker jobs of any kind: recorded by the run, created once, waited for, explained where they fail."""

import json
import logging
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from typing_extensions import override

from fer.aws.client import (
    ACCESS_DENIED_CODES,
    EXPIRED_CREDENTIALS_CODES,
    NOT_SIGNED_IN,
    UNKNOWN_CREDENTIALS_CODES,
    AwsClient,
    CloudError,
    is_not_found,
)
from fer.core.documents import read_json_object
from fer.core.io import write_text
from fer.core.progress import track_progress
from fer.core.visible import make_visible
from fer.errors import DataError, UserError, shorten_error

JobKind = Literal["transform", "processing", "training", "hyper_parameter_tuning"]
FINAL_STATUSES = {"Completed", "Failed", "Stopped"}
NEVER_CREATED = "never created"
FIRST_HOST = "algo-1"
LOG_LINES = 20
MAX_POLL_S = 60.0
# An outage that lasts longer than this ends the waiting, not the job.
MAX_OUTAGE_S = 600.0
# Errors that waiting does not fix.
FATAL_ERROR_CODES = {
    *EXPIRED_CREDENTIALS_CODES,
    *UNKNOWN_CREDENTIALS_CODES,
    *ACCESS_DENIED_CODES,
    NOT_SIGNED_IN,
    "ValidationException",
}
log = logging.getLogger(__name__)


class JobRecord:
    """The jobs that a run has started, stored in a JSON file.

    Args:
        path: The file; it is created where it does not exist.

    Attributes:
        id: The S3 folder of the run's objects, and what the names of its jobs begin with.
        jobs: Names of the jobs, the latest last.

    Raises:
        DataError: The file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            self.id, self.jobs = f"fer-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}", list[str]()
            self.write()
            return
        try:
            state = read_json_object(path)
            self.id, self.jobs = str(state["id"]), [str(name) for name in state["jobs"]]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}: is damaged ({shorten_error(error)}); remove it and resume with new jobs"
            ) from None

    def reserve_job_name(self) -> str:
        """Return the name of the next job, stored before the job is created so that no job is ever lost."""
        self.jobs.append(f"{self.id}-{len(self.jobs) + 1}")
        self.write()
        return self.jobs[-1]

    def write(self) -> None:
        """Store the record."""
        write_text(self.path, json.dumps({"id": self.id, "jobs": self.jobs}, indent=2) + "\n")


def format_job_kind(kind: JobKind) -> str:
    """Return the prefix of SageMaker's parameter names: `HyperParameterTuning` for `hyper_parameter_tuning`."""
    return "".join(word.capitalize() for word in kind.split("_"))


def format_log_group(kind: JobKind) -> str:
    """Return the CloudWatch log group of all jobs of a kind."""
    return f"/aws/sagemaker/{format_job_kind(kind)}Jobs"


class Job:
    """One SageMaker job.

    Args:
        client: Client of the account and region that the job runs in.
        kind: Kind of the job.
        name: Name of the job, which need not exist yet.
        poll_s: First wait between two polls, seconds; it grows up to a minute.
        resume_command: What a user types to wait for the job again.

    Attributes:
        description: The latest description by AWS; empty before the first one, and for a job that was never created.
    """

    def __init__(self, client: AwsClient, kind: JobKind, name: str, poll_s: float, resume_command: str) -> None:
        self.client, self.kind, self.name, self.poll_s, self.resume_command = client, kind, name, poll_s, resume_command
        self.name_parameter = {f"{format_job_kind(kind)}JobName": name}
        self.description: dict[str, Any] = {}

    @property
    def status(self) -> str:
        """Status by the latest description, or NEVER_CREATED."""
        return str(self.description.get(f"{format_job_kind(self.kind)}JobStatus", NEVER_CREATED))

    def create(self, parameters: dict[str, Any]) -> None:
        """Create the job with ``parameters``, to which its name is added. Raises CloudError."""
        try:
            self.client.request("sagemaker", f"create_{self.kind}_job", {**self.name_parameter, **parameters})
        except CloudError as error:
            # The answer to a first try may have been lost; nobody else uses this name.
            if error.code != "ResourceInUse":
                raise

    def wait(self, count_done: Callable[[dict[str, Any]], int], total: int, unit: str) -> str:
        """Wait until the job has ended, with a progress bar; a failure is explained.

        Args:
            count_done: Number of units that are done, by the job's latest description.
            total: Number of all units.
            unit: Name of the units, in the plural.

        Returns:
            One of FINAL_STATUSES, or NEVER_CREATED.

        Raises:
            UserError: AWS refuses to answer, or was out of reach for too long; the job goes on.
            KeyboardInterrupt: After the user was asked whether to stop the job, too.
        """
        return self._wait_until_final(
            track_progress(self.poll(count_done), total, f"Job {self.name}", unit, size=lambda more: more)
        )

    def _wait_until_final(self, polls: Iterable[int]) -> str:
        """Exhaust the iterator over ``polls``; otherwise as ``wait``."""
        if self.client.dry_run:
            self.client.request("sagemaker", f"describe_{self.kind}_job", self.name_parameter)
            return "Completed"
        try:
            for _ in polls:
                pass
        except KeyboardInterrupt:
            self._offer_to_stop()
            raise
        self._explain_failure()
        return self.status

    def poll(self, count_done: Callable[[dict[str, Any]], int]) -> Iterator[int]:
        """Yield the number of newly done units at each poll, until the job has ended. Raises UserError."""
        pause_s, last_done, outage_s = self.poll_s, 0, 0.0
        while True:
            try:
                description = self.client.request("sagemaker", f"describe_{self.kind}_job", self.name_parameter)
                done = count_done(description)
                outage_s = 0.0
            except CloudError as error:
                if is_not_found(error):
                    # The program was killed between recording the job and creating it.
                    return
                if error.code in FATAL_ERROR_CODES or outage_s > MAX_OUTAGE_S:
                    raise UserError(
                        f"{error}; the job {self.name} goes on: resume this run to wait for it again"
                    ) from None
                log.warning("%s; waiting", error)
                outage_s += pause_s
            else:
                self.description = description
                yield done - last_done
                last_done = done
                if self.status in FINAL_STATUSES:
                    return
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.3, MAX_POLL_S)

    def _explain_failure(self) -> None:
        """Log why the job did not complete, with the last lines of its containers."""
        if self.status in ("Completed", NEVER_CREATED):
            return
        kind, reason = self.kind.replace("_", " ").capitalize(), self.description.get("FailureReason", "")
        log.warning("%s job %s: %s: %s", kind, self.name, self.status, reason)
        # A tuning job has no log, its training jobs have.
        if self.kind != "hyper_parameter_tuning":
            self.log_last_lines()

    def log_last_lines(self) -> None:
        """Log the last lines of each container."""
        group = {"logGroupName": format_log_group(self.kind)}
        try:
            streams = self.client.request(
                "logs", "describe_log_streams", {**group, "logStreamNamePrefix": f"{self.name}/"}
            )
            for stream in streams.get("logStreams", []):
                parameters = {**group, "logStreamName": stream["logStreamName"], "limit": LOG_LINES}
                for event in self.client.request("logs", "get_log_events", parameters)["events"]:
                    log.warning("%s: %s", stream["logStreamName"].rpartition("/")[2], event["message"].rstrip())
        except CloudError as error:
            log.warning("Its log cannot be read: %s", error)

    def _offer_to_stop(self) -> None:
        answer = ""
        if sys.stdin.isatty():
            # The end of the input does not mean yes.
            with suppress(EOFError):
                answer = input(f"\nStop the job {self.name} as well? [y/N] ")
        if answer.strip().lower() in ("y", "yes"):
            self.client.request("sagemaker", f"stop_{self.kind}_job", self.name_parameter)
            log.warning("The job %s is being stopped; what it has done is kept", self.name)
        else:
            log.warning("The job %s goes on; wait for it again with %s", self.name, self.resume_command)


class LoggedJob(Job):
    """A job whose containers' output is printed line by line while it is waited for; arguments are those of Job."""

    def __init__(self, client: AwsClient, kind: JobKind, name: str, poll_s: float, resume_command: str) -> None:
        super().__init__(client, kind, name, poll_s, resume_command)
        # By stream: the token of what comes after the lines that were printed.
        self._next_tokens: dict[str, str] = {}

    def follow(self) -> str:
        """Wait until the job has ended, printing its log; returns and raises what ``wait`` does."""
        return self._wait_until_final(self.poll(lambda _: 0))

    @override
    def poll(self, count_done: Callable[[dict[str, Any]], int]) -> Iterator[int]:
        for newly_done in super().poll(count_done):
            self._print_new_lines()
            yield newly_done

    @override
    def log_last_lines(self) -> None:
        """Do nothing: the lines were printed already."""

    def _print_new_lines(self) -> None:
        """Print the lines that are new; a log that cannot be read now is read at the next poll."""
        group = {"logGroupName": format_log_group(self.kind)}
        try:
            response = self.client.request(
                "logs", "describe_log_streams", {**group, "logStreamNamePrefix": f"{self.name}/"}
            )
            streams = [stream["logStreamName"] for stream in response.get("logStreams", [])]
            for stream in streams:
                # JOB/algo-1-1572383567
                host = stream.rpartition("/")[2].rpartition("-")[0]
                host = "" if host == FIRST_HOST else f"{host}: "
                for line in self._iter_new_lines({**group, "logStreamName": stream, "startFromHead": True}):
                    print(make_visible(host + line), flush=True)
        except CloudError as error:
            # The log group appears with the first container.
            if not error.code.startswith("ResourceNotFound"):
                log.warning("The job's log cannot be read: %s", error)

    def _iter_new_lines(self, parameters: dict[str, Any]) -> Iterator[str]:
        """Yield the new lines of a stream; ``parameters`` are those of GetLogEvents."""
        stream = parameters["logStreamName"]
        while True:
            token = self._next_tokens.get(stream)
            page = self.client.request(
                "logs", "get_log_events", parameters if token is None else {**parameters, "nextToken": token}
            )
            yield from (event["message"].rstrip() for event in page["events"])
            # The same token again means that this is all for now.
            if page["nextForwardToken"] == token:
                return
            self._next_tokens[stream] = page["nextForwardToken"]
