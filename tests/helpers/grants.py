"""What requests to AWS need the right to: those of who sends them, and those of the role that jobs run with."""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import boto3

from tests.helpers.cloud_programs import RIGHTS

# An action, and the ARN that it is done on.
Use = tuple[str, str]
Statement = dict[str, Any]
REGION, ACCOUNT = "us-east-1", "123456789012"
ROLES = "https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html"
NETWORK = (
    *("ec2:CreateNetworkInterface", "ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterface"),
    *("ec2:DeleteNetworkInterfacePermission", "ec2:DescribeNetworkInterfaces", "ec2:DescribeVpcs"),
    *("ec2:DescribeDhcpOptions", "ec2:DescribeSubnets", "ec2:DescribeSecurityGroups"),
)
# What SageMaker does in the name of a job's role, by what the job's request has, and where AWS says so.
NEEDS_OF_JOBS: dict[str, tuple[tuple[str, ...], str]] = {
    "input": (("s3:GetObject",), f"{ROLES}, CreateTrainingJob API"),
    "input bucket": (("s3:ListBucket",), f"{ROLES}, CreateTrainingJob API"),
    "output": (
        ("s3:PutObject", "s3:AbortMultipartUpload"),
        f"{ROLES}, and https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuAndPermissions.html",
    ),
    "image": (
        ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"),
        f"{ROLES}, CreateTrainingJob API",
    ),
    "any image": (("ecr:GetAuthorizationToken",), f"{ROLES}, CreateTrainingJob API"),
    "log": (
        ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"),
        f"{ROLES}, CreateTrainingJob API",
    ),
    "metrics": (("cloudwatch:PutMetricData",), f"{ROLES}, CreateTrainingJob API"),
    "network": (NETWORK, f"{ROLES}, CreateTrainingJob API, private VPC"),
    "output key": (
        ("kms:Encrypt", "kms:GenerateDataKey", "kms:Decrypt"),
        "https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_OutputDataConfig.html, and "
        "https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html",
    ),
    "volume key": (("kms:CreateGrant", "kms:DescribeKey"), f"{ROLES}, CreateTrainingJob API, volume encryption"),
}
# The same of the role of a pipeline, by the kind of its steps.
PIPELINES = "https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-access.html"
STEPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Processing": ("processing-job", ("CreateProcessingJob", "DescribeProcessingJob", "StopProcessingJob", "AddTags")),
    "Training": ("training-job", ("CreateTrainingJob", "DescribeTrainingJob", "StopTrainingJob", "AddTags")),
    "Transform": ("transform-job", ("CreateTransformJob", "DescribeTransformJob", "StopTransformJob", "AddTags")),
    "Model": ("model", ("CreateModel", "DescribeModel", "AddTags")),
}
KINDS = {
    **{"TransformJobName": "transform-job", "ProcessingJobName": "processing-job", "ModelName": "model"},
    **{"TrainingJobName": "training-job", "HyperParameterTuningJobName": "hyper-parameter-tuning-job"},
    **{"PipelineName": "pipeline", "ModelPackageGroupName": "model-package-group"},
    **{"EndpointName": "endpoint", "EndpointConfigName": "endpoint-config"},
}
LOGGED = {"CreateTransformJob": "Transform", "CreateProcessingJob": "Processing", "CreateTrainingJob": "Training"}
OUTPUTS = ("S3OutputPath", "CheckpointConfig", "S3Output", "S3FailurePath", "DestinationS3Uri")
# What Application Auto Scaling asks of who sends it a request for an endpoint, and where AWS says so.
SCALING = "https://docs.aws.amazon.com/autoscaling/application/userguide/security_iam_id-based-policy-examples.html"
SCALING_NEEDS = {
    "RegisterScalableTarget": ("iam:CreateServiceLinkedRole", "sagemaker:DescribeEndpoint"),
    "PutScalingPolicy": (
        *("cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms"),
        "sagemaker:UpdateEndpointWeightsAndCapacities",
    ),
}
SCALING_ROLE = (
    f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
)
LISTS = ("ListEndpoints", "ListEndpointConfigs", "ListModels")


