"""Processing jobs that do what SageMaker's do: the container's command on each instance, over its share of objects."""

import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.logs.models import logs_backends
from moto.sagemaker.exceptions import ResourceInUseException, ResourceNotFound, ValidationError
from moto.sagemaker.models import SageMakerModelBackend
from moto.sagemaker.responses import SageMakerResponse

from tests.helpers.aws_simulator import storage
from tests.helpers.aws_simulator.containers import ML, Container
from tests.helpers.aws_simulator.job_checks import manifest, refuse
from tests.helpers.aws_simulator.job_logs import put_line
from tests.helpers.aws_simulator.strictness import replace
from tests.helpers.aws_simulator.training_checks import ECR, lay_down, objects_below

GROUP = "/aws/sagemaker/ProcessingJobs"
HERE = f"{ML}/processing"
LOOK_S = 0.05


class Instance:
    """One machine of a job: a directory that stands for /opt/ml, its container, and what it has uploaded."""

    def __init__(self, host: str, ml: Path) -> None:
        self.host, self.ml = host, ml
        self.container: Container | None = None
        self.sent: dict[Path, int] = {}

    def place(self, path: str) -> Path:
        """The directory that stands for one below /opt/ml."""
        return self.ml / path.removeprefix(f"{ML}/")


class RunningJob:
    """One processing job at work; ``fault`` is one of tests.helpers.aws_simulator.faults.JOB, or None."""

    def __init__(self, region: str, job: Any, asked: dict[str, Any], fault: str | None) -> None:
        self.job, self.asked, self.fault = job, asked, fault
        self.region = region
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.logs = logs_backends[DEFAULT_ACCOUNT_ID][region]
        self.folder = Path(tempfile.mkdtemp(prefix="processing-"))
        count = asked["ProcessingResources"]["ClusterConfig"]["InstanceCount"]
        hosts = [f"algo-{number}" for number in range(1, count + 1)]
        self.instances = [Instance(host, self.folder / host) for host in hosts]
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        """Do the job; its status, times and reason of failure follow."""
        reason: str | None
        try:
            for instance in self.instances:
                self.prepare(instance)
            reason = self.work()
        except ValueError as error:
            reason = f"ClientError: {error}"
        except Exception as error:  # a fault of the simulator itself must not leave the job in progress for ever
            reason = f"InternalServerError: {type(error).__name__}: {error}"
        finally:
            for instance in self.instances:
                if instance.container is not None:
                    instance.container.kill()
            shutil.rmtree(self.folder, ignore_errors=True)
        self.job.processing_end_time = self.job.last_modified_time = utcnow()
        self.job.failure_reason = None if self.stop.is_set() else reason
        self.job.processing_job_status = "Stopped" if self.stop.is_set() else "Failed" if reason else "Completed"

    def prepare(self, instance: Instance) -> None:
        """What SageMaker lays down before a container starts. Raises ValueError for objects that do not exist."""
        settings = instance.place(f"{ML}/config")
        settings.mkdir(parents=True)
        hosts = [other.host for other in self.instances]
        resources = {"current_host": instance.host, "hosts": hosts, "network_interface_name": "eth0"}
        (settings / "resourceconfig.json").write_text(json.dumps(resources))
        (settings / "processingjobconfig.json").write_text(json.dumps(self.asked))
        for asked in self.asked["ProcessingInputs"]:
            source = asked["S3Input"]
            objects = objects_of(source)
            if source.get("S3DataDistributionType") == "ShardedByS3Key":
                number = self.instances.index(instance)
                objects = dict(list(objects.items())[number :: len(self.instances)])
            if gone := [uri for uri in objects.values() if storage.read(uri) is None]:
                raise ValueError(f"Failed to download data. Object {gone[0]} does not exist")
            lay_down(objects, instance.place(source["LocalPath"]))
        for output in self.outputs():
            instance.place(output["LocalPath"]).mkdir(parents=True)

    def outputs(self) -> list[dict[str, Any]]:
        return [output["S3Output"] for output in self.asked.get("ProcessingOutputConfig", {}).get("Outputs", [])]

    def work(self) -> str | None:
        """Run the containers, uploading what they write; why the job failed, None where all ended well."""
        image = self.asked["AppSpecification"]
        command = [*image.get("ContainerEntrypoint", []), *image.get("ContainerArguments", [])]
        environment = {"AWS_REGION": self.region, **self.asked.get("Environment", {})}
        for instance in self.instances:
            instance.container = Container(command, instance.ml, environment, self.noter(instance.host))
        codes: list[int | None] = [None] * len(self.instances)
        while not self.stop.is_set():
            for number, instance in enumerate(self.instances):
                assert instance.container is not None
                codes[number] = instance.container.wait(0)
                self.upload(instance, "Continuous")
            last = self.instances[-1]
            if self.is_killed(last) and last.container is not None:
                last.container.kill()
                return "InternalServerError: We encountered an internal error. Please try again."
            if failed := [code for code in codes if code]:
                return f"AlgorithmError: See job logs for more information, exit code: {failed[0]}"
            if None not in codes and self.fault != "job_stuck":
                for instance in self.instances:
                    self.upload(instance, "EndOfJob")
                return None
            time.sleep(LOOK_S)
        return None

    def is_killed(self, instance: Instance) -> bool:
        """As where the memory of one machine is full, after its first result: nothing else of it arrives."""
        kills = self.fault in ("job_fails", "job_killed") and instance is self.instances[-1]
        return kills and bool(instance.sent)

    def upload(self, instance: Instance, mode: str) -> None:
        """What is new below the outputs of this mode; files of all instances go to the same place."""
        for output in self.outputs():
            place = instance.place(output["LocalPath"])
            for file in sorted(place.rglob("*")) if output["S3UploadMode"] == mode else ():
                # It may have written more since it was last looked at.
                if self.is_killed(instance):
                    return
                if file.is_file() and instance.sent.get(file) != (changed := file.stat().st_mtime_ns):
                    uri = f"{output['S3Uri'].rstrip('/')}/{file.relative_to(place).as_posix()}"
                    storage.write(uri, file.read_bytes(), self.asked["ProcessingOutputConfig"].get("KmsKeyId"))
                    instance.sent[file] = changed

    def noter(self, host: str) -> Callable[[str], None]:
        stream = f"{self.job.processing_job_name}/{host}-{time.time_ns() // 10**9}"

        def note(line: str) -> None:
            with self.lock:
                put_line(self.logs, GROUP, stream, line)

        return note

    def end(self) -> None:
        """Stop the job and wait for it."""
        self.stop.set()
        self.thread.join()


