"""Batch transform in SageMaker: objects in S3, jobs over those that are missing, and their answers fetched back."""

import json
import logging
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from fer.cloud.buckets import encryption
from fer.cloud.calls import DENIED, EXPIRED, NOT_SIGNED_IN, UNKNOWN, AwsCalls, CloudError
from fer.cloud.shards import Request, answers
from fer.config.aws import SageMakerAws
from fer.errors import DataError, UserError, first_line
from fer.files import write_text
from fer.progress import progress

STATE = "transform.json"
LOG_GROUP = "/aws/sagemaker/TransformJobs"
LOG_LINES = 20
FINAL = {"Completed", "Failed", "Stopped"}
LONGEST_POLL_S = 60.0
# An outage that lasts longer than this ends the waiting, not the job.
PATIENCE_S = 600.0
TRANSFERS = 8
# Errors that waiting does not mend.
HOPELESS = {*EXPIRED, *UNKNOWN, *DENIED, NOT_SIGNED_IN, "ValidationException"}
Item = TypeVar("Item")
log = logging.getLogger(__name__)


class SageMakerBatch:
    """Sends requests to a registered model package in transform jobs, which ``folder`` (the run's) remembers."""

    def __init__(
        self,
        calls: AwsCalls,
        aws: SageMakerAws,
        model_package: str,
        classes: Sequence[str],
        flip: bool,
        folder: Path,
    ) -> None:
        """``model_package`` is the ARN of an approved version, ``classes`` what its answers must have."""
        self.calls, self.aws, self.model_package = calls, aws, model_package
        self.classes, self.flip, self.folder = classes, flip, folder
        self.state = self.remembered()
        self.status = ""
        self.prefix = f"{aws.prefix}/jobs/{self.state['id']}"

    def remembered(self) -> dict[str, Any]:
        """The jobs of the run so far, with the name under which their objects stand in the bucket."""
        path = self.folder / STATE
        if not path.is_file():
            state = {"id": f"fer-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}", "jobs": []}
            self.remember(state)
            return state
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            return {"id": str(state["id"]), "jobs": [str(name) for name in state["jobs"]]}
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: is damaged ({first_line(error)}); remove it and resume with new jobs") from None

    def remember(self, state: dict[str, Any]) -> None:
        write_text(self.folder / STATE, json.dumps(state, indent=2) + "\n")

    def send(self, requests: Sequence[Request], content_type: str) -> None:
        """Have the requests answered into their ``.out``; those that fail are left without.

        What is in the bucket already is neither sent nor judged again, and a job that still runs is waited for.
        Raises UserError; what was answered until then stays.
        """
        wanted = {request.path.name: request for request in requests}
        if self.state["jobs"]:
            self.wait(self.state["jobs"][-1], wanted)
            self.fetch(wanted)
            wanted = {name: request for name, request in wanted.items() if answers(request, self.classes) is None}
        if not wanted:
            return
        self.upload(wanted)
        job = self.start(sorted(wanted), content_type)
        status = self.wait(job, wanted)
        self.fetch(wanted)
        if status == "Stopped":
            raise UserError(f"the transform job {job} was stopped; resume this run to have the rest judged")

    def upload(self, wanted: dict[str, Request]) -> None:
        there = self.listed(f"{self.prefix}/input/")
        left = [r for name, r in wanted.items() if there.get(name) != r.path.stat().st_size]
        in_parallel(self.put, left, "Uploading")

    def put(self, request: Request) -> None:
        key = f"{self.prefix}/input/{request.path.name}"
        self.calls.upload(request.path, self.aws.bucket, key, **encryption(self.aws.kms_key))

    def start(self, names: Sequence[str], content_type: str) -> str:
        """Create a job over the objects of these names; its name is remembered first, so that no job is lost."""
        job = f"{self.state['id']}-{len(self.state['jobs']) + 1}"
        manifest = [{"prefix": f"s3://{self.aws.bucket}/{self.prefix}/input/"}, *names]
        key = f"{self.prefix}/manifests/{job}.json"
        content = json.dumps(manifest)
        self.calls.call(
            "s3",
            "put_object",
            {"Bucket": self.aws.bucket, "Key": key, "Body": content.encode(), **encryption(self.aws.kms_key)},
        )
        model = self.model()
        self.state["jobs"].append(job)
        self.remember(self.state)
        try:
            self.calls.call("sagemaker", "create_transform_job", self.job_of(job, model, key, content_type))
        except CloudError as error:
            # A first answer may have been lost on its way; nobody else uses this name.
            if error.code != "ResourceInUse":
                raise
        log.info("Transform job %s: %d objects; after a lost terminal: aws.transform.attach=%s", job, len(names), job)
        return job

    def model(self) -> str:
        """SageMaker's model of the package, created once."""
        name = f"{self.state['id']}-model"
        parameters = {
            "ModelName": name,
            "PrimaryContainer": {"ModelPackageName": self.model_package},
            "ExecutionRoleArn": self.aws.role,
            # The model needs no network, so it gets none.
            "EnableNetworkIsolation": True,
        }
        try:
            self.calls.call("sagemaker", "create_model", parameters)
        except CloudError as error:
            if "already exist" not in str(error):
                raise
        return name

    def job_of(self, job: str, model: str, manifest: str, content_type: str) -> dict[str, Any]:
        """Parameters of CreateTransformJob."""
        chosen, bucket = self.aws.transform, self.aws.bucket
        output = {
            "S3OutputPath": f"s3://{bucket}/{self.prefix}/output/",
            "Accept": "application/jsonlines",
            "AssembleWith": "None",
        }
        if self.aws.kms_key is not None:
            output["KmsKeyId"] = self.aws.kms_key
        return {
            "TransformJobName": job,
            "ModelName": model,
            "MaxConcurrentTransforms": chosen.max_concurrent,
            "MaxPayloadInMB": chosen.max_payload_mb,
            "ModelClientConfig": {
                "InvocationsTimeoutInSeconds": chosen.timeout_s,
                "InvocationsMaxRetries": chosen.retries,
            },
            "BatchStrategy": "SingleRecord",
            "Environment": {"FER_FLIP": str(int(self.flip))},
            "TransformInput": {
                "DataSource": {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": f"s3://{bucket}/{manifest}"}},
                "ContentType": content_type,
                "CompressionType": "None",
                "SplitType": "None",
            },
            "TransformOutput": output,
            "TransformResources": {"InstanceType": chosen.instance_type, "InstanceCount": chosen.instance_count},
        }

    def wait(self, job: str, wanted: dict[str, Request]) -> str:
        """Until the job has ended, and how; a failed one is explained, and what it did not answer is sent again."""
        if self.calls.dry_run:
            self.calls.call("sagemaker", "describe_transform_job", {"TransformJobName": job})
            return "Completed"
        try:
            counted = self.answered(job, wanted)
            for _ in progress(counted, len(wanted), f"Job {job}", "objects", size=lambda more: more):
                pass
            return self.status
        except KeyboardInterrupt:
            self.offer_to_stop(job)
            raise

    def answered(self, job: str, wanted: dict[str, Request]) -> Iterator[int]:
        """How many more objects were answered, at each look at the job, until it has ended."""
        pause, known, trouble = self.aws.transform.poll_s, 0, 0.0
        while True:
            try:
                found = self.calls.call("sagemaker", "describe_transform_job", {"TransformJobName": job})
                done = len(self.outputs() & set(wanted))
                trouble = 0.0
            except CloudError as error:
                if error.code in ("ValidationException", "ResourceNotFound") and "not find" in str(error):
                    # The program was killed between remembering the job and creating it.
                    self.status = "never created"
                    return
                if error.code in HOPELESS or trouble > PATIENCE_S:
                    raise UserError(f"{error}; the job {job} goes on: resume this run to wait for it again") from None
                log.warning("%s; waiting", error)
                trouble += pause
            else:
                yield done - known
                known = done
                if found["TransformJobStatus"] in FINAL:
                    self.status = str(found["TransformJobStatus"])
                    self.explain(job, found)
                    return
            time.sleep(pause)
            pause = min(pause * 1.3, LONGEST_POLL_S)

    def explain(self, job: str, found: dict[str, Any]) -> None:
        """Say why a job ended otherwise than well, with the last lines of its log."""
        if found["TransformJobStatus"] == "Completed":
            return
        log.warning("Transform job %s: %s: %s", job, found["TransformJobStatus"], found.get("FailureReason", ""))
        try:
            streams = self.calls.call(
                "logs", "describe_log_streams", {"logGroupName": LOG_GROUP, "logStreamNamePrefix": f"{job}/"}
            )
            for stream in streams.get("logStreams", []):
                where = {"logGroupName": LOG_GROUP, "logStreamName": stream["logStreamName"], "limit": LOG_LINES}
                for event in self.calls.call("logs", "get_log_events", where)["events"]:
                    log.warning("%s: %s", stream["logStreamName"].rpartition("/")[2], event["message"].rstrip())
        except CloudError as error:
            log.warning("Its log cannot be read: %s", error)

    def offer_to_stop(self, job: str) -> None:
        answer = ""
        if sys.stdin.isatty():
            # The end of the input is no yes.
            with suppress(EOFError):
                answer = input(f"\nStop the transform job {job} as well? [y/N] ")
        if answer.strip().lower() in ("y", "yes"):
            self.calls.call("sagemaker", "stop_transform_job", {"TransformJobName": job})
            log.warning("The job %s is being stopped; what it has answered is kept", job)
        else:
            log.warning("The job %s goes on; wait for it again with aws.transform.attach=%s", job, job)

    def fetch(self, wanted: dict[str, Request]) -> None:
        """Download the answers that are not here yet."""
        there = set(wanted) if self.calls.dry_run else self.outputs()
        left = [r for name, r in wanted.items() if name in there and not r.out.is_file()]
        in_parallel(self.get, left, "Downloading")

    def get(self, request: Request) -> None:
        """An answer that arrives damaged is fetched once more; one that is damaged in the bucket is judged again."""
        for _ in range(2):
            self.calls.download(self.aws.bucket, f"{self.prefix}/output/{request.out.name}", request.out)
            if self.calls.dry_run or answers(request, self.classes) is not None:
                return
        log.warning("%s: the answer is damaged and will be asked for again", request.out.name)
        request.out.unlink()

    def outputs(self) -> set[str]:
        """Names of the objects that are answered."""
        return {name.removesuffix(".out") for name in self.listed(f"{self.prefix}/output/") if name.endswith(".out")}

    def listed(self, prefix: str) -> dict[str, int]:
        """Name and size in bytes of each object with this prefix."""
        return {key.removeprefix(prefix): size for key, size in self.calls.objects(self.aws.bucket, prefix).items()}


def in_parallel(work: Callable[[Item], None], items: Sequence[Item], title: str) -> None:
    """Do ``work`` on each item, several at a time; the first error ends it."""
    with ThreadPoolExecutor(TRANSFERS) as pool:
        try:
            for _ in progress(pool.map(work, items), len(items), title, "objects"):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
