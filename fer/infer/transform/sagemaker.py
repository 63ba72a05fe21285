"""Batch transform in SageMaker: objects in S3, jobs over those that lack an answer, and the answers' download."""

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fer.aws.client import AwsClient, CloudError
from fer.aws.job_options import build_tags, build_volume_key, build_vpc_config
from fer.aws.jobs import Job, JobRecord
from fer.aws.s3 import build_encryption_args, delete_folder
from fer.config.aws import SageMakerAws
from fer.errors import UserError
from fer.infer.transform.shards import Request, read_answers
from fer.storage.transfers import run_in_parallel

STATE = "transform.json"
log = logging.getLogger(__name__)


class SageMakerBatchTransform:
    """Sends requests to a registered model package in transform jobs.

    Args:
        client: Sends the requests to AWS.
        aws: Bucket, role and instances.
        model_package: ARN of an approved version.
        columns: What its answers must have.
        flip: Take the mean over each face and its mirror image.
        folder: Directory of the run that remembers the jobs.
    """

    def __init__(
        self,
        client: AwsClient,
        aws: SageMakerAws,
        model_package: str,
        columns: Sequence[str],
        flip: bool,
        folder: Path,
    ) -> None:
        self.client, self.aws, self.model_package = client, aws, model_package
        self.columns, self.flip, self.folder = columns, flip, folder
        self.record = JobRecord(folder / STATE)
        self.prefix = f"{aws.prefix}/jobs/{self.record.id}"

    def send(self, requests: Sequence[Request], content_type: str) -> None:
        """Have the requests answered into their ``.out``.

        What is in the bucket already is neither sent nor classified again, and a job that still runs is waited for.

        Args:
            requests: Those that fail are left without an answer.
            content_type: Of their bodies.

        Raises:
            UserError: AWS refuses, or the job was stopped; what was answered until then stays.
        """
        pending = {request.path.name: request for request in requests}
        if self.record.jobs:
            self.wait_for_job(self.get_job(self.record.jobs[-1]), pending)
            self.download_answers(pending)
            pending = {
                name: request for name, request in pending.items() if read_answers(request, self.columns) is None
            }
        if not pending:
            return
        self.upload_requests(pending)
        job = self.start_job(sorted(pending), content_type)
        status = self.wait_for_job(job, pending)
        self.download_answers(pending)
        if status == "Stopped":
            raise UserError(f"the transform job {job.name} was stopped; resume this run to have the rest classified")

    def upload_requests(self, pending: dict[str, Request]) -> None:
        """Upload the requests that the bucket does not have yet."""
        existing = self.list_objects(f"{self.prefix}/input/")
        missing = [request for name, request in pending.items() if existing.get(name) != request.path.stat().st_size]
        run_in_parallel(self._upload_request, missing, "Uploading")

    def _upload_request(self, request: Request) -> None:
        key = f"{self.prefix}/input/{request.path.name}"
        self.client.upload(request.path, self.aws.bucket, key, **build_encryption_args(self.aws.kms_key))

    def get_job(self, name: str) -> Job:
        """The transform job of this name."""
        return Job(self.client, "transform", name, self.aws.transform.poll_s, f"aws.transform.attach={name}")

    def start_job(self, names: Sequence[str], content_type: str) -> Job:
        """Create a job over the objects of these names."""
        job = self.get_job(self.record.reserve_job_name())
        manifest = [{"prefix": f"s3://{self.aws.bucket}/{self.prefix}/input/"}, *names]
        key = f"{self.prefix}/manifests/{job.name}.json"
        content = json.dumps(manifest)
        self.client.request(
            "s3",
            "put_object",
            {
                "Bucket": self.aws.bucket,
                "Key": key,
                "Body": content.encode(),
                **build_encryption_args(self.aws.kms_key),
            },
        )
        job.create(self.build_job_parameters(self.create_model(), key, content_type))
        if not self.client.dry_run:
            log.info(
                "Transform job %s: %d objects; after a lost terminal: %s", job.name, len(names), job.resume_command
            )
        return job

    def create_model(self) -> str:
        """Create SageMaker's model of the package, once; returns its name."""
        name = f"{self.record.id}-model"
        parameters = {
            "ModelName": name,
            "PrimaryContainer": {"ModelPackageName": self.model_package},
            "ExecutionRoleArn": self.aws.role,
            # The model needs no network, so it gets none.
            "EnableNetworkIsolation": self.aws.network_isolation is not False,
            **build_vpc_config(self.aws),
            **build_tags(self.aws),
        }
        try:
            self.client.request("sagemaker", "create_model", parameters)
        except CloudError as error:
            if "already exist" not in str(error):
                raise
        return name

    def build_job_parameters(self, model: str, manifest: str, content_type: str) -> dict[str, Any]:
        """Parameters of CreateTransformJob, but the job's name."""
        cfg, bucket = self.aws.transform, self.aws.bucket
        output = {
            "S3OutputPath": f"s3://{bucket}/{self.prefix}/output/",
            "Accept": "application/jsonlines",
            "AssembleWith": "None",
        }
        if self.aws.kms_key is not None:
            output["KmsKeyId"] = self.aws.kms_key
        return {
            "ModelName": model,
            "MaxConcurrentTransforms": cfg.max_concurrent,
            "MaxPayloadInMB": cfg.max_payload_mb,
            "ModelClientConfig": {
                "InvocationsTimeoutInSeconds": cfg.timeout_s,
                "InvocationsMaxRetries": cfg.retries,
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
            "TransformResources": {
                "InstanceType": cfg.instance_type,
                "InstanceCount": cfg.instance_count,
                **build_volume_key(self.aws),
            },
            **build_tags(self.aws),
        }

    def wait_for_job(self, job: Job, pending: dict[str, Request]) -> str:
        """Wait until the job has ended, and return its status; what a failed one did not answer is sent again."""

        def count_answered(description: dict[str, Any]) -> int:
            self._stop_overdue(job, description)
            return len(self.list_answered() & set(pending))

        return job.wait(count_answered, len(pending), "objects")

    def _stop_overdue(self, job: Job, description: dict[str, Any]) -> None:
        """Stop a job that runs longer than any may: SageMaker itself knows no such limit for transform jobs."""
        limit, start = self.aws.max_runtime, description.get("TransformStartTime")
        if limit is None or start is None or description["TransformJobStatus"] != "InProgress":
            return
        if (datetime.now(UTC) - start).total_seconds() > limit:
            log.warning("The job %s has run for aws.max_runtime=%d seconds: it is being stopped", job.name, limit)
            self.client.request("sagemaker", "stop_transform_job", job.name_parameter)

    def download_answers(self, pending: dict[str, Request]) -> None:
        """Download the answers that are not here yet."""
        answered = set(pending) if self.client.dry_run else self.list_answered()
        missing = [
            request for name, request in pending.items() if name in answered and not request.output_path.is_file()
        ]
        run_in_parallel(self._download_answer, missing, "Downloading")

    def _download_answer(self, request: Request) -> None:
        """An answer that arrives damaged is fetched once more; one that is damaged in the bucket is asked for again."""
        for _ in range(2):
            self.client.download(
                self.aws.bucket, f"{self.prefix}/output/{request.output_path.name}", request.output_path
            )
            if self.client.dry_run or read_answers(request, self.columns) is not None:
                return
        log.warning("%s: the answer is damaged and will be asked for again", request.output_path.name)
        request.output_path.unlink()

    def clean_up(self) -> None:
        """Delete what ``aws.keep`` does not keep, once all answers are here.

        What cannot be deleted costs no answer, so it is only logged.
        """
        if self.aws.keep == "all" or not self.record.jobs:
            return
        folders = ("",) if self.aws.keep == "none" else ("input/", "manifests/")
        try:
            for folder in folders:
                delete_folder(self.client, self.aws.bucket, f"{self.prefix}/{folder}")
            self._delete_model()
        except CloudError as error:
            log.warning("Faces stay in s3://%s/%s/: %s", self.aws.bucket, self.prefix, error)

    def _delete_model(self) -> None:
        try:
            self.client.request("sagemaker", "delete_model", {"ModelName": f"{self.record.id}-model"})
        except CloudError as error:
            # An earlier attempt has deleted it.
            if "not find" not in str(error):
                raise

    def list_answered(self) -> set[str]:
        """Names of the objects that are answered."""
        return {
            name.removesuffix(".out") for name in self.list_objects(f"{self.prefix}/output/") if name.endswith(".out")
        }

    def list_objects(self, prefix: str) -> dict[str, int]:
        """Name and size in bytes of each object with this prefix."""
        return {
            key.removeprefix(prefix): size
            for key, size in self.client.list_object_sizes(self.aws.bucket, prefix).items()
        }