def objects_of(source: dict[str, Any]) -> dict[str, str]:
    """URI of each object of an input, by the name of its file. Raises ValueError for a bad manifest."""
    if source["S3DataType"] != "ManifestFile":
        return objects_below(source["S3Uri"])
    prefix, names = manifest(source["S3Uri"])
    return {name: prefix + name for name in names}


def check_job(backend: Any, asked: dict[str, Any]) -> None:
    """Refuse what AWS refuses, beyond what its description of the API says."""
    name = asked["ProcessingJobName"]
    if name in backend.processing_jobs:
        raise ResourceInUseException(
            "Job name must be unique within an AWS account and region, and a job with this name already exists "
            f"({backend.processing_jobs[name].arn})"
        )
    image = asked["AppSpecification"]["ImageUri"]
    refuse(not ECR.fullmatch(image), f"Invalid image URI {image}. Please provide a valid image in Amazon ECR.")
    cluster = asked["ProcessingResources"]["ClusterConfig"]
    refuse(
        "InstanceType" not in cluster or "InstanceCount" not in cluster, "InstanceType and InstanceCount are needed."
    )
    inputs = [one["S3Input"] for one in asked.get("ProcessingInputs", [])]
    outputs = [one["S3Output"] for one in asked.get("ProcessingOutputConfig", {}).get("Outputs", [])]
    places = [one["LocalPath"] for one in [*inputs, *outputs]]
    refuse(len(set(places)) < len(places), "LocalPath must be unique among inputs and outputs.")
    for place in places:
        refuse(not place.startswith(f"{HERE}/"), f"LocalPath {place} must begin with {HERE}/.")
    for key, kind in (("ProcessingInputs", "InputName"), ("Outputs", "OutputName")):
        holder = asked if key == "ProcessingInputs" else asked.get("ProcessingOutputConfig", {})
        names = [one[kind] for one in holder.get(key, [])]
        refuse(len(set(names)) < len(names), f"{kind} must be unique.")
    for one in inputs:
        found = storage.read(one["S3Uri"]) if one["S3DataType"] == "ManifestFile" else storage.keys_below(one["S3Uri"])
        refuse(not found, f'No S3 objects found under S3 URL "{one["S3Uri"]}" given in input data source.')
    for one in outputs:
        refuse(not storage.has_bucket(one["S3Uri"]), f"The bucket of {one['S3Uri']} does not exist.")
    for part in (*asked["AppSpecification"].get("ContainerEntrypoint", []), *asked.get("Environment", {}).values()):
        refuse(len(part) > 256, f"Value '{part}' failed to satisfy constraint: Member must have length at most 256.")


class ProcessingJobs:
    """All processing jobs of the simulator."""

    def __init__(self, next_fault: Callable[[], str | None]) -> None:
        self.next_fault = next_fault
        self.running: dict[str, RunningJob] = {}

    def install(self) -> None:
        """Make moto in this process run processing jobs."""
        response: Any = SageMakerResponse
        replace(response, "create_processing_job", self.create)
        replace(SageMakerModelBackend, "stop_processing_job", self.stop)

    def create(self, original: Any, response: Any) -> ActionResult:
        """moto forgets the resources and the environment of a job; its backend alone would not know them."""
        backend, asked = response.sagemaker_backend, json.loads(response.body)
        check_job(backend, asked)
        done: ActionResult = original(response)
        job = backend.processing_jobs[asked["ProcessingJobName"]]
        job.processing_job_status = "InProgress"
        job.processing_end_time = None
        job.processing_start_time = utcnow()
        job.processing_resources, job.environment = asked["ProcessingResources"], asked.get("Environment")
        running = RunningJob(backend.region_name, job, asked, self.next_fault())
        self.running[job.arn] = running
        running.thread.start()
        return done

    def stop(self, _: Any, backend: Any, processing_job_name: str) -> None:
        job = backend.processing_jobs.get(processing_job_name)
        if job is None:
            raise ResourceNotFound(f"Could not find requested job with name: {processing_job_name}")
        if job.processing_job_status != "InProgress":
            raise ValidationError(f"The request was rejected: the processing job is {job.processing_job_status}.")
        job.processing_job_status = "Stopping"
        threading.Thread(target=self.running[job.arn].end, daemon=True).start()

    def end_all(self) -> None:
        """Stop all jobs and wait for them."""
        for running in list(self.running.values()):
            running.end()
        self.running.clear()
