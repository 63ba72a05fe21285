"""Processing jobs of SageMaker over videos in S3, sharded by key; each video gives one result file."""

import json
import logging
import os.path
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from fer.aws.client import AwsClient, CloudError
from fer.aws.job_options import build_tag_list, build_volume_key, build_vpc_config, compute_max_runtime
from fer.aws.jobs import Job, JobRecord
from fer.aws.s3 import build_encryption_args, delete_folder
from fer.cloud.staging import Staging
from fer.config.aws import SageMakerAws

STATE = "processing.json"
PROCESSING_DIR = "/opt/ml/processing"
log = logging.getLogger(__name__)


class SageMakerProcessing:
    """The processing jobs of one run.

    Args:
        client: Client for AWS.
        aws: The section `aws` of the configuration.
        folder: Directory of the run's record of its jobs.
        resume_command: What a user types to resume the run.
    """

    def __init__(self, client: AwsClient, aws: SageMakerAws, folder: Path, resume_command: str) -> None:
        self.client, self.aws, self.resume_command = client, aws, resume_command
        self.record = JobRecord(folder / STATE)
        self.prefix = f"{aws.prefix}/jobs/{self.record.id}"

    def wait(self, missing: Collection[str]) -> str:
        """Wait until the last job has ended.

        Args:
            missing: Names of the results that are expected of it.

        Returns:
            The job's final status.

        Raises:
            UserError: AWS refuses to answer, or was out of reach for too long.
        """
        job = self._get_job(self.record.jobs[-1])
        return job.wait(lambda _: len(self.list_results() & set(missing)), len(missing), "videos")

    def _get_job(self, name: str) -> Job:
        return Job(self.client, "processing", name, self.aws.processing.poll_s, self.resume_command)

    def start(
        self, folder: str, names: Sequence[str], input_directories: Mapping[str, Path], command: Sequence[str]
    ) -> None:
        """Create a job over objects in S3.

        Each instance has its shard of the objects in PROCESSING_DIR/input/videos; each file that it writes to
        PROCESSING_DIR/output becomes a result.

        Args:
            folder: Folder of the objects, s3://BUCKET/…/.
            names: Keys of the objects within the folder.
            input_directories: Local directories whose files every instance has in PROCESSING_DIR/input/NAME.
            command: What an instance runs.

        Raises:
            CloudError: AWS refused or did not answer.
        """
        job = self._get_job(self.record.reserve_job_name())
        manifest = f"{self.prefix}/manifests/{job.name}.json"
        content = json.dumps([{"prefix": folder}, *names])
        destination = {"Bucket": self.aws.bucket, **build_encryption_args(self.aws.kms_key)}
        self.client.request("s3", "put_object", {**destination, "Key": manifest, "Body": content.encode()})
        staging = Staging(self.client, self.aws.bucket, self.aws.prefix, self.aws.kms_key)
        inputs = {name: staging.upload_once(directory, name).uri for name, directory in input_directories.items()}
        # An instance without a video would cost money and do nothing.
        instances = min(self.aws.processing.instance_count, len(names))
        job.create(self.build_request(f"s3://{self.aws.bucket}/{manifest}", inputs, instances, command))
        if not self.client.dry_run:
            log.info(
                "Processing job %s: %d videos; after a lost terminal: %s", job.name, len(names), self.resume_command
            )

    def build_request(
        self, manifest: str, inputs: Mapping[str, str], instances: int, command: Sequence[str]
    ) -> dict[str, Any]:
        """Return the parameters of CreateProcessingJob without the job's name."""
        cfg = self.aws.processing
        output = {
            "OutputName": "results",
            "S3Output": {
                "S3Uri": f"s3://{self.aws.bucket}/{self.prefix}/output",
                "LocalPath": f"{PROCESSING_DIR}/output",
                # Finished files leave the machine at once, so that they survive whatever becomes of the job.
                "S3UploadMode": "Continuous",
            },
        }
        key = {} if self.aws.kms_key is None else {"KmsKeyId": self.aws.kms_key}
        return {
            "RoleArn": self.aws.role,
            "AppSpecification": {"ImageUri": cfg.image, "ContainerEntrypoint": list(command)},
            "ProcessingInputs": [
                self._build_input("videos", manifest, "ManifestFile", "ShardedByS3Key"),
                *(self._build_input(name, uri, "S3Prefix", "FullyReplicated") for name, uri in inputs.items()),
            ],
            "ProcessingOutputConfig": {"Outputs": [output], **key},
            "ProcessingResources": {
                "ClusterConfig": {
                    "InstanceCount": instances,
                    "InstanceType": cfg.instance_type,
                    "VolumeSizeInGB": cfg.volume_gb,
                    **build_volume_key(self.aws),
                }
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": compute_max_runtime(self.aws, cfg.max_hours)},
            "NetworkConfig": self._build_network(),
            "Tags": build_tag_list(self.aws),
        }

    def _build_network(self) -> dict[str, Any]:
        # SageMaker itself transfers videos and results; the program needs no network, so it gets none.
        network = {"EnableNetworkIsolation": self.aws.network_isolation is not False, **build_vpc_config(self.aws)}
        return {**network, "EnableInterContainerTrafficEncryption": True} if self.aws.encrypt_traffic else network

    def _build_input(self, name: str, uri: str, data_type: str, distribution: str) -> dict[str, Any]:
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
        """Return the names of the results that are in the bucket. Raises CloudError."""
        prefix = f"{self.prefix}/output/"
        return {key.removeprefix(prefix) for key in self.client.list_object_sizes(self.aws.bucket, prefix)}

    def clean_up(self) -> None:
        """Delete the results, which hold faces, unless ``aws.keep`` keeps all; they are on this machine.

        What cannot be deleted is only logged.
        """
        if self.aws.keep == "all" or not self.record.jobs:
            return
        try:
            delete_folder(self.client, self.aws.bucket, f"{self.prefix}/")
        except CloudError as error:
            log.warning("Faces stay in s3://%s/%s/: %s", self.aws.bucket, self.prefix, error)

    def download_result(self, name: str, path: Path) -> None:
        """Download one result to ``path``. Raises CloudError."""
        self.client.download(self.aws.bucket, f"{self.prefix}/output/{name}", path)


def find_common_folder(uris: Sequence[str]) -> str:
    """Return the deepest folder, s3://BUCKET/…/, that holds all of these objects of one bucket."""
    return os.path.commonprefix(list(uris)).rpartition("/")[0] + "/"
