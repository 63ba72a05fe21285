"""Processing jobs in SageMaker over videos in S3, sharded by key: one result file a video, brought home one by one."""

import json
import logging
import math
import os.path
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from fer.aws.client import AwsCalls
from fer.aws.jobs import Job, JobRecord
from fer.aws.s3 import encryption
from fer.cloud.staging import Staging
from fer.config.aws import SageMakerAws

STATE = "processing.json"
HERE = "/opt/ml/processing"
log = logging.getLogger(__name__)


class SageMakerProcessing:
    """The processing jobs of one run, which ``folder`` (the run's) remembers."""

    def __init__(self, calls: AwsCalls, aws: SageMakerAws, folder: Path, again: str) -> None:
        """``again`` is what a user types to go on with the run."""
        self.calls, self.aws, self.again = calls, aws, again
        self.record = JobRecord(folder / STATE)
        self.prefix = f"{aws.prefix}/jobs/{self.record.id}"

    def wait(self, wanted: Collection[str]) -> str:
        """Until the last job has ended, and how; ``wanted`` are the names of the results that are missing."""
        name = self.record.jobs[-1]
        return self.job(name).wait(lambda _: len(self.results() & set(wanted)), len(wanted), "videos")

    def job(self, name: str) -> Job:
        return Job(self.calls, "processing", name, self.aws.processing.poll_s, self.again)

    def start(self, folder: str, names: Sequence[str], brought: Mapping[str, Path], command: Sequence[str]) -> None:
        """Create a job over the objects ``names`` in ``folder`` (s3://BUCKET/…/), which runs ``command``.

        Each instance has its share of them in HERE/input/videos, and the files of each directory ``brought`` in
        HERE/input/NAME; what it writes to HERE/output becomes a result. Raises CloudError.
        """
        job = self.job(self.record.new())
        manifest = f"{self.prefix}/manifests/{job.name}.json"
        content = json.dumps([{"prefix": folder}, *names])
        where = {"Bucket": self.aws.bucket, **encryption(self.aws.kms_key)}
        self.calls.call("s3", "put_object", {**where, "Key": manifest, "Body": content.encode()})
        staging = Staging(self.calls, self.aws.bucket, self.aws.prefix, self.aws.kms_key)
        inputs = {name: staging.once(directory, name).uri for name, directory in brought.items()}
        # A machine without a video would cost and do nothing.
        instances = min(self.aws.processing.instance_count, len(names))
        job.create(self.job_of(f"s3://{self.aws.bucket}/{manifest}", inputs, instances, command))
        if not self.calls.dry_run:
            log.info("Processing job %s: %d videos; after a lost terminal: %s", job.name, len(names), self.again)

    def job_of(
        self, manifest: str, inputs: Mapping[str, str], instances: int, command: Sequence[str]
    ) -> dict[str, Any]:
        """Parameters of CreateProcessingJob, but its name."""
        chosen = self.aws.processing
        output = {
            "OutputName": "results",
            "S3Output": {
                "S3Uri": f"s3://{self.aws.bucket}/{self.prefix}/output",
                "LocalPath": f"{HERE}/output",
                # What is finished leaves the machine at once, so that it is kept whatever becomes of the job.
                "S3UploadMode": "Continuous",
            },
        }
        key = {} if self.aws.kms_key is None else {"KmsKeyId": self.aws.kms_key}
        return {
            "RoleArn": self.aws.role,
            "AppSpecification": {"ImageUri": chosen.image, "ContainerEntrypoint": list(command)},
            "ProcessingInputs": [
                self.input_of("videos", manifest, "ManifestFile", "ShardedByS3Key"),
                *(self.input_of(name, uri, "S3Prefix", "FullyReplicated") for name, uri in inputs.items()),
            ],
            "ProcessingOutputConfig": {"Outputs": [output], **key},
            "ProcessingResources": {
                "ClusterConfig": {
                    "InstanceCount": instances,
                    "InstanceType": chosen.instance_type,
                    "VolumeSizeInGB": chosen.volume_gb,
                }
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": math.ceil(chosen.max_hours * 3600)},
            # Videos come and results go through SageMaker itself; the program needs no network, so it gets none.
            "NetworkConfig": {"EnableNetworkIsolation": True},
            "Tags": [{"Key": key, "Value": value} for key, value in self.aws.tags.items()],
        }

    def input_of(self, name: str, uri: str, data_type: str, distribution: str) -> dict[str, Any]:
        return {
            "InputName": name,
            "S3Input": {
                "S3Uri": uri,
                "LocalPath": f"{HERE}/input/{name}",
                "S3DataType": data_type,
                "S3InputMode": "File",
                "S3DataDistributionType": distribution,
            },
        }

    def results(self) -> set[str]:
        """Names of the results that are in the bucket."""
        prefix = f"{self.prefix}/output/"
        return {key.removeprefix(prefix) for key in self.calls.objects(self.aws.bucket, prefix)}

    def fetch(self, name: str, path: Path) -> None:
        self.calls.download(self.aws.bucket, f"{self.prefix}/output/{name}", path)


def common_folder(uris: Sequence[str]) -> str:
    """s3://BUCKET/…/ in which all of these objects of one bucket stand, at any depth."""
    return os.path.commonprefix(list(uris)).rpartition("/")[0] + "/"
