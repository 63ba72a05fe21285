"""`python -m fer.cloud.policy aws.bucket=… aws.role=… [key=value …]` prints the least rights that are needed, as JSON.

`caller` is for who runs register.py, infer.py and `python -m fer.cloud.…`, `role` and `role_trust` are for the role
that SageMaker runs jobs with. `--pipelines` adds what pipelines need (`python -m fer.cloud.pipeline`).
"""

import re
import sys
from dataclasses import dataclass
from typing import Any

from fer.aws.jobs import JobKind, format_job_kind, format_log_group
from fer.cloud.printing import format_usage, print_document
from fer.config import Config, SageMakerAws
from fer.errors import ConfigError

PROGRAM = "fer.cloud.policy"
VERSION = "2012-10-17"
JOBS: tuple[JobKind, ...] = ("transform", "processing", "training", "hyper_parameter_tuning")
# A tuning job has no log of its own, its training jobs have.
LOGGED_JOBS = JOBS[:3]

REGISTERING = (
    *("CreateModelPackageGroup", "DescribeModelPackageGroup", "CreateModelPackage", "DescribeModelPackage"),
    *("ListModelPackages", "AddTags", "ListTags"),
)
# ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG, and ECR's other endpoints (FIPS, dual stack, China).
ECR_IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr(-fips)?\.(?P<region>[a-z0-9-]+)\.(amazonaws\.com(\.cn)?|on\.aws|on\.amazonwebservices\.com\.cn)"
    r"/(?P<name>[^:@]+)([:@].*)?"
)
# What AWS's documentation lists for jobs in a VPC; these actions know no resources.
NETWORK_ACTIONS = (
    *("ec2:CreateNetworkInterface", "ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterface"),
    *("ec2:DeleteNetworkInterfacePermission", "ec2:DescribeNetworkInterfaces", "ec2:DescribeVpcs"),
    *("ec2:DescribeDhcpOptions", "ec2:DescribeSubnets", "ec2:DescribeSecurityGroups"),
)
PRIVACY_CHECK = ("s3:GetBucketPublicAccessBlock", "s3:GetBucketPolicyStatus", "s3:GetBucketAcl")


@dataclass(frozen=True)
class _Account:
    """Where the rights apply, and the beginnings of ARNs there."""

    aws: SageMakerAws
    id: str
    partition: str

    @property
    def sagemaker(self) -> str:
        return f"arn:{self.partition}:sagemaker:{self.region}:{self.id}"

    @property
    def bucket(self) -> str:
        return f"arn:{self.partition}:s3:::{self.aws.bucket}"

    @property
    def objects(self) -> str:
        return f"{self.bucket}/{self.aws.prefix}"

    @property
    def region(self) -> str:
        return self.aws.region or "*"

    @property
    def logs(self) -> list[str]:
        groups = [
            f"arn:{self.partition}:logs:{self.region}:{self.id}:log-group:{format_log_group(kind)}"
            for kind in LOGGED_JOBS
        ]
        return [name for group in groups for name in (group, f"{group}:*")]


def build_policies(config: Config, pipelines: bool = False) -> dict[str, Any]:
    """Return the policies for the configured bucket, prefix, key, role and model name.

    Args:
        config: The configuration, which must be for SageMaker and name a role.
        pipelines: Include what `fer cloud pipeline` and the steps of its pipelines need.

    Returns:
        IAM policy documents: `caller` (who runs the programs), `role` and `role_trust` (the role of SageMaker's jobs).

    Raises:
        ConfigError: No role is named.
    """
    aws = config.aws
    if not isinstance(aws, SageMakerAws) or aws.role is None:
        raise ConfigError(f"aws.role: is needed; {format_usage(PROGRAM)}")
    account = _Account(aws, id=aws.role.split(":")[4], partition=aws.role.split(":")[1])
    caller, role = _build_caller_statements(account, config.registry.name, aws.role), _build_role_statements(account)
    if pipelines:
        caller.append(
            _build_statement(
                "Pipelines", ["CreatePipeline", "UpdatePipeline", "AddTags"], f"{account.sagemaker}:pipeline/fer-*"
            )
        )
        role += _build_step_statements(account, config.registry.name, aws.role)
    if inputs := _list_input_arns(config, account.partition):
        inputs_statement = _build_statement("Inputs", ["s3:GetObject", "s3:ListBucket"], inputs)
        caller.append(inputs_statement)
        role.append(inputs_statement)
    if aws.kms_key is not None:
        key = _build_statement("Key", ["kms:GenerateDataKey", "kms:Decrypt"], _build_key_arn(account, aws.kms_key))
        caller.append(key)
        role.append(key)
    trust_statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sagemaker.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": account.id}},
    }
    return {
        "caller": {"Version": VERSION, "Statement": caller},
        "role": {"Version": VERSION, "Statement": role},
        "role_trust": {"Version": VERSION, "Statement": [trust_statement]},
    }


