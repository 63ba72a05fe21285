"""Checks the section `aws` against AWS's own descriptions of its requests, before any request is sent."""

import logging
import re
from collections.abc import Iterator
from typing import Any

from fer.aws.client import AwsClient
from fer.aws.shapes import find_broken_rule, find_violations
from fer.config.aws import SageMakerAws
from fer.errors import ConfigError

# Key of the section: service, operation and place of the request that its value goes into.
SENT_KEYS: dict[str, tuple[str, str, str]] = {
    "role": ("sagemaker", "CreateTrainingJob", "RoleArn"),
    "image": ("sagemaker", "CreateModelPackage", "InferenceSpecification.Containers.Image"),
    "kms_key": ("sagemaker", "CreateTransformJob", "TransformOutput.KmsKeyId"),
    "volume_kms_key": ("sagemaker", "CreateTrainingJob", "ResourceConfig.VolumeKmsKeyId"),
    "vpc.subnets": ("sagemaker", "CreateTrainingJob", "VpcConfig.Subnets"),
    "vpc.security_groups": ("sagemaker", "CreateTrainingJob", "VpcConfig.SecurityGroupIds"),
    "transform.instance_type": ("sagemaker", "CreateTransformJob", "TransformResources.InstanceType"),
    "transform.instance_count": ("sagemaker", "CreateTransformJob", "TransformResources.InstanceCount"),
    "transform.max_concurrent": ("sagemaker", "CreateTransformJob", "MaxConcurrentTransforms"),
    "transform.max_payload_mb": ("sagemaker", "CreateTransformJob", "MaxPayloadInMB"),
    "transform.timeout_s": ("sagemaker", "CreateTransformJob", "ModelClientConfig.InvocationsTimeoutInSeconds"),
    "transform.retries": ("sagemaker", "CreateTransformJob", "ModelClientConfig.InvocationsMaxRetries"),
    "transform.attach": ("sagemaker", "DescribeTransformJob", "TransformJobName"),
    "processing.image": ("sagemaker", "CreateProcessingJob", "AppSpecification.ImageUri"),
    "processing.instance_type": (
        "sagemaker",
        "CreateProcessingJob",
        "ProcessingResources.ClusterConfig.InstanceType",
    ),
    "processing.volume_gb": (
        "sagemaker",
        "CreateProcessingJob",
        "ProcessingResources.ClusterConfig.VolumeSizeInGB",
    ),
    "training.image": ("sagemaker", "CreateTrainingJob", "AlgorithmSpecification.TrainingImage"),
    "training.instance_type": ("sagemaker", "CreateTrainingJob", "ResourceConfig.InstanceType"),
    "training.volume_gb": ("sagemaker", "CreateTrainingJob", "ResourceConfig.VolumeSizeInGB"),
    "tuning.max_jobs": (
        "sagemaker",
        "CreateHyperParameterTuningJob",
        "HyperParameterTuningJobConfig.ResourceLimits.MaxNumberOfTrainingJobs",
    ),
    "cloudwatch.namespace": ("cloudwatch", "PutMetricData", "Namespace"),
    "cloudwatch.alarm_topic": ("cloudwatch", "PutMetricAlarm", "AlarmActions"),
}
# Of maps: the same for their names and for their values.
SENT_MAPS = {
    "tags": (
        ("sagemaker", "CreateTrainingJob", "Tags.Key"),
        ("sagemaker", "CreateTrainingJob", "Tags.Value"),
    ),
    "cloudwatch.dimensions": (
        ("cloudwatch", "PutMetricData", "MetricData.Dimensions.Name"),
        ("cloudwatch", "PutMetricData", "MetricData.Dimensions.Value"),
    ),
}
# What AWS's documentation says and its description of the API does not: pattern of the whole value, and in words.
ARN_OF_KEY = r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:(key/[a-zA-Z0-9-]+|alias/[a-zA-Z0-9/_-]+)"
KEY_PATTERN = rf"(mrk-)?[0-9a-fA-F-]{{32,36}}|alias/[a-zA-Z0-9/_-]+|{ARN_OF_KEY}"
KEY_FORMS = "a KMS key is named by its id, its ARN, or alias/NAME"
IMAGE_PATTERN = r"[^@]+(@sha256:[0-9a-f]{64})?"
IMAGE_FORMS = "a digest is written @sha256: and 64 digits, after the image's name"
DOCUMENTED_FORMS = {
    "bucket": (
        r"(?!xn--|sthree-|amzn-s3-demo-)(?!.*\.\.)(?!\d+(\.\d+){3}$)"
        r".*(?<!-s3alias)(?<!--ols-s3)(?<!\.mrap)(?<!--x-s3)(?<!--table-s3)",
        "S3 gives a bucket no such name (two dots side by side, an IP address, or a beginning or end that it reserves)",
    ),
    "vpc.subnets": (r"subnet-[0-9a-z]+", "a subnet is named by its id, subnet-…"),
    "vpc.security_groups": (r"sg-[0-9a-z]+", "a security group is named by its id, sg-…"),
    **dict.fromkeys(("image", "processing.image", "training.image"), (IMAGE_PATTERN, IMAGE_FORMS)),
    "kms_key": (KEY_PATTERN, KEY_FORMS),
    "volume_kms_key": (KEY_PATTERN, KEY_FORMS),
    "cloudwatch.namespace": (r"(?!AWS/).*", "what begins with AWS/ is for AWS's own metrics"),
    "cloudwatch.alarm_topic": (
        r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}",
        "a topic is named arn:aws:sns:REGION:ACCOUNT:NAME",
    ),
}
OWN_TAGS = "fer:"
# Instance types with disks of their own, which AWS encrypts by itself and for which it takes no key.
LOCAL_DISKS = re.compile(r"ml\.(\w+d|\w+dn|\w+de|g[4-9]\w*|p[5-9]\w*|trn\w+)[.-]")
log = logging.getLogger(__name__)


