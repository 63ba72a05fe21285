"""Jobs of SageMaker, of any kind: remembered, created once, waited for, explained where they failed."""

import json
import logging
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from fer.aws.client import (
    ACCESS_DENIED_CODES,
    EXPIRED_CREDENTIALS_CODES,
    NOT_SIGNED_IN,
    UNKNOWN_CREDENTIALS_CODES,
    AwsClient,
    CloudError,
)
from fer.core.io import write_text
from fer.core.progress import track_progress
from fer.errors import DataError, UserError, shorten_error

FIRST_HOST = "algo-1"
log = logging.getLogger(__name__)

JobKind = Literal["transform", "processing", "training", "hyper_parameter_tuning"]
FINAL_STATUSES = {"Completed", "Failed", "Stopped"}
NEVER_CREATED = "never created"
LOG_LINES = 20
MAX_POLL_S = 60.0
# An outage that lasts longer than this ends the waiting, not the job.
MAX_OUTAGE_S = 600.0
# Errors that waiting does not mend.
FATAL_ERROR_CODES = {
    *EXPIRED_CREDENTIALS_CODES,
    *UNKNOWN_CREDENTIALS_CODES,
    *ACCESS_DENIED_CODES,
    NOT_SIGNED_IN,
    "ValidationException",
}
log = logging.getLogger(__name__)


class JobRecord:
    """The names of the ``jobs`` that a run has started, kept in ``path``; ``id`` is what their objects stand under."""

    def __init__(self, path: Path) -> None:
        """Raises DataError for a damaged file."""
        self.path = path
        if not path.is_file():
            self.id, self.jobs = f"fer-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}", list[str]()
            self.write()
            return
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            self.id, self.jobs = str(state["id"]), [str(name) for name in state["jobs"]]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}: is damaged ({shorten_error(error)}); remove it and resume with new jobs"
            ) from None

    def reserve_job_name(self) -> str:
        """The name of the next job, which is remembered before the job is created, so that none is lost."""
        self.jobs.append(f"{self.id}-{len(self.jobs) + 1}")
        self.write()
        return self.jobs[-1]

    def write(self) -> None:
        write_text(self.path, json.dumps({"id": self.id, "jobs": self.jobs}, indent=2) + "\n")


def format_job_kind(kind: JobKind) -> str:
    """`HyperParameterTuning` for `hyper_parameter_tuning`: how SageMaker's parameters begin."""
    return "".join(word.capitalize() for word in kind.split("_"))


def format_log_group(kind: JobKind) -> str:
    return f"/aws/sagemaker/{format_job_kind(kind)}Jobs"


