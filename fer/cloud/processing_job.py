"""Processing jobs in SageMaker over videos in S3, sharded by key: one result file a video, brought home one by one."""

import json
import logging
import math
import os.path
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from fer.aws.client import AwsClient
from fer.aws.jobs import Job, JobRecord
from fer.aws.s3 import build_encryption_args
from fer.cloud.staging import Staging
from fer.config.aws import SageMakerAws

STATE = "processing.json"
PROCESSING_DIR = "/opt/ml/processing"
log = logging.getLogger(__name__)


class SageMakerProcessing:
    """The processing jobs of one run, which ``folder`` (the run's) remembers."""

    def __init__(self, calls: AwsClient, aws: SageMakerAws, folder: Path, resume_command: str) -> None:
        """``again`` is what a user types to go on with the run."""
        self.calls, self.aws, self.resume_command = calls, aws, resume_command
        self.record = JobRecord(folder / STATE)
        self.prefix = f"{aws.prefix}/jobs/{self.record.id}"

    def wait(self, missing: Collection[str]) -> str:
        """Until the last job has ended, and how; ``wanted`` are the names of the results that are missing."""
        name = self.record.jobs[-1]
        return self.get_job(name).wait(lambda _: len(self.list_results() & set(missing)), len(missing), "videos")

    def get_job(self, name: str) -> Job:
        return Job(self.calls, "processing", name, self.aws.processing.poll_s, self.resume_command)

    def start(
        self, folder: str, names: Sequence[str], input_directories: Mapping[str, Path], command: Sequence[str]
    ) -> None:
        """Create a job over the objects ``names`` in ``folder`` (s3://BUCKET/…/), which runs ``command``.

        Each instance has its share of them in HERE/input/videos, and the files of each directory ``brought`` in
        HERE/input/NAME; what it writes to HERE/output becomes a result. Raises CloudError.
        """
        job = self.get_job(self.record.reserve_job_name())
        manifest = f"{self.prefix}/manifests/{job.name}.json"
        content = json.dumps([{"prefix": folder}, *names])
        destination = {"Bucket": self.aws.bucket, **build_encryption_args(self.aws.kms_key)}
        self.calls.request("s3", "put_object", {**destination, "Key": manifest, "Body": content.encode()})
        staging = Staging(self.calls, self.aws.bucket, self.aws.prefix, self.aws.kms_key)
        inputs = {name: staging.upload_once(directory, name).uri for name, directory in input_directories.items()}
        # A machine without a video would cost and do nothing.
        instances = min(self.aws.processing.instance_count, len(names))
        job.create(self.build_request(f"s3://{self.aws.bucket}/{manifest}", inputs, instances, command))
        if not self.calls.dry_run:
            log.info(
                "Processing job %s: %d videos; after a lost terminal: %s", job.name, len(names), self.resume_command
            )

    def build_request(
        self, manifest: str, inputs: Mapping[str, str], instances: int, command: Sequence[str]
    ) -> dict[str, Any]:
        """Parameters of CreateProcessingJob, but its name."""
        cfg = self.aws.processing
        output = {
            "OutputName": "results",
            "S3Output": {
                "S3Uri": f"s3://{self.aws.bucket}/{self.prefix}/output",
                "LocalPath": f"{PROCESSING_DIR}/output",
                # What is finished leaves the machine at once, so that it is kept whatever becomes of the job.
                "S3UploadMode": "Continuous",
            },
        }
        key = {} if self.aws.kms_key is None else {"KmsKeyId": self.aws.kms_key}
        return {
            "RoleArn": self.aws.role,
            "AppSpecification": {"ImageUri": cfg.image, "ContainerEntrypoint": list(command)},
            "ProcessingInputs": [
                self.build_input("videos", manifest, "ManifestFile", "ShardedByS3Key"),
                *(self.build_input(name, uri, "S3Prefix", "FullyReplicated") for name, uri in inputs.items()),
            ],
            "ProcessingOutputConfig": {"Outputs": [output], **key},
            "ProcessingResources": {
                "ClusterConfig": {
                    "InstanceCount": instances,
                    "InstanceType": cfg.instance_type,
                    "VolumeSizeInGB": cfg.volume_gb,
                }
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": math.ceil(cfg.max_hours * 3600)},
            # Videos come and results go through SageMaker itself; the program needs no network, so it gets none.
            "NetworkConfig": {"EnableNetworkIsolation": True},
            "Tags": [{"Key": key, "Value": value} for key, value in self.aws.tags.items()],
        }

    def build_input(self, name: str, uri: str, data_type: str, distribution: str) -> dict[str, Any]:
        return {
            "InputName": name,
            "S3Input": {
                "S3Uri": uri,
                "LocalPath": f"{PROCESSING_DIR}/input/{name}",
                "S3DataType": data_type,
                "S3InputMode": "File",
                "S3DataDistributionType": distribution,
            },
        }

    def list_results(self) -> set[str]:
        """Names of the results that are in the bucket."""
        prefix = f"{self.prefix}/output/"
        return {key.removeprefix(prefix) for key in self.calls.list_object_sizes(self.aws.bucket, prefix)}

    def download_result(self, name: str, path: Path) -> None:
        self.calls.download(self.aws.bucket, f"{self.prefix}/output/{name}", path)


def find_common_folder(uris: Sequence[str]) -> str:
    """s3://BUCKET/…/ in which all of these objects of one bucket stand, at any depth."""
    return os.path.commonprefix(list(uris)).rpartition("/")[0] + "/"