def _build_caller_statements(account: _Account, model: str, role: str) -> list[dict[str, Any]]:
    """Return the rights of who runs register.py, infer.py and `python -m fer.cloud.…`."""
    aws, sagemaker = account.aws, account.sagemaker
    statements = [
        _build_statement(
            "Bucket",
            ["s3:ListBucket", *PRIVACY_CHECK],
            account.bucket,
        ),
        _build_statement(
            "Objects", ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"], f"{account.objects}/*"
        ),
        _build_statement(
            "Registry",
            [*REGISTERING, "UpdateModelPackage", "DeleteModelPackage"],
            [f"{sagemaker}:model-package-group/{model}", f"{sagemaker}:model-package/{model}/*"],
        ),
        _build_statement("Deletion", ["s3:DeleteObject"], _list_deletable(account, model)),
        _build_statement(
            "Model",
            [
                *("CreateModel", *(["DeleteModel"] if aws.keep != "all" else [])),
                *(["AddTags"] if aws.tags else []),
            ],
            f"{sagemaker}:model/fer-*",
        ),
        _build_statement(
            "Jobs",
            [
                *(f"{verb}{format_job_kind(kind)}Job" for kind in JOBS for verb in ("Create", "Describe", "Stop")),
                *("ListTrainingJobsForHyperParameterTuningJob", "AddTags"),
            ],
            [f"{sagemaker}:{kind.replace('_', '-')}-job/fer-*" for kind in JOBS],
        ),
        {
            **_build_statement("Role", ["iam:PassRole"], role),
            "Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        },
        _build_statement("Logs", ["logs:DescribeLogStreams", "logs:GetLogEvents"], account.logs),
    ]
    if aws.cloudwatch.publish:
        condition = {"StringEquals": {"cloudwatch:namespace": aws.cloudwatch.namespace}}
        statements.append({**_build_statement("Metrics", ["cloudwatch:PutMetricData"], "*"), "Condition": condition})
    if aws.cloudwatch.alarms:
        # As build_alarm_name of fer/monitoring/cloudwatch.py has it.
        names = f"alarm:{aws.cloudwatch.namespace} *"
        alarms = f"arn:{account.partition}:cloudwatch:{account.region}:{account.id}:{names}"
        actions = ["cloudwatch:PutMetricAlarm", *(["cloudwatch:TagResource"] if aws.tags else [])]
        statements.append(_build_statement("Alarms", actions, alarms))
    return statements


def _list_deletable(account: _Account, model: str) -> list[str]:
    """Return the objects that programs delete: those of deleted versions, locks, what ``aws.keep`` does not keep."""
    registry = [f"{account.objects}/models/{model}/*", f"{account.objects}/locks/{model}.json"]
    return registry if account.aws.keep == "all" else [*registry, f"{account.objects}/jobs/*"]


def _build_role_statements(account: _Account) -> list[dict[str, Any]]:
    """Return the rights of the role that SageMaker runs jobs with."""
    aws, objects = account.aws, account.objects
    statements = [
        _build_statement(
            "ModelsAndInput", ["s3:GetObject"], [f"{objects}/{folder}/*" for folder in ("models", "jobs", "inputs")]
        ),
        _build_statement("Answers", ["s3:PutObject", "s3:AbortMultipartUpload"], f"{objects}/jobs/*"),
        {
            **_build_statement("List", ["s3:ListBucket"], account.bucket),
            "Condition": {"StringLike": {"s3:prefix": [f"{aws.prefix}/*"]}},
        },
        _build_statement(
            "Logs",
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
            account.logs,
        ),
        {
            **_build_statement("Metrics", ["cloudwatch:PutMetricData"], "*"),
            "Condition": {"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}},
        },
        _build_statement("ImageLogin", ["ecr:GetAuthorizationToken"], "*"),
        _build_statement(
            "Image",
            ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"],
            _list_repository_arns(account),
        ),
    ]
    if aws.vpc.subnets:
        statements.append(_build_statement("Network", list(NETWORK_ACTIONS), "*"))
    if aws.volume_kms_key is not None:
        key = _build_key_arn(account, aws.volume_kms_key)
        statements.append(_build_statement("VolumeKey", ["kms:CreateGrant", "kms:DescribeKey"], key))
    return statements


def _build_step_statements(account: _Account, model: str, role: str) -> list[dict[str, Any]]:
    """Return the rights of the role that runs a pipeline: to start its steps, and what its step register does."""
    sagemaker, objects = account.sagemaker, account.objects
    kinds: tuple[JobKind, ...] = ("transform", "processing", "training")
    return [
        _build_statement(
            "Steps",
            [
                *(f"{verb}{format_job_kind(kind)}Job" for kind in kinds for verb in ("Create", "Describe", "Stop")),
                "AddTags",
            ],
            [f"{sagemaker}:{kind}-job/pipelines-*" for kind in kinds],
        ),
        _build_statement("StepModel", ["CreateModel", "DescribeModel", "AddTags"], f"{sagemaker}:model/pipelines-*"),
        {
            **_build_statement("StepRole", ["iam:PassRole"], role),
            "Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        },
        _build_statement("StepInput", ["s3:GetObject"], f"{objects}/pipelines/*"),
        _build_statement("StepBucket", [*PRIVACY_CHECK], account.bucket),
        _build_statement("StepVersion", ["s3:PutObject", "s3:AbortMultipartUpload"], f"{objects}/models/{model}/*"),
        _build_statement(
            "StepRegistry",
            [*REGISTERING],
            [f"{sagemaker}:model-package-group/{model}", f"{sagemaker}:model-package/{model}/*"],
        ),
        _build_statement(
            "StepLock", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], f"{objects}/locks/{model}.json"
        ),
    ]


def _build_statement(sid: str, actions: list[str], resource: str | list[str]) -> dict[str, Any]:
    """Return a statement that allows actions; those without a service are SageMaker's."""
    qualified = [action if ":" in action else f"sagemaker:{action}" for action in actions]
    return {"Sid": sid, "Effect": "Allow", "Action": qualified, "Resource": resource}


def _list_input_arns(config: Config, partition: str) -> list[str]:
    """Return the ARNs of the videos, data sets and weights in S3, and of their buckets."""
    videos = config.extraction.input
    uris = [*([videos] if isinstance(videos, str) else videos or ()), config.model.weights]
    uris += [spec.root for spec in config.dataset.sources.values() if spec.kind != "synthetic"]
    inputs = [uri for uri in uris if uri.startswith("s3://")]
    buckets = [f"arn:{partition}:s3:::{uri.removeprefix('s3://').partition('/')[0]}" for uri in inputs]
    return [*dict.fromkeys(buckets), *(f"arn:{partition}:s3:::{uri.removeprefix('s3://')}*" for uri in inputs)]


def _list_repository_arns(account: _Account) -> list[str]:
    """Return the ECR repositories of the images that are named, and of these alone; any, where none is named."""
    aws = account.aws
    named = [image for image in (aws.image, aws.processing.image, aws.training.image) if image is not None]
    found = [ECR_IMAGE.fullmatch(image) for image in named]
    arns = {
        f"arn:{account.partition}:ecr:{image['region']}:{image['account']}:repository/{image['name']}"
        for image in found
        if image is not None
    }
    if named and not arns:
        raise ConfigError(
            f"aws.image={named[0]}: is not in ECR; name it as ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG"
        )
    return sorted(arns) or [f"arn:{account.partition}:ecr:*:*:repository/*"]


def _build_key_arn(account: _Account, key: str) -> str:
    if key.startswith("arn:"):
        return key
    # Rights are given on keys, never on an alias.
    key_id = "*" if key.startswith("alias/") else key
    return f"arn:{account.partition}:kms:{account.region}:{account.id}:key/{key_id}"


def main(arguments: list[str]) -> None:
    """Print the policies that a command line asks for."""
    print_document(PROGRAM, build_policies, arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
