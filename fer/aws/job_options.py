"""What the section `aws` says of every job: network, disks, tags, the longest time."""

from typing import Any

from fer.config.aws import SageMakerAws

HOUR_S = 3600


def build_vpc_config(aws: SageMakerAws) -> dict[str, Any]:
    """Return the argument VpcConfig of a job or model; empty where jobs run in SageMaker's own network."""
    if not aws.vpc.subnets:
        return {}
    return {"VpcConfig": {"Subnets": aws.vpc.subnets, "SecurityGroupIds": aws.vpc.security_groups}}


def build_volume_key(aws: SageMakerAws) -> dict[str, str]:
    """Return the argument VolumeKmsKeyId of a job's machines; empty where no key is named."""
    return {} if aws.volume_kms_key is None else {"VolumeKmsKeyId": aws.volume_kms_key}


def build_tag_list(aws: SageMakerAws) -> list[dict[str, str]]:
    """Return the configured tags as AWS takes them."""
    return [{"Key": key, "Value": value} for key, value in aws.tags.items()]


def build_tags(aws: SageMakerAws) -> dict[str, Any]:
    """Return the argument Tags of what is created; empty where there are none."""
    return {"Tags": tags} if (tags := build_tag_list(aws)) else {}


def compute_max_runtime(aws: SageMakerAws, max_hours: float) -> int:
    """Return after how many seconds a job is stopped: its own limit, or the one of all jobs where that is less."""
    seconds = round(max_hours * HOUR_S)
    return seconds if aws.max_runtime is None else min(seconds, aws.max_runtime)
