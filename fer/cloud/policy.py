"""`python -m fer.cloud.policy aws.bucket=… aws.role=… [key=value …]` prints the least rights that are needed, as JSON.

`caller` is for who runs register.py, infer.py and `python -m fer.cloud.…`, `role` and `role_trust` are for the role
that SageMaker runs jobs with. `--pipelines` adds what pipelines need (`python -m fer.cloud.pipeline`), and
`registry.deploy.target=…` what an endpoint does.
"""

import sys
from typing import Any

from fer.aws.jobs import JobKind, format_job_kind
from fer.cloud.account import Account
from fer.cloud.endpoint_policy import build_endpoint_statements
from fer.cloud.printing import format_usage, print_document
from fer.cloud.processing_job import find_common_folder
from fer.cloud.statements import PRIVACY_CHECK, build_key_statement, build_statement
from fer.config import Config, SageMakerAws
from fer.config.dataset import list_source_paths
from fer.errors import ConfigError
from fer.infer.inputs import list_inputs

PROGRAM = "fer.cloud.policy"
VERSION = "2012-10-17"
JOBS: tuple[JobKind, ...] = ("transform", "processing", "training", "hyper_parameter_tuning")
# A tuning job has no log of its own, its training jobs have.
LOGGED_JOBS = JOBS[:3]
TAGGED_JOBS = JOBS[2:]

REGISTERING = (
    *("CreateModelPackageGroup", "DescribeModelPackageGroup", "CreateModelPackage", "DescribeModelPackage"),
    *("ListModelPackages", "AddTags", "ListTags"),
)
# What AWS's documentation lists for jobs in a VPC; these actions know no resources.
NETWORK_ACTIONS = (
    *("ec2:CreateNetworkInterface", "ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterface"),
    *("ec2:DeleteNetworkInterfacePermission", "ec2:DescribeNetworkInterfaces", "ec2:DescribeVpcs"),
    *("ec2:DescribeDhcpOptions", "ec2:DescribeSubnets", "ec2:DescribeSecurityGroups"),
)


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
    account = Account(aws, id=aws.role.split(":")[4], partition=aws.role.split(":")[1])
    caller, role = _build_caller_statements(account, config.registry.name, aws.role), _build_role_statements(account)
    if pipelines:
        actions = ["CreatePipeline", "UpdatePipeline", *(["AddTags"] if aws.tags else [])]
        caller.append(build_statement("Pipelines", actions, f"{account.sagemaker}:pipeline/fer-*"))
        role += _build_step_statements(account, config.registry.name, aws.role)
    for statements, more in zip((caller, role), build_endpoint_statements(config, account), strict=True):
        statements += more
        statements += _build_input_statements(config, account.partition)
    if aws.kms_key is not None:
        caller.append(build_key_statement("Key", ["kms:GenerateDataKey", "kms:Decrypt"], account, aws.kms_key))
        # Encrypt is what SageMaker asks of the role for the outputs of its jobs.
        actions = ["kms:GenerateDataKey", "kms:Decrypt", "kms:Encrypt"]
        role.append(build_key_statement("Key", actions, account, aws.kms_key))
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


