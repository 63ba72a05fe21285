"""The requests that make and change an endpoint of SageMaker, from a registered version."""

import json
import logging
from dataclasses import dataclass
from typing import Any

from fer.aws.client import AwsClient
from fer.aws.job_options import build_tag_list, build_vpc_config
from fer.aws.settings import LOCAL_DISKS, find_shape
from fer.aws.shapes import find_violations
from fer.cloud.endpoint_names import VARIANT, build_folder_uri, build_output_uri, compute_digest
from fer.config import SageMakerAws
from fer.config.deploy import Deploy, Update
from fer.errors import ConfigError
from fer.registry.base import ModelVersion
from fer.registry.sagemaker_endpoints import MODEL_TAG, VERSION_TAG

TRAFFIC = {"all_at_once": "ALL_AT_ONCE", "canary": "CANARY", "linear": "LINEAR"}
STEP_KEYS = {"canary": "CanarySize", "linear": "LinearStepSize"}
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Deployment:
    """What an endpoint is to serve, and on what.

    Args:
        name: Name of SageMaker's model and of the endpoint's configuration; the same content has the same name.
        model: Parameters of CreateModel.
        config: Parameters of CreateEndpointConfig.
        tags: Tags of the endpoint.
        uri: The version, as ``model_uri`` names it.
    """

    name: str
    model: dict[str, Any]
    config: dict[str, Any]
    tags: list[dict[str, str]]
    uri: str


def build_deployment(
    client: AwsClient, aws: SageMakerAws, deploy: Deploy, version: ModelVersion, endpoint: str
) -> Deployment:
    """Return what an endpoint consists of.

    Args:
        client: Client for AWS, whose descriptions the values are checked against.
        aws: The section `aws` of the configuration.
        deploy: The section `registry.deploy`.
        version: The version that is served, of a registry in SageMaker.
        endpoint: Name of the endpoint.

    Raises:
        ConfigError: SageMaker would refuse a value.
    """
    _check_settings(client, aws, deploy)
    tags = [{"Key": MODEL_TAG, "Value": version.name}, *build_tag_list(aws)]
    version_tags = [{"Key": VERSION_TAG, "Value": str(version.version)}, *tags]
    network = {"EnableNetworkIsolation": aws.network_isolation is not False, **build_vpc_config(aws)}
    model = {
        "PrimaryContainer": {"ModelPackageName": version.source},
        "ExecutionRoleArn": aws.role,
        # Endpoints without machines of their own can have neither.
        **({"EnableNetworkIsolation": False} if deploy.target == "serverless" else network),
        "Tags": version_tags,
    }
    config = {
        "ProductionVariants": [{"VariantName": VARIANT, "InitialVariantWeight": 1.0, **_build_machines(deploy)}],
        **build_volume_key(aws, deploy),
        **_build_storage(aws, deploy, endpoint),
        "Tags": version_tags,
    }
    name = f"{endpoint}-{compute_digest(json.dumps([model, config], sort_keys=True))}"
    variant = {**config["ProductionVariants"][0], "ModelName": name}
    return Deployment(
        name,
        {"ModelName": name, **model},
        {**config, "EndpointConfigName": name, "ProductionVariants": [variant]},
        tags,
        version.uri,
    )


def build_update_policy(deploy: Deploy) -> dict[str, Any]:
    """Return the argument DeploymentConfig of UpdateEndpoint; none where there are no machines of its own."""
    if deploy.target == "serverless":
        return {}
    alarms = [{"AlarmName": name} for name in deploy.update.alarms]
    rollback = {"AutoRollbackConfiguration": {"Alarms": alarms}} if alarms else {}
    policy = {"TrafficRoutingConfiguration": _build_traffic(deploy.update), "TerminationWaitInSeconds": 0}
    return {"DeploymentConfig": {"BlueGreenUpdatePolicy": policy, **rollback}}


def _build_traffic(update: Update) -> dict[str, Any]:
    traffic: dict[str, Any] = {"Type": TRAFFIC[update.traffic], "WaitIntervalInSeconds": update.wait_s}
    if key := STEP_KEYS.get(update.traffic):
        traffic[key] = {"Type": "CAPACITY_PERCENT", "Value": update.step_percent}
    return traffic


def _build_machines(deploy: Deploy) -> dict[str, Any]:
    if deploy.target != "serverless":
        return {"InstanceType": deploy.instance_type, "InitialInstanceCount": deploy.instance_count}
    kept = deploy.provisioned_concurrency
    size = {"MemorySizeInMB": deploy.memory_mb, "MaxConcurrency": deploy.max_concurrency}
    return {"ServerlessConfig": {**size, **({} if kept is None else {"ProvisionedConcurrency": kept})}}


def build_volume_key(aws: SageMakerAws, deploy: Deploy) -> dict[str, str]:
    """Return the argument KmsKeyId, for the machines' disks, where SageMaker takes one."""
    if aws.volume_kms_key is None:
        return {}
    if deploy.target == "serverless" or LOCAL_DISKS.match(deploy.instance_type):
        what = "serverless endpoints" if deploy.target == "serverless" else f"the disks of {deploy.instance_type}"
        log.warning("aws.volume_kms_key: AWS takes no key for %s, which it encrypts itself: none is named", what)
        return {}
    return {"KmsKeyId": aws.volume_kms_key}


def _build_storage(aws: SageMakerAws, deploy: Deploy, endpoint: str) -> dict[str, Any]:
    """Return where requests and answers are kept, if they are."""
    key = {} if aws.kms_key is None else {"KmsKeyId": aws.kms_key}
    if deploy.target == "async":
        output = build_output_uri(aws, deploy, endpoint)
        places = {"S3OutputPath": output, "S3FailurePath": f"{output}/failed", **key}
        client = {"MaxConcurrentInvocationsPerInstance": deploy.max_concurrency}
        return {"AsyncInferenceConfig": {"OutputConfig": places, "ClientConfig": client}}
    if not deploy.capture_percent:
        return {}
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": deploy.capture_percent,
        "DestinationS3Uri": f"{build_folder_uri(aws, endpoint)}/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        **key,
    }
    return {"DataCaptureConfig": capture}


def _check_settings(client: AwsClient, aws: SageMakerAws, deploy: Deploy) -> None:
    """Raise ConfigError for what SageMaker would refuse; the sentence names the key."""
    if aws.role is None:
        raise ConfigError("aws.role: SageMaker needs a role to run the endpoint with; add aws.role=ARN")
    if deploy.target == "serverless" and (aws.vpc.subnets or aws.network_isolation):
        key = "aws.vpc" if aws.vpc.subnets else "aws.network_isolation=true"
        raise ConfigError(f"{key}: SageMaker gives serverless endpoints none; use registry.deploy.target=sagemaker")
    if deploy.target != "serverless":
        shape = find_shape(client, "sagemaker", "CreateEndpointConfig", "ProductionVariants.InstanceType")
        for violation in find_violations(shape, deploy.instance_type):
            raise ConfigError(f"registry.deploy.instance_type={deploy.instance_type}: {violation.rule}")
