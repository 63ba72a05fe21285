"""`python -m fer.cloud.policy aws.bucket=… aws.role=… [key=value …]` prints the least rights that are needed, as JSON.

`caller` is for who runs register.py, infer.py and `python -m fer.cloud.…`, `role` and `role_trust` are for the role
that SageMaker runs jobs with.
"""

import json
import sys
from typing import Any

from fer.aws.jobs import JobKind, format_job_kind, format_log_group
from fer.config import Config, SageMakerAws
from fer.config.compose import load_overrides
from fer.errors import ConfigError

USAGE = "usage: python -m fer.cloud.policy aws.bucket=BUCKET aws.role=ARN [key=value …]"
VERSION = "2012-10-17"
JOBS: tuple[JobKind, ...] = ("transform", "processing", "training", "hyper_parameter_tuning")


def build_policies(config: Config) -> dict[str, Any]:
    """The policies for the configured bucket, prefix, key, role and model name. Raises ConfigError."""
    aws = config.aws
    if not isinstance(aws, SageMakerAws) or aws.role is None:
        raise ConfigError(f"aws.role: is needed; {USAGE}")
    account, partition = aws.role.split(":")[4], aws.role.split(":")[1]
    here = f"arn:{partition}:sagemaker:{aws.region or '*'}:{account}"
    bucket = f"arn:{partition}:s3:::{aws.bucket}"
    objects, model = f"{bucket}/{aws.prefix}", config.registry.name
    groups = [f"arn:{partition}:logs:{aws.region or '*'}:{account}:log-group:{format_log_group(kind)}" for kind in JOBS]
    logs = [name for group in groups for name in (group, f"{group}:*")]
    images = (aws.image, aws.processing.image, aws.training.image)
    caller = [
        _build_statement(
            "Bucket",
            ["s3:ListBucket", "s3:GetBucketPublicAccessBlock", "s3:GetBucketPolicyStatus", "s3:GetBucketAcl"],
            bucket,
        ),
        _build_statement("Objects", ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"], f"{objects}/*"),
        _build_statement(
            "Registry",
            [
                *("CreateModelPackageGroup", "DescribeModelPackageGroup", "CreateModelPackage", "DescribeModelPackage"),
                *("ListModelPackages", "UpdateModelPackage", "AddTags", "ListTags", "DeleteTags"),
            ],
            [f"{here}:model-package-group/{model}", f"{here}:model-package/{model}/*"],
        ),
        _build_statement(
            "Card", ["CreateModelCard", "DescribeModelCard", "UpdateModelCard"], f"{here}:model-card/{model}-*"
        ),
        _build_statement("Model", ["CreateModel"], f"{here}:model/fer-*"),
        _build_statement(
            "Jobs",
            [
                *(f"{verb}{format_job_kind(kind)}Job" for kind in JOBS for verb in ("Create", "Describe", "Stop")),
                *("ListTrainingJobsForHyperParameterTuningJob", "AddTags"),
            ],
            [f"{here}:{kind.replace('_', '-')}-job/fer-*" for kind in JOBS],
        ),
        {
            **_build_statement("Role", ["iam:PassRole"], aws.role),
            "Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        },
        _build_statement("Logs", ["logs:DescribeLogStreams", "logs:GetLogEvents"], logs),
    ]
    if aws.cloudwatch.publish:
        condition = {"StringEquals": {"cloudwatch:namespace": aws.cloudwatch.namespace}}
        caller.append({**_build_statement("Metrics", ["cloudwatch:PutMetricData"], "*"), "Condition": condition})
    if aws.cloudwatch.alarms:
        alarms = f"arn:{partition}:cloudwatch:{aws.region or '*'}:{account}:alarm:fer*"
        caller.append(_build_statement("Alarms", ["cloudwatch:PutMetricAlarm"], alarms))
    role = [
        _build_statement(
            "ModelsAndInput", ["s3:GetObject"], [f"{objects}/{folder}/*" for folder in ("models", "jobs", "inputs")]
        ),
        _build_statement("Answers", ["s3:PutObject", "s3:AbortMultipartUpload"], f"{objects}/jobs/*"),
        {
            **_build_statement("List", ["s3:ListBucket"], bucket),
            "Condition": {"StringLike": {"s3:prefix": [f"{aws.prefix}/*"]}},
        },
        _build_statement(
            "Logs",
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
            logs,
        ),
        {
            **_build_statement("Metrics", ["cloudwatch:PutMetricData"], "*"),
            "Condition": {"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}},
        },
        _build_statement("ImageLogin", ["ecr:GetAuthorizationToken"], "*"),
        _build_statement(
            "Image",
            ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"],
            sorted({_build_repository_arn(image, partition) for image in images}),
        ),
    ]
    if inputs := _list_input_arns(config, partition):
        inputs_statement = _build_statement("Inputs", ["s3:GetObject", "s3:ListBucket"], inputs)
        caller.append(inputs_statement)
        role.append(inputs_statement)
    if aws.kms_key is not None:
        key = _build_statement("Key", ["kms:GenerateDataKey", "kms:Decrypt"], _build_key_arn(aws, partition, account))
        caller.append(key)
        role.append(key)
    trust_statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sagemaker.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": account}},
    }
    return {
        "caller": {"Version": VERSION, "Statement": caller},
        "role": {"Version": VERSION, "Statement": role},
        "role_trust": {"Version": VERSION, "Statement": [trust_statement]},
    }


def _build_statement(sid: str, actions: list[str], resource: str | list[str]) -> dict[str, Any]:
    """A statement; actions without a service are SageMaker's."""
    qualified = [action if ":" in action else f"sagemaker:{action}" for action in actions]
    return {"Sid": sid, "Effect": "Allow", "Action": qualified, "Resource": resource}


def _list_input_arns(config: Config, partition: str) -> list[str]:
    """Buckets and objects of the videos, data sets and weights that stand in S3."""
    videos = config.extraction.input
    uris = [*([videos] if isinstance(videos, str) else videos or ()), config.model.weights]
    uris += [spec.root for spec in config.dataset.sources.values() if spec.kind != "synthetic"]
    inputs = [uri for uri in uris if uri.startswith("s3://")]
    buckets = [f"arn:{partition}:s3:::{uri.removeprefix('s3://').partition('/')[0]}" for uri in inputs]
    return [*dict.fromkeys(buckets), *(f"arn:{partition}:s3:::{uri.removeprefix('s3://')}*" for uri in inputs)]


def _build_repository_arn(image: str | None, partition: str) -> str:
    """The ECR repository of ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG; any where no image is named."""
    host, _, name = (image or "").partition("/")
    parts = host.split(".")
    if len(parts) < 6 or parts[1:3] != ["dkr", "ecr"]:
        return f"arn:{partition}:ecr:*:*:repository/*"
    return f"arn:{partition}:ecr:{parts[3]}:{parts[0]}:repository/{name.partition('@')[0].partition(':')[0]}"


def _build_key_arn(aws: SageMakerAws, partition: str, account: str) -> str:
    key = str(aws.kms_key)
    if key.startswith("arn:"):
        return key
    # Rights are never given on an alias, but on keys.
    return f"arn:{partition}:kms:{aws.region or '*'}:{account}:key/{'*' if key.startswith('alias/') else key}"


def main(arguments: list[str]) -> None:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return
    overrides = arguments if any(text.startswith("aws=") for text in arguments) else ["aws=sagemaker", *arguments]
    try:
        print(json.dumps(build_policies(load_overrides(overrides, "infer")), indent=2))
    except ConfigError as error:
        print(f"policy.py: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main(sys.argv[1:])
