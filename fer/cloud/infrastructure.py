"""`python -m fer.cloud.infrastructure aws.bucket=… aws.role=… [key=value …]` prints a CloudFormation template.

It makes what the other commands need, under the names that the configuration has: bucket, role, repositories of images,
log groups with a retention, alarms, and a policy for who types the commands. Its rights are those of
`python -m fer.cloud.policy`, with `--pipelines` those of pipelines too.
"""

import hashlib
import json
import re
import sys
from collections.abc import Sequence
from typing import Any

from fer.aws.jobs import format_log_group
from fer.aws.s3 import PUBLIC_ACCESS_BLOCKS
from fer.aws.settings import connect
from fer.cloud.policy import LOGGED_JOBS, VERSION, build_policies
from fer.cloud.printing import print_document
from fer.config import Config, SageMakerAws
from fer.monitoring.cloudwatch import put_alarms

REPOSITORIES = ("fer", "fer-jobs")
FACE_RETENTION_DAYS, LOG_RETENTION_DAYS, UNTAGGED_IMAGE_DAYS = 30, 90, 14
MAX_LOGICAL_ID, ID_HASH = 255, 12  # characters
# What CloudWatch Logs takes.
LOG_RETENTIONS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180),
    *(365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
# Alarms where inference.monitor sets no limit: half of a batch could not be classified.
DEFAULT_MAX_FAILURES = 0.5
# Without these a stack's deletion would take models and images with it.
RETAINED = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}


def build_template(config: Config, pipelines: bool = False) -> dict[str, Any]:
    """Return the CloudFormation template of what a configuration needs in AWS.

    Args:
        config: The configuration, which must be for SageMaker and name a role.
        pipelines: Give the role the rights of the steps of `fer cloud pipeline`.

    Raises:
        ConfigError: No role is named.
    """
    policies = build_policies(config, pipelines)
    aws = config.aws
    assert isinstance(aws, SageMakerAws) and aws.role is not None
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"What fer needs in AWS: bucket {aws.bucket}, role, repositories, logs, alarms",
        "Parameters": _build_parameters(),
        "Conditions": {"CreatesLogGroups": {"Fn::Equals": [{"Ref": "CreateLogGroups"}, "true"]}},
        "Resources": {
            "Bucket": _build_bucket(aws),
            "BucketPolicy": _build_bucket_policy(aws),
            "Role": _build_role(aws, policies),
            "CallerPolicy": _build_caller_policy(aws, policies),
            **_build_repositories(aws),
            **_build_log_groups(aws),
            **_build_alarms(config, aws),
        },
        "Outputs": {
            "BucketName": {"Value": {"Ref": "Bucket"}, "Description": "aws.bucket"},
            "RoleArn": {"Value": {"Fn::GetAtt": ["Role", "Arn"]}, "Description": "aws.role"},
            "CallerPolicyArn": {"Value": {"Ref": "CallerPolicy"}, "Description": "For who types the commands"},
        },
    }


def _build_parameters() -> dict[str, Any]:
    return {
        "FaceRetentionDays": {
            "Type": "Number",
            "Default": FACE_RETENTION_DAYS,
            "MinValue": 1,
            "MaxValue": 3650,
            "Description": "Faces, answers and inputs of jobs are deleted after so many days",
        },
        "LogRetentionDays": {
            "Type": "Number",
            "Default": LOG_RETENTION_DAYS,
            "AllowedValues": list(LOG_RETENTIONS),
            "Description": "Logs of jobs are deleted after so many days",
        },
        "CreateLogGroups": {
            "Type": "String",
            "Default": "true",
            "AllowedValues": ["true", "false"],
            "Description": "false where SageMaker has made the log groups of its jobs in this region already",
        },
    }


def _build_bucket(aws: SageMakerAws) -> dict[str, Any]:
    encryption: dict[str, Any] = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    if aws.kms_key is not None:
        default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": aws.kms_key}
        encryption = {"ServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}
    days = {"Ref": "FaceRetentionDays"}
    rules = [
        {"Id": f"faces-of-{folder}", "Status": "Enabled", "Prefix": f"{aws.prefix}/{folder}/", "ExpirationInDays": days}
        for folder in ("jobs", "inputs")
    ]
    # Versioning is off, so that what is deleted is gone; where somebody turns it on, that still holds.
    former = {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}}
    rules.append({"Id": "former-versions", "Status": "Enabled", "Prefix": f"{aws.prefix}/", **former})
    uploads = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}
    rules.append({"Id": "unfinished-uploads", "Status": "Enabled", **uploads})
    properties = {
        "BucketName": aws.bucket,
        "BucketEncryption": {"ServerSideEncryptionConfiguration": [encryption]},
        "PublicAccessBlockConfiguration": dict.fromkeys(PUBLIC_ACCESS_BLOCKS, True),
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        "LifecycleConfiguration": {"Rules": rules},
    }
    return {"Type": "AWS::S3::Bucket", **RETAINED, "Properties": {**properties, **_build_tags(aws)}}