def list_caller_uses(service: str, operation: str, parameters: dict[str, Any]) -> Iterator[Use]:
    """What who sends a request does by it; the operation is called as boto3 calls it."""
    api = boto3.client(service, region_name=REGION).meta.method_to_api_mapping[operation]
    action = RIGHTS.get(f"{service}:{api}", f"{service}:{api}")
    if service == "s3":
        bucket = f"arn:aws:s3:::{parameters['Bucket']}"
        if api == "DeleteObjects":
            yield from (("s3:DeleteObject", f"{bucket}/{one['Key']}") for one in parameters["Delete"]["Objects"])
        else:
            yield action, f"{bucket}/{parameters['Key']}" if "Key" in parameters else bucket
        if "SSEKMSKeyId" in parameters:
            yield from ((f"kms:{name}", parameters["SSEKMSKeyId"]) for name in ("GenerateDataKey", "Decrypt"))
    elif service == "cloudwatch":
        name = parameters.get("AlarmName") or next(iter(parameters.get("AlarmNames", [])), None)
        arn = "*" if name is None else f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}"
        yield action, arn
        if parameters.get("Tags"):
            yield "cloudwatch:TagResource", arn
    elif service == "application-autoscaling":
        yield from list_scaling_uses(api, parameters)
    elif service == "logs":
        group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{parameters['logGroupName']}"
        yield action, f"{group}:log-stream:{parameters['logStreamName']}" if "logStreamName" in parameters else group
    else:
        arn = "*" if api in LISTS else find_resource(api, parameters)
        yield action, arn
        if api in ("CreateEndpoint", "UpdateEndpoint"):
            # https://docs.aws.amazon.com/sagemaker/latest/dg/api-permissions-reference.html
            yield action, f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint-config/{parameters['EndpointConfigName']}"
        if api == "CreateEndpointConfig" and "KmsKeyId" in parameters:
            # Asked for when an endpoint of this configuration is created.
            yield "kms:CreateGrant", parameters["KmsKeyId"]
        if api.startswith("Create") and parameters.get("Tags"):
            yield "sagemaker:AddTags", arn
        yield from (("iam:PassRole", parameters[key]) for key in ("RoleArn", "ExecutionRoleArn") if key in parameters)
        if "TrainingJobDefinition" in parameters:
            yield "iam:PassRole", parameters["TrainingJobDefinition"]["RoleArn"]


def list_scaling_uses(api: str, parameters: dict[str, Any]) -> Iterator[Use]:
    """What a request to Application Auto Scaling does; see SCALING."""
    if api.startswith("Describe"):
        yield f"application-autoscaling:{api}", "*"
        return
    yield f"application-autoscaling:{api}", f"arn:aws:application-autoscaling:{REGION}:{ACCOUNT}:scalable-target/1a"
    endpoint = parameters["ResourceId"].split("/")[1]
    for action in SCALING_NEEDS.get(api, ()):
        if action.startswith("cloudwatch"):
            alarm = f"alarm:TargetTracking-endpoint/{endpoint}/variant/AllTraffic-AlarmHigh-1"
            listed = action.endswith("DescribeAlarms")
            yield action, "*" if listed else f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:{alarm}"
        elif action.startswith("iam"):
            yield action, SCALING_ROLE
        else:
            yield action, f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/{endpoint}"


def find_resource(api: str, parameters: dict[str, Any]) -> str:
    """The ARN of what a request to SageMaker is about."""
    for key in ("ModelPackageName", "ModelPackageArn", "ResourceArn"):
        if key in parameters:
            return str(parameters[key]).replace("000000000000", ACCOUNT)
    kind, name = next((kind, parameters[key]) for key, kind in KINDS.items() if key in parameters)
    if api == "CreateModelPackage":
        kind, name = "model-package", f"{name}/1"
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name}"


