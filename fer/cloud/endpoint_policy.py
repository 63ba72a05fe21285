"""The least rights for the endpoint that `registry.deploy` names, and for nothing else of its kind."""

from typing import Any

from fer.cloud.account import Account
from fer.cloud.endpoint_names import (
    VARIANT,
    build_lock_key,
    build_output_uri,
    build_suspended_key,
    format_backlog_alarm,
    format_log_group,
    get_endpoint_name,
)
from fer.cloud.endpoint_requests import build_volume_key
from fer.cloud.statements import PRIVACY_CHECK, build_key_statement, build_statement
from fer.config import Config, SageMakerAws
from fer.config.deploy import Deploy
from fer.core.object_uri import split_object_uri

SCALING_ROLE = "sagemaker.application-autoscaling.amazonaws.com"
Statement = dict[str, Any]


def build_endpoint_statements(config: Config, account: Account) -> tuple[list[Statement], list[Statement]]:
    """Return what an endpoint needs beside what every command does: for who deploys it, and for the role it runs with.

    Both are empty where ``registry.deploy.target`` names none of SageMaker's.
    """
    deploy = config.registry.deploy
    if deploy.target in (None, "cloudrun"):
        return [], []
    name = get_endpoint_name(config)
    logs = f"arn:{account.partition}:logs:{account.region}:{account.id}:log-group:{format_log_group(name)}"
    log_actions = ("CreateLogGroup", "CreateLogStream", "PutLogEvents", "DescribeLogStreams")
    role = [build_statement("EndpointLogs", [f"logs:{action}" for action in log_actions], [logs, f"{logs}:*"])]
    deleted = [f"{account.bucket}/{build(account.aws, name)}" for build in (build_lock_key, build_suspended_key)]
    caller = [
        *_build_sagemaker_statements(account, name),
        build_statement("EndpointLock", ["s3:DeleteObject"], deleted),
        *_build_scaling_statements(account, deploy, name),
    ]
    if build_volume_key(account.aws, deploy):
        caller.append(
            build_key_statement("EndpointDisks", ["kms:CreateGrant"], account, str(account.aws.volume_kms_key))
        )
    if deploy.target == "async":
        bucket, prefix = split_object_uri(build_output_uri(account.aws, deploy, name))
        if bucket != account.aws.bucket or not prefix.startswith(f"{account.aws.prefix}/jobs/"):
            place = f"arn:{account.partition}:s3:::{bucket}"
            role.append(
                build_statement("EndpointAnswers", ["s3:PutObject", "s3:AbortMultipartUpload"], f"{place}/{prefix}/*")
            )
            if bucket != account.aws.bucket:
                caller.append(build_statement("EndpointBucket", list(PRIVACY_CHECK), place))
    return caller, role


def _build_sagemaker_statements(account: Account, name: str) -> list[Statement]:
    endpoint, parts = f"{account.sagemaker}:endpoint/{name}", f"{name}-*"
    config, model = f"{account.sagemaker}:endpoint-config/{parts}", f"{account.sagemaker}:model/{parts}"
    return [
        build_statement(
            "Endpoint",
            ["DescribeEndpoint", "DeleteEndpoint", "AddTags", "ListTags"],
            endpoint,
        ),
        # SageMaker asks for these on both.
        build_statement("EndpointChanges", ["CreateEndpoint", "UpdateEndpoint"], [endpoint, config]),
        build_statement(
            "EndpointConfigs",
            [*(f"{verb}EndpointConfig" for verb in ("Create", "Describe", "Delete")), "AddTags", "ListTags"],
            config,
        ),
        build_statement(
            "EndpointModels",
            ["CreateModel", "DeleteModel", "AddTags", "ListTags"],
            model,
        ),
        # Lists know no resources.
        build_statement("EndpointLists", ["ListEndpointConfigs", "ListModels"], "*"),
    ]


def _build_scaling_statements(account: Account, deploy: Deploy, name: str) -> list[Statement]:
    """Return the rights to scale, of which those to begin with it only where load is to decide."""
    alarms = f"arn:{account.partition}:cloudwatch:{account.region}:{account.id}:alarm:"
    backlog = f"{alarms}{format_backlog_alarm(name)}"
    targets = f"arn:{account.partition}:application-autoscaling:{account.region}:{account.id}:scalable-target/*"
    scaled = deploy.autoscaling.max is not None
    actions = ["DeregisterScalableTarget", *(["RegisterScalableTarget", "PutScalingPolicy"] if scaled else [])]
    statements = [
        build_statement(
            "Scalings",
            [f"application-autoscaling:{action}" for action in ("DescribeScalableTargets", "DescribeScalingPolicies")],
            "*",
        ),
        {
            **build_statement("Scaling", [f"application-autoscaling:{action}" for action in actions], targets),
            "Condition": {"StringEquals": {"application-autoscaling:service-namespace": "sagemaker"}},
        },
        build_statement("BacklogAlarm", _list_backlog_actions(account.aws, deploy), backlog),
    ]
    if not scaled:
        return statements
    role = f"arn:{account.partition}:iam::{account.id}:role/aws-service-role/{SCALING_ROLE}/*"
    tracking = f"{alarms}TargetTracking-endpoint/{name}/variant/{VARIANT}-*"
    return [
        *statements,
        # What Application Auto Scaling does in the name of who asks for it.
        build_statement(
            "ScalingAlarms", [f"cloudwatch:{verb}" for verb in ("PutMetricAlarm", "DeleteAlarms")], tracking
        ),
        build_statement("ScalingAlarmList", ["cloudwatch:DescribeAlarms"], "*"),
        build_statement(
            "ScaledEndpoint", ["UpdateEndpointWeightsAndCapacities"], f"{account.sagemaker}:endpoint/{name}"
        ),
        {
            **build_statement("ScalingRole", ["iam:CreateServiceLinkedRole"], role),
            "Condition": {"StringEquals": {"iam:AWSServiceName": SCALING_ROLE}},
        },
    ]


def _list_backlog_actions(aws: SageMakerAws, deploy: Deploy) -> list[str]:
    is_made = deploy.autoscaling.max is not None and deploy.min_capacity == 0
    making = ["cloudwatch:PutMetricAlarm", *(["cloudwatch:TagResource"] if aws.tags else [])] if is_made else []
    return ["cloudwatch:DeleteAlarms", *making]
