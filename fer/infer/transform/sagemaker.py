"""Batch transform in SageMaker: objects in S3, jobs over those that are missing, and their answers fetched back."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fer.aws.client import AwsCalls, CloudError
from fer.aws.jobs import Job, JobRecord
from fer.aws.s3 import encryption, in_parallel
from fer.config.aws import SageMakerAws
from fer.errors import UserError
from fer.infer.transform.shards import Request, answers

STATE = "transform.json"
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
        self.record = JobRecord(folder / STATE)
        self.prefix = f"{aws.prefix}/jobs/{self.record.id}"

    def send(self, requests: Sequence[Request], content_type: str) -> None:
        """Have the requests answered into their ``.out``; those that fail are left without.

        What is in the bucket already is neither sent nor judged again, and a job that still runs is waited for.
        Raises UserError; what was answered until then stays.
        """
        wanted = {request.path.name: request for request in requests}
        if self.record.jobs:
            self.wait(self.job(self.record.jobs[-1]), wanted)
            self.fetch(wanted)
            wanted = {name: request for name, request in wanted.items() if answers(request, self.classes) is None}
        if not wanted:
            return
        self.upload(wanted)
        job = self.start(sorted(wanted), content_type)
        status = self.wait(job, wanted)
        self.fetch(wanted)
        if status == "Stopped":
            raise UserError(f"the transform job {job.name} was stopped; resume this run to have the rest judged")

    def upload(self, wanted: dict[str, Request]) -> None:
        there = self.listed(f"{self.prefix}/input/")
        left = [r for name, r in wanted.items() if there.get(name) != r.path.stat().st_size]
        in_parallel(self.put, left, "Uploading")

    def put(self, request: Request) -> None:
        key = f"{self.prefix}/input/{request.path.name}"
        self.calls.upload(request.path, self.aws.bucket, key, **encryption(self.aws.kms_key))

    def job(self, name: str) -> Job:
        again = f"aws.transform.attach={name}"
        return Job(self.calls, "transform", name, self.aws.transform.poll_s, again)

    def start(self, names: Sequence[str], content_type: str) -> Job:
        """Create a job over the objects of these names."""
        job = self.job(self.record.new())
        manifest = [{"prefix": f"s3://{self.aws.bucket}/{self.prefix}/input/"}, *names]
        key = f"{self.prefix}/manifests/{job.name}.json"
        content = json.dumps(manifest)
        self.calls.call(
            "s3",
            "put_object",
            {"Bucket": self.aws.bucket, "Key": key, "Body": content.encode(), **encryption(self.aws.kms_key)},
        )
        job.create(self.job_of(self.model(), key, content_type))
        log.info("Transform job %s: %d objects; after a lost terminal: %s", job.name, len(names), job.again)
        return job

    def model(self) -> str:
        """SageMaker's model of the package, created once."""
        name = f"{self.record.id}-model"
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

    def job_of(self, model: str, manifest: str, content_type: str) -> dict[str, Any]:
        """Parameters of CreateTransformJob, but its name."""
        chosen, bucket = self.aws.transform, self.aws.bucket
        output = {
            "S3OutputPath": f"s3://{bucket}/{self.prefix}/output/",
            "Accept": "application/jsonlines",
            "AssembleWith": "None",
        }
        if self.aws.kms_key is not None:
            output["KmsKeyId"] = self.aws.kms_key
        return {
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

    def wait(self, job: Job, wanted: dict[str, Request]) -> str:
        """Until the job has ended, and how; what a failed one did not answer is sent again."""
        return job.wait(lambda _: len(self.outputs() & set(wanted)), len(wanted), "objects")

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
