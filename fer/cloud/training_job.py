"""The request for a training job, as the ModelTrainer of SageMaker's SDK makes it."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import boto3
from typing_extensions import override

from fer.aws.client import AwsClient
from fer.aws.job_options import HOUR_S, compute_max_runtime
from fer.cloud.staging import InputChannel, Staging
from fer.config.aws import SageMakerAws
from fer.core.archive import iter_files

# The SDK reports each use to AWS by default.
SETTINGS = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}


@dataclass(frozen=True)
class TrainingJob:
    """What a training job runs, and on what.

    Args:
        code: Archive of the code.
        command: What is run in the directory of the code; None runs the image's own command.
        inputs: Further inputs of the container.
        metrics: Regular expressions by which SageMaker finds metrics in the log, by metric.
        network: Whether the container may use the network.
        tags: Tags of the job.
    """

    code: InputChannel
    command: str | None
    inputs: Sequence[InputChannel]
    metrics: Mapping[str, str]
    network: bool
    tags: Mapping[str, str]


class _RequestCapturedError(Exception):
    """Stops the SDK just before it sends a request."""

    def __init__(self, request: dict[str, Any]) -> None:
        super().__init__()
        self.request = request


class _ClientSession(boto3.Session):
    """Makes the SDK use our clients, and no client of IAM: it would ask for rights that nobody needs."""

    def __init__(self, client: AwsClient) -> None:
        super().__init__(region_name=client.region)
        self._aws_client = client

    @override
    def client(self, service_name: str, *_: Any, **__: Any) -> Any:
        return None if service_name == "iam" else self._aws_client.get_client(service_name)


def build_training_request(client: AwsClient, aws: SageMakerAws, staging: Staging, job: TrainingJob) -> dict[str, Any]:
    """Return the parameters of CreateTrainingJob, and upload the SDK's own scripts, which start the job's command.

    Args:
        client: Client for AWS.
        aws: The section `aws` of the configuration.
        staging: Uploads for this job.
        job: What the job runs.

    Raises:
        CloudError: AWS refused or did not answer, or the SDK finds a parameter wrong.
    """
    # AWS itself refuses a role that lacks a right.
    os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"
    for name in ("sagemaker", "sagemaker.config"):
        logging.getLogger(name).setLevel(logging.ERROR)
    trainer = _build_trainer(client, aws, staging, job)
    events, event = client.get_client("sagemaker").meta.events, "before-parameter-build.sagemaker.CreateTrainingJob"
    events.register(event, _capture_request)
    try:
        client.attempt("sagemaker:CreateTrainingJob", lambda: trainer.train(wait=False, logs=False))
    except _RequestCapturedError as captured:
        return captured.request
    finally:
        events.unregister(event, _capture_request)
    raise AssertionError("the SDK made no request")


def _build_trainer(client: AwsClient, aws: SageMakerAws, staging: Staging, job: TrainingJob) -> Any:
    """Return the SDK's ModelTrainer for a job."""
    # The SDK takes five seconds to import.
    from sagemaker.core.helper.session_helper import Session
    from sagemaker.core.training import configs
    from sagemaker.train import ModelTrainer

    class StagingSession(Session):
        """Uploads by our staging, below a prefix that is the same for the same scripts."""

        @override
        def default_bucket(self) -> str:
            return staging.bucket

        @override
        def upload_data(self, path: str, bucket: Any = None, key_prefix: str = "", *_: Any, **__: Any) -> str:
            folder = f"drivers/{Path(key_prefix).name}"
            for name, file in iter_files(Path(path)):
                staging.put(file, f"{folder}/{name}")
            return staging.build_uri(folder)

    cfg = aws.training
    source, inputs = None, [*job.inputs]
    if job.command is None:
        inputs.append(job.code)
    else:
        requirements = "requirements.lock" if cfg.install else None
        source = configs.SourceCode(source_dir=job.code.object_uri, command=job.command, requirements=requirements)
    runtime = compute_max_runtime(aws, cfg.max_hours)
    max_wait = 2 * runtime if cfg.max_wait_hours is None else round(cfg.max_wait_hours * HOUR_S)
    wait = {"max_wait_time_in_seconds": max_wait} if cfg.spot else {}
    vpc = {"subnets": aws.vpc.subnets, "security_group_ids": aws.vpc.security_groups} if aws.vpc.subnets else {}
    encryption = {"enable_inter_container_traffic_encryption": True} if aws.encrypt_traffic else {}
    return ModelTrainer(
        sagemaker_session=StagingSession(
            _ClientSession(client), default_bucket=staging.bucket, sagemaker_config=SETTINGS
        ),
        role=aws.role,
        base_job_name="fer",
        training_image=cfg.image,
        source_code=source,
        compute=configs.Compute(
            instance_type=cfg.instance_type,
            instance_count=cfg.instance_count,
            volume_size_in_gb=cfg.volume_gb,
            enable_managed_spot_training=cfg.spot,
            **({} if aws.volume_kms_key is None else {"volume_kms_key_id": aws.volume_kms_key}),
        ),
        networking=configs.Networking(enable_network_isolation=not job.network, **vpc, **encryption),
        stopping_condition=configs.StoppingCondition(max_runtime_in_seconds=runtime, **wait),
        output_data_config=configs.OutputDataConfig(
            s3_output_path=staging.build_uri("output"), compression_type="GZIP", kms_key_id=aws.kms_key
        ),
        checkpoint_config=configs.CheckpointConfig(s3_uri=staging.build_uri("checkpoints")) if cfg.spot else None,
        input_data_config=[configs.InputData(channel_name=item.channel, data_source=item.uri) for item in inputs],
        tags=[configs.Tag(key=key, value=value) for key, value in job.tags.items()],
    ).with_metric_definitions([configs.MetricDefinition(name=name, regex=regex) for name, regex in job.metrics.items()])


def _capture_request(params: dict[str, Any], **_: Any) -> NoReturn:
    raise _RequestCapturedError(params)