def _build_bucket_policy(aws: SageMakerAws) -> dict[str, Any]:
    """Return a policy by which the bucket answers over TLS 1.2 or newer alone."""
    refused = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [{"Fn::GetAtt": ["Bucket", "Arn"]}, {"Fn::Sub": "${Bucket.Arn}/*"}],
    }
    statements = [
        {"Sid": "TlsOnly", **refused, "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
        {"Sid": "NoOldTls", **refused, "Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}},
    ]
    document = {"Version": VERSION, "Statement": statements}
    properties = {"Bucket": {"Ref": "Bucket"}, "PolicyDocument": document}
    return {"Type": "AWS::S3::BucketPolicy", **RETAINED, "Properties": properties}


def _build_role(aws: SageMakerAws, policies: dict[str, Any]) -> dict[str, Any]:
    path, name = _split_role(aws)
    properties = {
        "RoleName": name,
        "Path": path,
        "AssumeRolePolicyDocument": policies["role_trust"],
        "Policies": [{"PolicyName": "fer", "PolicyDocument": policies["role"]}],
        **_build_tags(aws),
    }
    return {"Type": "AWS::IAM::Role", "Properties": properties}


def _build_caller_policy(aws: SageMakerAws, policies: dict[str, Any]) -> dict[str, Any]:
    path, name = _split_role(aws)
    properties = {"ManagedPolicyName": f"{name}-caller", "Path": path, "PolicyDocument": policies["caller"]}
    return {"Type": "AWS::IAM::ManagedPolicy", "Properties": properties}


def _split_role(aws: SageMakerAws) -> tuple[str, str]:
    """Return path and name of the role that ``aws.role`` names."""
    path, _, name = str(aws.role).partition(":role")[2].rpartition("/")
    return f"{path}/", name


def _build_repositories(aws: SageMakerAws) -> dict[str, Any]:
    """Return the repositories of the images that are named, as far as they are in the account of the role."""
    hosts = rf"{str(aws.role).split(':')[4]}\.dkr\.ecr\.{aws.region or '[a-z0-9-]+'}\.amazonaws\.com(?:\.cn)?"
    images = [image for image in (aws.image, aws.processing.image, aws.training.image) if image is not None]
    matches = [re.fullmatch(rf"{hosts}/([^:@]+)(?:[:@].*)?", image) for image in images]
    names = sorted({match[1] for match in matches if match}) if images else REPOSITORIES
    selection = {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days"}
    rule = {"rulePriority": 1, "selection": {**selection, "countNumber": UNTAGGED_IMAGE_DAYS}}
    lifecycle = json.dumps({"rules": [{**rule, "action": {"type": "expire"}}]})
    resources = {}
    for name in names:
        properties = {
            "RepositoryName": name,
            # ECR's own encryption: another key would need a new repository, which CloudFormation cannot name so.
            # What a tag means does not change behind a registered version.
            "ImageTagMutability": "IMMUTABLE",
            "ImageScanningConfiguration": {"ScanOnPush": True},
            "LifecyclePolicy": {"LifecyclePolicyText": lifecycle},
            **_build_tags(aws),
        }
        resource = {"Type": "AWS::ECR::Repository", **RETAINED, "Properties": properties}
        logical_id = _format_logical_id("Repository", name)
        # `team/fer` and `team-fer` are two.
        resources[logical_id if logical_id not in resources else logical_id + _hash(name)] = resource
    return resources


def _build_log_groups(aws: SageMakerAws) -> dict[str, Any]:
    resources = {}
    for kind in LOGGED_JOBS:
        properties = {"LogGroupName": format_log_group(kind), "RetentionInDays": {"Ref": "LogRetentionDays"}}
        resources[_format_logical_id("Logs", kind)] = {
            "Type": "AWS::Logs::LogGroup",
            "Condition": "CreatesLogGroups",
            # They are of all jobs in the region, not of these programs alone.
            **RETAINED,
            "Properties": {**properties, **_build_tags(aws)},
        }
    return resources


def _build_alarms(config: Config, aws: SageMakerAws) -> dict[str, Any]:
    """Return the alarms that infer.py would make with aws.cloudwatch.alarms=true."""
    limits, cfg = config.inference.monitor, aws.cloudwatch
    if all(limit is None for limit in (limits.max_psi, limits.max_failures, limits.min_accuracy, limits.min_macro_f1)):
        limits = limits.model_copy(update={"max_failures": DEFAULT_MAX_FAILURES})
    client = connect(aws, dry_run=True)
    put_alarms(client, limits, cfg.namespace, cfg.dimensions, config.registry.name, cfg.alarm_topic, aws.tags)
    requests = [request["parameters"] for request in client.recorded_requests]
    # CloudFormation calls its properties as the request calls its parameters.
    return {
        _format_logical_id("Alarm", properties["AlarmName"]): {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": properties,
        }
        for properties in requests
    }


def _build_tags(aws: SageMakerAws) -> dict[str, Any]:
    tags = {"fer": "infrastructure", **aws.tags}
    return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


def _format_logical_id(prefix: str, name: str) -> str:
    """Return a name of a resource within the template, of letters and digits alone."""
    text = prefix + "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", name))
    return text if len(text) <= MAX_LOGICAL_ID else text[: MAX_LOGICAL_ID - ID_HASH] + _hash(name)


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:ID_HASH]


def main(arguments: Sequence[str]) -> None:
    """Print the template that a command line asks for."""
    print_document("fer.cloud.infrastructure", build_template, arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
