"""A training job that does what SageMaker's does: the container's real command on each host, over real objects."""

import io
import json
import random
import re
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.utils import utcnow
from moto.logs.models import logs_backends

from tests.helpers.aws_simulator import storage
from tests.helpers.aws_simulator.containers import Container
from tests.helpers.aws_simulator.job_logs import put_line
from tests.helpers.aws_simulator.training_checks import lay_down, objects_below, own_entrypoint

GROUP = "/aws/sagemaker/TrainingJobs"
LOOK_S = 0.05
GRACE_S = 120.0


class Interrupted(Exception):
    """The spot instance is taken away, after so many seconds to end in order."""


class Host:
    """One machine: a directory that stands for /opt/ml, its container, and the checkpoints that it has uploaded."""

    def __init__(self, name: str, ml: Path) -> None:
        self.name, self.ml = name, ml
        self.container: Container | None = None
        self.sent: dict[Path, tuple[int, int]] = {}


class TrainingJob:
    """One training job at work; ``interruption`` says after which lines of the log its spot instance is taken away.

    ``described`` is what DescribeTrainingJob answers.
    """

    def __init__(self, region: str, asked: dict[str, Any], interruption: Callable[[str], float | None]) -> None:
        self.region, self.asked, self.interruption = region, asked, interruption
        self.name = asked["TrainingJobName"]
        self.logs = logs_backends[DEFAULT_ACCOUNT_ID][region]
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.grace = GRACE_S
        self.taken_away: float | None = None
        self.metrics: dict[str, float] = {}
        self.output = f"{asked['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{self.name}/output"
        self.arn = f"arn:aws:sagemaker:{region}:{DEFAULT_ACCOUNT_ID}:training-job/{self.name}"
        kept = {key: value for key, value in asked.items() if key != "Tags"}
        begun = {"TrainingJobArn": self.arn, "CreationTime": utcnow(), "LastModifiedTime": utcnow()}
        self.described: dict[str, Any] = {**kept, **begun, "TrainingJobStatus": "InProgress"}
        self.described["SecondaryStatusTransitions"] = []
        self.enter("Starting")
        self.thread = threading.Thread(target=self.run, daemon=True)

    def enter(self, status: str) -> None:
        """The next secondary status."""
        self.described["SecondaryStatus"] = status
        self.described["SecondaryStatusTransitions"].append({"Status": status, "StartTime": utcnow()})

    def run(self) -> None:
        """Do the job; its status, times and reason of failure follow."""
        start = time.monotonic()
        try:
            status, reason = self.attempts()
        except ValueError as error:
            status, reason = "Failed", f"ClientError: {error}"
        except Exception as error:  # a fault of the simulator itself must not leave the job in progress for ever
            status, reason = "Failed", f"InternalServerError: {type(error).__name__}: {error}"
        seconds = round(time.monotonic() - start)
        self.described |= {"TrainingEndTime": utcnow(), "LastModifiedTime": utcnow()}
        self.described |= {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}
        now = utcnow()
        self.described["FinalMetricDataList"] = [
            {"MetricName": name, "Value": value, "Timestamp": now} for name, value in self.metrics.items()
        ]
        if reason:
            self.described["FailureReason"] = reason
        self.described["TrainingJobStatus"] = status

    def attempts(self) -> tuple[str, str]:
        """Train, on new machines after each interruption; the status at the end, and why the job failed."""
        while True:
            with tempfile.TemporaryDirectory(prefix="training-") as folder:
                count = self.asked["ResourceConfig"]["InstanceCount"]
                # Containers find each other by name; on one machine all names must be its own.
                names = ["algo-1"] if count == 1 else [f"127.0.0.{number}" for number in range(1, count + 1)]
                hosts = [Host(name, Path(folder) / name) for name in names]
                try:
                    return self.attempt(hosts)
                except Interrupted:
                    self.enter("Interrupted")
                    # Whatever was copied last was copied in the midst of a look.
                    self.copy_checkpoints(hosts[0], half=True)
                    self.enter("Starting")
                finally:
                    for host in hosts:
                        if host.container is not None:
                            host.container.kill()

    def attempt(self, hosts: list[Host]) -> tuple[str, str]:
        """Raises Interrupted, and ValueError for inputs that do not exist."""
        self.taken_away = None
        self.enter("Downloading")
        for host in hosts:
            self.prepare(host, [other.name for other in hosts])
        self.enter("Training")
        self.described["TrainingStartTime"] = utcnow()
        codes = self.train(hosts)
        exceeded = not self.stop.is_set() and None in codes
        if not self.stop.is_set() and not exceeded and any(codes):
            return "Failed", self.reason(hosts, codes)
        self.enter("Uploading")
        self.upload(hosts)
        status = "Stopped" if self.stop.is_set() or exceeded else "Completed"
        self.enter("MaxRuntimeExceeded" if exceeded else status)
        return status, ""

    def prepare(self, host: Host, names: list[str]) -> None:
        """What SageMaker lays down before a container starts."""
        settings = {
            "resourceconfig": {"current_host": host.name, "hosts": names, "network_interface_name": "lo"},
            "hyperparameters": self.asked.get("HyperParameters", {}),
            "inputdataconfig": {channel["ChannelName"]: {"TrainingInputMode": "File"} for channel in self.channels()},
        }
        settings["resourceconfig"]["current_instance_type"] = self.asked["ResourceConfig"]["InstanceType"]
        for name in ("model", "output/data", "input/config"):
            (host.ml / name).mkdir(parents=True)
        for name, content in settings.items():
            (host.ml / "input/config" / f"{name}.json").write_text(json.dumps(content))
        for channel in self.channels():
            source = channel["DataSource"]["S3DataSource"]
            objects = objects_below(source["S3Uri"])
            if not objects:
                raise ValueError(f"Data download failed: no S3 objects found under S3 URL {source['S3Uri']}")
            lay_down(objects, host.ml / "input/data" / channel["ChannelName"])
        if checkpoints := self.asked.get("CheckpointConfig"):
            lay_down(objects_below(checkpoints["S3Uri"]), host.ml / "checkpoints")

    def channels(self) -> list[dict[str, Any]]:
        return list(self.asked.get("InputDataConfig", []))

    def train(self, hosts: list[Host]) -> list[int | None]:
        """Run the containers; their exit codes, None for those that were killed for taking too long.

        Raises Interrupted.
        """
        algorithm = self.asked["AlgorithmSpecification"]
        command = [*algorithm.get("ContainerEntrypoint", []), *algorithm.get("ContainerArguments", [])]
        command = command or [*own_entrypoint(), "train"]
        told = {"TRAINING_JOB_NAME": self.name, "TRAINING_JOB_ARN": self.arn, "AWS_REGION": self.region}
        for host in hosts:
            environment = {**told, **self.asked.get("Environment", {})}
            host.container = Container(command, host.ml, environment, self.noter(host.name))
        deadline = time.monotonic() + self.asked["StoppingCondition"]["MaxRuntimeInSeconds"]
        while True:
            # What was there before the line that the interruption waits for is copied.
            taken_away = self.taken_away
            codes = [host.container.wait(0) for host in hosts if host.container is not None]
            for host in hosts:
                self.copy_checkpoints(host)
            if taken_away is not None:
                self.end_in_order(hosts, taken_away)
                raise Interrupted
            if None not in codes or any(codes):
                return codes
            if self.stop.is_set() or time.monotonic() > deadline:
                return self.end_in_order(hosts, self.grace)
            time.sleep(LOOK_S)

    def end_in_order(self, hosts: list[Host], seconds: float) -> list[int | None]:
        """SIGTERM for each container, and SIGKILL for those that are there so many seconds later."""
        for host in hosts:
            assert host.container is not None
            host.container.terminate()
        deadline = time.monotonic() + seconds
        for host in hosts:
            assert host.container is not None
            if host.container.wait(max(0.0, deadline - time.monotonic())) is None:
                host.container.kill()
        return [None] * len(hosts)

    def copy_checkpoints(self, host: Host, half: bool = False) -> None:
        """Copy what has changed to S3, in any order, as it is in this moment; nothing is ever removed there."""
        if not (checkpoints := self.asked.get("CheckpointConfig")):
            return
        place = host.ml / "checkpoints"
        changed = []
        for file in place.rglob("*"):
            try:
                stat = file.stat()
            except FileNotFoundError:
                continue
            if file.is_file() and host.sent.get(file) != (stat.st_mtime_ns, stat.st_size):
                changed.append((file, (stat.st_mtime_ns, stat.st_size)))
        random.shuffle(changed)
        for file, state in changed[: len(changed) // 2] if half else changed:
            try:
                content = file.read_bytes()
            except FileNotFoundError:
                continue
            uri = f"{checkpoints['S3Uri'].rstrip('/')}/{file.relative_to(place).as_posix()}"
            storage.write(uri, content, None)
            host.sent[file] = state

    def reason(self, hosts: list[Host], codes: list[int | None]) -> str:
        """FailureReason of a job one of whose containers has ended with another code than 0."""
        place, code = next((place, code) for place, code in enumerate(codes) if code)
        failure = hosts[place].ml / "output" / "failure"
        said = failure.read_text(encoding="utf-8")[:1024] if failure.is_file() else ""
        return f"AlgorithmError: {said}, exit code: {code}"

    def upload(self, hosts: list[Host]) -> None:
        """What the containers leave in /opt/ml/model, of all hosts together."""
        files = {
            path.relative_to(host.ml / "model").as_posix(): path
            for host in hosts
            for path in sorted((host.ml / "model").rglob("*"))
            if path.is_file()
        }
        if not files:
            return
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
            for name, path in files.items():
                archive.add(path, name)
        uri = f"{self.output}/model.tar.gz"
        storage.write(uri, packed.getvalue(), self.asked["OutputDataConfig"].get("KmsKeyId") or None)
        self.described["ModelArtifacts"] = {"S3ModelArtifacts": uri}

    def noter(self, host: str) -> Callable[[str], None]:
        """What each line of a container does: a log event, figures, and the end of a spot instance."""
        stream = f"{self.name}/{host}-{time.time_ns()}"
        definitions = self.asked["AlgorithmSpecification"].get("MetricDefinitions", [])

        def note(line: str) -> None:
            with self.lock:
                put_line(self.logs, GROUP, stream, line)
                for definition in definitions:
                    if found := re.search(definition["Regex"], line):
                        self.metrics[definition["Name"]] = float(found[1])
                if self.asked.get("EnableManagedSpotTraining") and (grace := self.interruption(line)) is not None:
                    self.taken_away = grace

        return note

    def end(self, grace: float = GRACE_S) -> None:
        """Stop the job, whose containers have so many seconds to end in order, and wait for it."""
        self.grace = grace
        self.stop.set()
        self.thread.join()