def connect(aws: SageMakerAws, dry_run: bool = False) -> AwsClient:
    """Return a client for the section's region, once the whole section is what AWS takes.

    Args:
        aws: The section `aws` of the configuration.
        dry_run: Whether the client records requests instead of sending them.

    Raises:
        ConfigError: AWS would refuse a value, or there is no such region.
        CloudError: AWS's own settings cannot be used.
        UserError: boto3 is not installed.
    """
    client = AwsClient(aws.region, dry_run)
    check_settings(aws, client)
    return client


def check_settings(aws: SageMakerAws, client: AwsClient) -> None:
    """Raise ConfigError for a value that AWS would refuse; the sentence names its key."""
    _check_region(client)
    problem = next(_find_problems(aws, client), None)
    if problem is not None:
        raise ConfigError(f"aws.{problem}")
    for key in ("training", "processing", "transform") if aws.volume_kms_key else ():
        instance_type = getattr(aws, key).instance_type
        if LOCAL_DISKS.match(instance_type):
            log.warning(
                "aws.volume_kms_key: AWS takes no key for the local disks of aws.%s.instance_type=%s, which it "
                "encrypts itself: jobs on it go without; take another type if they must have this key",
                key,
                instance_type,
            )


def _find_problems(aws: SageMakerAws, client: AwsClient) -> Iterator[str]:
    """Yield `key=value: what is wrong` for each value that AWS would refuse, without the name of the section."""
    for key, place in SENT_KEYS.items():
        value = _get_value(aws, key)
        shape = find_shape(client, *place)
        if value is None or value == []:
            continue
        # A single action of an alarm.
        given = [value] if shape.type_name == "list" and not isinstance(value, list) else value
        for violation in find_violations(shape, given):
            yield f"{key}={violation.value or value}: {violation.rule}"
    for key, (pattern, words) in DOCUMENTED_FORMS.items():
        value = _get_value(aws, key)
        for text in value if isinstance(value, list) else [] if value is None else [value]:
            if not re.fullmatch(pattern, str(text)):
                yield f"{key}={text}: {words}"
    for key, (name_place, value_place) in SENT_MAPS.items():
        name_shape, value_shape = find_shape(client, *name_place), find_shape(client, *value_place)
        for name, value in _get_value(aws, key).items():
            if (rule := find_broken_rule(name_shape, name)) is not None:
                yield f"{key}: the name {name!r} {rule}"
            if (rule := find_broken_rule(value_shape, value)) is not None:
                yield f"{key}.{name}={value}: {rule}"
    for name in aws.tags:
        if name.lower().startswith("aws:"):
            yield f"tags: the name {name!r} begins with aws:, which is for AWS's own tags"
        if name.startswith(OWN_TAGS):
            yield f"tags: the name {name!r} begins with {OWN_TAGS}, by which the registry knows its aliases"


def _get_value(aws: SageMakerAws, key: str) -> Any:
    value: Any = aws
    for name in key.split("."):
        value = getattr(value, name)
    return value


def find_shape(client: AwsClient, service: str, operation: str, place: str) -> Any:
    """Return botocore's shape at a place of an operation's request; lists are gone through."""
    shape = client.get_client(service).meta.service_model.operation_model(operation).input_shape
    for name in place.split("."):
        while shape.type_name == "list":
            shape = shape.member
        shape = shape.members[name]
    return shape


def _check_region(client: AwsClient) -> None:
    """Raise ConfigError where botocore knows no region of this name."""
    session = client.session
    known = {
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("sagemaker", partition)
    }
    if client.region not in known:
        raise ConfigError(f"aws.region={client.region}: is no region of SageMaker; name one such as us-east-1")
