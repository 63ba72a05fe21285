"""The request of a training job, as the ModelTrainer of SageMaker's SDK makes it."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import boto3

from fer.aws.client import AwsClient
from fer.cloud.staging import InputChannel, Staging
from fer.config.aws import SageMakerAws
from fer.core.archive import iter_files

HOUR_S = 3600
# The SDK tells its makers of each use unless it is told not to.
SETTINGS = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}


class _CapturedRequest(Exception):
    """The request that the SDK was about to send."""

    def __init__(self, request: dict[str, Any]) -> None:
        super().__init__()
        self.request = request


class _ClientSession(boto3.Session):
    """Has the SDK use the clients of ``calls``; none of IAM, whose rights it would ask for and nobody needs."""

    def __init__(self, calls: AwsClient) -> None:
        super().__init__(region_name=calls.region)
        self.calls = calls

    def client(self, service_name: str, *_: Any, **__: Any) -> Any:
        return None if service_name == "iam" else self.calls.get_client(service_name)


def build_training_request(
    calls: AwsClient,
    aws: SageMakerAws,
    staging: Staging,
    code: InputChannel,
    command: str | None,
    inputs: Sequence[InputChannel],
    metrics: Mapping[str, str],
    network: bool,
    tags: Mapping[str, str],
) -> dict[str, Any]:
    """Parameters of CreateTrainingJob; the SDK's own scripts, which start ``command``, are uploaded by this.

    ``code`` is the archive that the command runs in, without a ``command`` the image's own. ``metrics`` are the
    regular expressions of figures in the log, ``network`` is whether the container may reach anything. Raises
    CloudError.
    """
    # AWS itself refuses a role that lacks a right.
    os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"
    for name in ("sagemaker", "sagemaker.config"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # The SDK takes five seconds to import.
    from sagemaker.core.helper.session_helper import Session
    from sagemaker.core.training import configs
    from sagemaker.train import ModelTrainer

    class OurUploads(Session):
        def default_bucket(self) -> str:
            return staging.bucket

        def upload_data(self, path: str, bucket: Any = None, key_prefix: str = "", *_: Any, **__: Any) -> str:
            folder = f"drivers/{Path(key_prefix).name}"
            for name, file in iter_files(Path(path)):
                staging.put(file, f"{folder}/{name}")
            return staging.build_uri(folder)

    cfg = aws.training
    source = None
    if command is None:
        inputs = [*inputs, code]
    else:
        requirements = "requirements.lock" if cfg.install else None
        source = configs.SourceCode(source_dir=code.object_uri, command=command, requirements=requirements)
    wait = {"max_wait_time_in_seconds": _to_seconds(cfg.max_wait_hours or 2 * cfg.max_hours)} if cfg.spot else {}
    trainer = ModelTrainer(
        sagemaker_session=OurUploads(_ClientSession(calls), default_bucket=staging.bucket, sagemaker_config=SETTINGS),
        role=aws.role,
        base_job_name="fer",
        training_image=cfg.image,
        source_code=source,
        compute=configs.Compute(
            instance_type=cfg.instance_type,
            instance_count=cfg.instance_count,
            volume_size_in_gb=cfg.volume_gb,
            enable_managed_spot_training=cfg.spot,
        ),
        networking=configs.Networking(enable_network_isolation=not network),
        stopping_condition=configs.StoppingCondition(max_runtime_in_seconds=_to_seconds(cfg.max_hours), **wait),
        output_data_config=configs.OutputDataConfig(
            s3_output_path=staging.build_uri("output"), compression_type="GZIP", kms_key_id=aws.kms_key
        ),
        checkpoint_config=configs.CheckpointConfig(s3_uri=staging.build_uri("checkpoints")) if cfg.spot else None,
        input_data_config=[configs.InputData(channel_name=one.channel, data_source=one.uri) for one in inputs],
        tags=[configs.Tag(key=key, value=value) for key, value in tags.items()],
    ).with_metric_definitions([configs.MetricDefinition(name=name, regex=regex) for name, regex in metrics.items()])
    events, event = calls.get_client("sagemaker").meta.events, "before-parameter-build.sagemaker.CreateTrainingJob"
    events.register(event, _capture_request)
    try:
        calls.attempt("sagemaker:CreateTrainingJob", lambda: trainer.train(wait=False, logs=False))
    except _CapturedRequest as found:
        return found.request
    finally:
        events.unregister(event, _capture_request)
    raise AssertionError("the SDK made no request")


def _capture_request(params: dict[str, Any], **_: Any) -> NoReturn:
    raise _CapturedRequest(params)


def _to_seconds(hours: float) -> int:
    return round(hours * HOUR_S)