def list_role_uses(api: str, parameters: dict[str, Any]) -> Iterator[Use]:
    """What SageMaker does in the name of the role to do what a request asks for: NEEDS_OF_JOBS, on what it names."""
    for key, value in iter_texts(parameters):
        is_output = any(name in key for name in OUTPUTS)
        if value.startswith("s3://"):
            bucket, _, name = value.removeprefix("s3://").partition("/")
            arn = f"arn:aws:s3:::{bucket}"
            if is_output:
                yield from need("output", f"{arn}/{name.rstrip('/')}/x")
            if not is_output or "CheckpointConfig" in key:
                yield from need("input", f"{arn}/{name}{'x' if name.endswith('/') else ''}")
                yield from need("input bucket", arn)
        elif key[-1] in ("ImageUri", "TrainingImage", "Image"):
            repository = value.partition("/")[2].partition("@")[0].partition(":")[0]
            yield from need("image", f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{repository}")
            yield from need("any image", "*")
        elif key == ("KmsKeyId",):
            continue  # of an endpoint's disks, which who creates it has a right to
        elif key[-1] == "KmsKeyId":
            yield from need("output key", value)
        elif key[-1] == "VolumeKmsKeyId":
            yield from need("volume key", value)
        elif "VpcConfig" in key:
            yield from need("network", "*")
    if api == "CreateEndpointConfig":
        yield from need("metrics", "*")
        # Its log has the endpoint's name, which the configuration's begins with.
        group = f"/aws/sagemaker/Endpoints/{parameters['EndpointConfigName'].rpartition('-')[0]}"
        for stream in ("", ":log-stream:x"):
            yield from need("log", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}{stream}")
    if api in LOGGED:
        yield from need("metrics", "*")
        group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/sagemaker/{LOGGED[api]}Jobs"
        yield from need("log", group)
        yield from need("log", f"{group}:log-stream:x")


def need(what: str, arn: str) -> Iterator[Use]:
    return ((action, arn) for action in NEEDS_OF_JOBS[what][0])


def list_step_uses(kind: str, name: str, role: str) -> Iterator[Use]:
    """What a pipeline's role does to run a step."""
    resource, actions = STEPS[kind]
    arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{resource}/{name}"
    yield from ((f"sagemaker:{action}", arn) for action in actions)
    yield "iam:PassRole", role


def iter_texts(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every text of a request, with the names of what it is in."""
    if isinstance(node, str):
        yield path, node
    elif isinstance(node, dict):
        for key, inner in node.items():
            yield from iter_texts(inner, (*path, key))
    elif isinstance(node, list):
        for inner in node:
            yield from iter_texts(inner, path)


def find_uncovered(statements: Iterable[Statement], uses: Iterable[Use]) -> list[Use]:
    """The uses that no statement allows."""
    listed = list(statements)
    return [use for use in dict.fromkeys(uses) if not any(allows(statement, use) for statement in listed)]


def find_unused(statements: Iterable[Statement], uses: Iterable[Use]) -> list[tuple[str, str]]:
    """Statement and action, or statement and resource, for which nothing is used that this statement allows."""
    known, unused = set(uses), []
    for statement in statements:
        used = {use for use in known if allows(statement, use)}
        unused += [
            (statement["Sid"], action) for action in statement["Action"] if action not in {one for one, _ in used}
        ]
        unused += [
            (statement["Sid"], pattern)
            for pattern in list_resources(statement)
            if not any(fnmatchcase(arn, pattern) for _, arn in used)
        ]
    return unused


def allows(statement: Statement, use: Use) -> bool:
    action, arn = use
    return action in statement["Action"] and any(fnmatchcase(arn, pattern) for pattern in list_resources(statement))


def list_resources(statement: Statement) -> list[str]:
    found = statement["Resource"]
    return [found] if isinstance(found, str) else list(found)