def _build_caller_statements(account: Account, model: str, role: str) -> list[dict[str, Any]]:
    """Return the rights of who runs register.py, infer.py and `python -m fer.cloud.…`."""
    aws, sagemaker = account.aws, account.sagemaker
    statements = [
        build_statement(
            "Bucket",
            ["s3:ListBucket", *PRIVACY_CHECK],
            account.bucket,
        ),
        build_statement("Objects", ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"], f"{account.objects}/*"),
        build_statement(
            "Registry",
            [*REGISTERING, "UpdateModelPackage", "DeleteModelPackage"],
            [f"{sagemaker}:model-package-group/{model}", f"{sagemaker}:model-package/{model}/*"],
        ),
        build_statement("Deletion", ["s3:DeleteObject"], _list_deletable(account, model)),
        # A version that an endpoint serves is not deleted.
        build_statement("ServedVersions", ["ListEndpoints"], "*"),
        build_statement(
            "ServingEndpoints",
            ["DescribeEndpoint", "DescribeEndpointConfig", "ListTags"],
            [f"{sagemaker}:endpoint/*", f"{sagemaker}:endpoint-config/*"],
        ),
        build_statement(
            "Model",
            [
                *("CreateModel", *(["DeleteModel"] if aws.keep != "all" else [])),
                *(["AddTags"] if aws.tags else []),
            ],
            f"{sagemaker}:model/fer-*",
        ),
        build_statement(
            "Jobs",
            [
                *(f"{verb}{format_job_kind(kind)}Job" for kind in JOBS for verb in ("Create", "Describe", "Stop")),
                "ListTrainingJobsForHyperParameterTuningJob",
            ],
            [account.format_jobs(kind) for kind in JOBS],
        ),
        # Those that train bear the name of the run.
        build_statement(
            "JobTags", ["AddTags"], [account.format_jobs(kind) for kind in (JOBS if aws.tags else TAGGED_JOBS)]
        ),
        {
            **build_statement("Role", ["iam:PassRole"], role),
            "Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        },
        build_statement("Logs", ["logs:DescribeLogStreams", "logs:GetLogEvents"], account.list_log_groups(LOGGED_JOBS)),
    ]
    if aws.cloudwatch.publish:
        condition = {"StringEquals": {"cloudwatch:namespace": aws.cloudwatch.namespace}}
        statements.append({**build_statement("Metrics", ["cloudwatch:PutMetricData"], "*"), "Condition": condition})
    if aws.cloudwatch.alarms:
        # As build_alarm_name of fer/monitoring/cloudwatch.py has it.
        names = f"alarm:{aws.cloudwatch.namespace} *"
        alarms = f"arn:{account.partition}:cloudwatch:{account.region}:{account.id}:{names}"
        actions = ["cloudwatch:PutMetricAlarm", *(["cloudwatch:TagResource"] if aws.tags else [])]
        statements.append(build_statement("Alarms", actions, alarms))
    return statements


def _list_deletable(account: Account, model: str) -> list[str]:
    """Return the objects that programs delete: those of deleted versions, locks, what ``aws.keep`` does not keep."""
    registry = [f"{account.objects}/models/{model}/*", f"{account.objects}/locks/{model}.json"]
    return registry if account.aws.keep == "all" else [*registry, f"{account.objects}/jobs/*"]


def _build_role_statements(account: Account) -> list[dict[str, Any]]:
    """Return the rights of the role that SageMaker runs jobs with."""
    aws, objects = account.aws, account.objects
    statements = [
        build_statement(
            "ModelsAndInput", ["s3:GetObject"], [f"{objects}/{folder}/*" for folder in ("models", "jobs", "inputs")]
        ),
        build_statement("Answers", ["s3:PutObject", "s3:AbortMultipartUpload"], f"{objects}/jobs/*"),
        {
            **build_statement("List", ["s3:ListBucket"], account.bucket),
            "Condition": {"StringLike": {"s3:prefix": [f"{aws.prefix}/*"]}},
        },
        build_statement(
            "Logs",
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
            account.list_log_groups(LOGGED_JOBS),
        ),
        {
            **build_statement("Metrics", ["cloudwatch:PutMetricData"], "*"),
            "Condition": {"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}},
        },
        build_statement("ImageLogin", ["ecr:GetAuthorizationToken"], "*"),
        build_statement(
            "Image",
            ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"],
            account.list_repositories(),
        ),
    ]
    if aws.vpc.subnets:
        statements.append(build_statement("Network", list(NETWORK_ACTIONS), "*"))
    if aws.volume_kms_key is not None:
        actions = ["kms:CreateGrant", "kms:DescribeKey"]
        statements.append(build_key_statement("VolumeKey", actions, account, aws.volume_kms_key))
    return statements


def _build_step_statements(account: Account, model: str, role: str) -> list[dict[str, Any]]:
    """Return the rights of the role that runs a pipeline: to start its steps, and what its step register does."""
    sagemaker, objects = account.sagemaker, account.objects
    kinds: tuple[JobKind, ...] = ("transform", "processing", "training")
    return [
        build_statement(
            "Steps",
            [
                *(f"{verb}{format_job_kind(kind)}Job" for kind in kinds for verb in ("Create", "Describe", "Stop")),
                "AddTags",
            ],
            [f"{sagemaker}:{kind}-job/pipelines-*" for kind in kinds],
        ),
        build_statement("StepModel", ["CreateModel", "DescribeModel", "AddTags"], f"{sagemaker}:model/pipelines-*"),
        {
            **build_statement("StepRole", ["iam:PassRole"], role),
            "Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        },
        build_statement("StepInput", ["s3:GetObject"], f"{objects}/pipelines/*"),
        build_statement("StepBucket", [*PRIVACY_CHECK], account.bucket),
        build_statement("StepVersion", ["s3:PutObject", "s3:AbortMultipartUpload"], f"{objects}/models/{model}/*"),
        build_statement(
            "StepRegistry",
            [*REGISTERING],
            [f"{sagemaker}:model-package-group/{model}", f"{sagemaker}:model-package/{model}/*"],
        ),
        build_statement(
            "StepLock", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], f"{objects}/locks/{model}.json"
        ),
    ]


def _build_input_statements(config: Config, partition: str) -> list[dict[str, Any]]:
    """Return the rights to the videos, data sets and weights in S3, and to list their buckets; none where none are."""
    uris = [*_list_video_places(config), config.model.weights]
    uris += [path for spec in config.dataset.sources.values() for path in list_source_paths(spec).values()]
    places = [uri.removeprefix("s3://") for uri in uris if uri.startswith("s3://")]
    if not places:
        return []
    buckets = dict.fromkeys(f"arn:{partition}:s3:::{place.partition('/')[0]}" for place in places)
    # A bucket without a key is all of its objects; whatever else its name is the beginning of is another bucket.
    objects = [f"arn:{partition}:s3:::{place if '/' in place else f'{place}/'}*" for place in places]
    return [
        build_statement("InputBuckets", ["s3:ListBucket"], [*buckets]),
        build_statement("Inputs", ["s3:GetObject"], objects),
    ]


def _list_video_places(config: Config) -> list[str]:
    """Where the videos are in S3; of a study the common folder in each bucket, since a policy has to be short."""
    uris = [uri for uri in list_inputs(config) if uri.startswith("s3://")]
    if config.extraction.study is None:
        return uris
    buckets = dict.fromkeys(uri.removeprefix("s3://").partition("/")[0] for uri in uris)
    return [find_common_folder([uri for uri in uris if uri.startswith(f"s3://{bucket}/")]) for bucket in buckets]


def main(arguments: list[str]) -> None:
    """Print the policies that a command line asks for."""
    print_document(PROGRAM, build_policies, arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