class Job:
    """One job; ``found`` is what AWS said of it last, empty before that and for a job that was never created."""

    def __init__(self, client: AwsClient, kind: JobKind, name: str, poll_s: float, resume_command: str) -> None:
        """``poll_s`` is the first wait between two looks, seconds; ``again`` is what a user types to wait anew."""
        self.client, self.kind, self.name, self.poll_s, self.resume_command = client, kind, name, poll_s, resume_command
        self.name_parameter = {f"{format_job_kind(kind)}JobName": name}
        self.description: dict[str, Any] = {}

    @property
    def status(self) -> str:
        return str(self.description.get(f"{format_job_kind(self.kind)}JobStatus", NEVER_CREATED))

    def create(self, parameters: dict[str, Any]) -> None:
        """Create it with ``parameters``, its name added. Raises CloudError."""
        try:
            self.client.request("sagemaker", f"create_{self.kind}_job", {**self.name_parameter, **parameters})
        except CloudError as error:
            # A first answer may have been lost on its way; nobody else uses this name.
            if error.code != "ResourceInUse":
                raise

    def wait(self, count_done: Callable[[dict[str, Any]], int], total: int, unit: str) -> str:
        """Until the job has ended, and how: one of FINAL, or NEVER_CREATED; a failed one is explained.

        ``look`` is called with each description that AWS gives, and says how many of ``total`` units are done.
        Raises UserError, and KeyboardInterrupt after having asked whether the job is to be stopped.
        """
        return self.wait_until_final(
            track_progress(self.poll(count_done), total, f"Job {self.name}", unit, size=lambda more: more)
        )

    def wait_until_final(self, polls: Iterable[int]) -> str:
        """As ``wait``, by the looks that are given."""
        if self.client.dry_run:
            self.client.request("sagemaker", f"describe_{self.kind}_job", self.name_parameter)
            return "Completed"
        try:
            for _ in polls:
                pass
        except KeyboardInterrupt:
            self.offer_to_stop()
            raise
        self.explain_failure()
        return self.status

    def poll(self, count_done: Callable[[dict[str, Any]], int]) -> Iterator[int]:
        """How many more units were done, at each look at the job, until it has ended."""
        pause, known, outage_s = self.poll_s, 0, 0.0
        while True:
            try:
                description = self.client.request("sagemaker", f"describe_{self.kind}_job", self.name_parameter)
                done = count_done(description)
                outage_s = 0.0
            except CloudError as error:
                if _is_not_found(error):
                    # The program was killed between remembering the job and creating it.
                    return
                if error.code in FATAL_ERROR_CODES or outage_s > MAX_OUTAGE_S:
                    raise UserError(
                        f"{error}; the job {self.name} goes on: resume this run to wait for it again"
                    ) from None
                log.warning("%s; waiting", error)
                outage_s += pause
            else:
                self.description = description
                yield done - known
                known = done
                if self.status in FINAL_STATUSES:
                    return
            time.sleep(pause)
            pause = min(pause * 1.3, MAX_POLL_S)

    def explain_failure(self) -> None:
        """Say why the job ended otherwise than well, with the last lines of its log."""
        if self.status in ("Completed", NEVER_CREATED):
            return
        kind, reason = self.kind.replace("_", " ").capitalize(), self.description.get("FailureReason", "")
        log.warning("%s job %s: %s: %s", kind, self.name, self.status, reason)
        # A tuning job has no log, its training jobs have.
        if self.kind != "hyper_parameter_tuning":
            self.show_last_lines()

    def show_last_lines(self) -> None:
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

    def offer_to_stop(self) -> None:
        answer = ""
        if sys.stdin.isatty():
            # The end of the input is no yes.
            with suppress(EOFError):
                answer = input(f"\nStop the job {self.name} as well? [y/N] ")
        if answer.strip().lower() in ("y", "yes"):
            self.client.request("sagemaker", f"stop_{self.kind}_job", self.name_parameter)
            log.warning("The job %s is being stopped; what it has done is kept", self.name)
        else:
            log.warning("The job %s goes on; wait for it again with %s", self.name, self.resume_command)


def _is_not_found(error: CloudError) -> bool:
    """Whether there is no such job."""
    says_so = "not find" in str(error) or "not found" in str(error)
    return error.code in ("ValidationException", "ResourceNotFound") and says_so


class LoggedJob(Job):
    """A job each line of whose containers is printed, while it is waited for."""

    def __init__(self, client: AwsClient, kind: JobKind, name: str, poll_s: float, resume_command: str) -> None:
        super().__init__(client, kind, name, poll_s, resume_command)
        # How far each stream was read.
        self.next_tokens: dict[str, str] = {}

    def follow(self) -> str:
        """Until the job has ended, and how, as ``wait``."""
        return self.wait_until_final(self.poll(lambda _: 0))

    def poll(self, count_done: Callable[[dict[str, Any]], int]) -> Iterator[int]:
        for more in super().poll(count_done):
            self.print_new_lines()
            yield more

    def show_last_lines(self) -> None:
        """They were shown already."""

    def print_new_lines(self) -> None:
        """Show what is new; a log that cannot be read now is read later."""
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
                for line in self.iter_new_lines({**group, "logStreamName": stream, "startFromHead": True}):
                    print(host + line, flush=True)
        except CloudError as error:
            # There is none before the first container runs.
            if not error.code.startswith("ResourceNotFound"):
                log.warning("The job's log cannot be read: %s", error)

    def iter_new_lines(self, parameters: dict[str, Any]) -> Iterator[str]:
        """The new lines of a stream."""
        stream = parameters["logStreamName"]
        while True:
            known = self.next_tokens.get(stream)
            page = self.client.request(
                "logs", "get_log_events", parameters if known is None else {**parameters, "nextToken": known}
            )
            yield from (event["message"].rstrip() for event in page["events"])
            # The same token again says that this is all for now.
            if page["nextForwardToken"] == known:
                return
            self.next_tokens[stream] = page["nextForwardToken"]
