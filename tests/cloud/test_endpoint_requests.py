"""Every request about endpoints, of each target: what AWS takes, what options it has, what rights it needs."""

import json
from typing import Any

import pytest

from fer.aws.client import AwsClient
from fer.aws.settings import connect
from fer.cloud.deployment import _change_endpoint
from fer.cloud.endpoint_names import build_suspended_key, get_endpoint_name, is_own_name
from fer.cloud.policy import build_policies
from fer.config import Config, SageMakerAws
from fer.config.compose import load_overrides
from fer.errors import ConfigError
from tests.helpers.aws_simulator.constraints import broken
from tests.helpers.candidates import NAME
from tests.helpers.cloud_programs import ROLE
from tests.helpers.grants import find_uncovered, find_unused, list_caller_uses, list_role_uses

pytestmark = pytest.mark.slow

KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
DISKS = KEY.replace("1234abcd", "abcd1234")
PLAIN = ("aws=sagemaker", "aws.bucket=faces", f"aws.role={ROLE}", "aws.region=us-east-1", f"registry.name={NAME}")
FULL = (
    *(f"aws.kms_key={KEY}", f"aws.volume_kms_key={DISKS}", "+aws.tags.team=faces", "aws.vpc.subnets=[subnet-1a]"),
    "aws.vpc.security_groups=[sg-1a]",
)
VPC = {"Subnets": ["subnet-1a"], "SecurityGroupIds": ["sg-1a"]}
TAG = {"Key": "team", "Value": "faces"}
BACKLOG = ("autoscaling.min=0", "autoscaling.max=2", "autoscaling.target=5")
CASES: dict[str, tuple[str, ...]] = {
    "plain": ("target=sagemaker",),
    "captured": (
        *("target=sagemaker", "capture_percent=5", "autoscaling.max=3", "autoscaling.target=60"),
        *("update.traffic=linear", "update.alarms=[a]", "update.wait_s=60"),
    ),
    "serverless": (*("target=serverless", "provisioned_concurrency=2", "autoscaling.max=4", "autoscaling.target=0.7"),),
    "queued": ("target=async", *BACKLOG),
    "elsewhere": ("target=async", "endpoint=queue", "async_output=s3://answers/here", *BACKLOG),
}
OPTIONS = {"captured": FULL, "queued": FULL}
# What AWS asks for besides the requests, or in another case than that of a dry run.
OTHER_TIMES = {
    ("s3:GetBucketPolicyStatus", "arn:aws:s3:::answers"),
    ("s3:GetBucketAcl", "arn:aws:s3:::answers"),
}


def configure(*overrides: str) -> Config:
    given = [
        one if "=" in one and one.startswith(("aws", "+aws", "registry")) else f"registry.deploy.{one}"
        for one in overrides
    ]
    return load_overrides([*PLAIN, *given], "register")


def record(config: Config) -> list[dict[str, Any]]:
    """The requests of all actions on an endpoint."""
    assert isinstance(config.aws, SageMakerAws)
    client: AwsClient = connect(config.aws, dry_run=True)
    for action in ("deploy", "rollback", "undeploy"):
        registry = config.registry.model_copy(update={"action": action})
        _change_endpoint(config.model_copy(update={"registry": registry}), config.aws, client)
    return client.recorded_requests


@pytest.fixture(scope="module")
def recorded() -> dict[str, tuple[Config, list[dict[str, Any]]]]:
    configs = {name: configure(*settings, *OPTIONS.get(name, ())) for name, settings in CASES.items()}
    return {name: (config, record(config)) for name, config in configs.items()}


def find(requests: list[dict[str, Any]], operation: str) -> dict[str, Any]:
    found = [one["parameters"] for one in requests if one["operation"] == operation]
    assert found, operation
    return dict(found[0])


def to_api(operation: str) -> str:
    return "".join(word.capitalize() for word in operation.split("_"))


@pytest.mark.parametrize("case", CASES)
def test_requests_are_what_aws_takes_and_rights_are_exactly_theirs(
    case: str, recorded: dict[str, tuple[Config, list[dict[str, Any]]]]
) -> None:
    config, requests = recorded[case]
    for one in requests:
        assert broken(one["service"], to_api(one["operation"]), one["parameters"]) is None, one
    policies = build_policies(config)
    assert isinstance(config.aws, SageMakerAws)
    # Of a change to other machines.
    suspended = f"arn:aws:s3:::faces/{build_suspended_key(config.aws, get_endpoint_name(config))}"
    registry = config.registry.model_copy(update={"deploy": type(config.registry.deploy)()})
    without = build_policies(config.model_copy(update={"registry": registry}))
    caller_uses = {
        use for one in requests for use in list_caller_uses(one["service"], one["operation"], one["parameters"])
    }
    role_uses = [
        use
        for one in requests
        if one["operation"] in ("create_model", "create_endpoint_config")
        for use in list_role_uses(to_api(one["operation"]), one["parameters"])
    ]
    for who, uses in (("caller", caller_uses), ("role", {*role_uses})):
        granted = policies[who]["Statement"]
        assert find_uncovered(granted, uses) == []
        added = [statement for statement in granted if statement not in without[who]["Statement"]]
        assert added and find_unused(added, uses | OTHER_TIMES | {("s3:DeleteObject", suspended)}) == []


def test_options_reach_every_request(recorded: dict[str, tuple[Config, list[dict[str, Any]]]]) -> None:
    for case in ("captured", "queued"):
        _, requests = recorded[case]
        model, config = find(requests, "create_model"), find(requests, "create_endpoint_config")
        assert model["VpcConfig"] == VPC and model["EnableNetworkIsolation"] is True
        assert config["KmsKeyId"] == DISKS
        for created in (model, config, find(requests, "create_endpoint")):
            assert TAG in created["Tags"] and {"Key": "fer:model", "Value": NAME} in created["Tags"]
    _, captured = recorded["captured"]
    capture = find(captured, "create_endpoint_config")["DataCaptureConfig"]
    assert (capture["InitialSamplingPercentage"], capture["KmsKeyId"]) == (5, KEY)
    assert capture["DestinationS3Uri"] == f"s3://faces/fer/jobs/endpoints/{NAME}/capture"
    update = find(captured, "update_endpoint")
    assert update["DeploymentConfig"]["AutoRollbackConfiguration"] == {"Alarms": [{"AlarmName": "a"}]}
    assert update["RetainAllVariantProperties"] is True and update["RetainDeploymentConfig"] is False
    # Going back is not watched by an alarm, which may be ringing.
    back = [one["parameters"] for one in captured if one["operation"] == "update_endpoint"][-1]
    assert "AutoRollbackConfiguration" not in back["DeploymentConfig"]
    _, queued = recorded["queued"]
    output = find(queued, "create_endpoint_config")["AsyncInferenceConfig"]["OutputConfig"]
    assert output["KmsKeyId"] == KEY and output["S3OutputPath"].startswith("s3://faces/fer/jobs/endpoints/")
    assert TAG in find(queued, "put_metric_alarm")["Tags"]
    policy = [one["parameters"] for one in queued if one["operation"] == "put_scaling_policy"][0]
    tracking = policy["TargetTrackingScalingPolicyConfiguration"]
    assert tracking["CustomizedMetricSpecification"]["MetricName"] == "ApproximateBacklogSizePerInstance"
    _, serverless = recorded["serverless"]
    assert find(serverless, "create_model")["EnableNetworkIsolation"] is False
    assert "DeploymentConfig" not in find(serverless, "update_endpoint")


def test_nothing_is_captured_unless_asked_for(recorded: dict[str, tuple[Config, list[dict[str, Any]]]]) -> None:
    _, requests = recorded["plain"]
    assert set(find(requests, "create_endpoint_config")) == {"EndpointConfigName", "ProductionVariants", "Tags"}
    assert "register_scalable_target" not in {one["operation"] for one in requests}


def test_names_follow_from_the_content(recorded: dict[str, tuple[Config, list[dict[str, Any]]]]) -> None:
    names = [find(requests, "create_endpoint_config")["EndpointConfigName"] for _, requests in recorded.values()]
    assert len({*names}) == len(names)
    config, requests = recorded["plain"]
    again = record(config)
    # But for the lock, which no two processes write alike.
    plain = [[one for one in found if one["service"] != "s3"] for found in (requests, again)]
    assert json.dumps(plain[0]) == json.dumps(plain[1])
    assert is_own_name(NAME, find(again, "create_model")["ModelName"])
    # Other machines, other names, the model's too: it is deleted with the configuration.
    other = record(configure("target=sagemaker", "instance_count=2"))
    assert find(other, "create_model")["ModelName"] != find(again, "create_model")["ModelName"]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (("registry.name=Fer",), "fer"),
        (("registry.name=7emotions",), "fer-7emotions"),
        (("target=async",), f"{NAME}-async"),
        (("target=serverless", f"registry.name={'a' * 63}"), f"{'a' * 25}-7d3e74a05d7d-serverless"),
        (("model_uri=models:/other_model@champion",), "other-model"),
        (("endpoint=mine",), "mine"),
    ],
)
def test_an_endpoint_is_called_as_its_model(given: tuple[str, ...], name: str) -> None:
    overrides = [one if one.startswith(("registry", "model_uri")) else f"registry.deploy.{one}" for one in given]
    found = get_endpoint_name(load_overrides([*PLAIN, *overrides], "register"))
    assert found == name and len(found) <= 49


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("target=async", "capture_percent=5"), "capture_percent=5 is for target=sagemaker"),
        (("target=sagemaker", "autoscaling.max=3"), "autoscaling.max and autoscaling.target come together"),
        (("target=sagemaker", "autoscaling.min=2"), "autoscaling.min needs autoscaling.max and autoscaling.target"),
        (("target=sagemaker", "autoscaling.min=0"), "autoscaling.min=0 is for target=async and cloudrun"),
        (("target=async", *BACKLOG, "instance_count=3"), "instance_count=3 must be from autoscaling.min=0 to"),
        (("target=async", "autoscaling.min=3", *BACKLOG[1:]), "autoscaling.min=3 must not be above autoscaling.max=2"),
        (("target=serverless", "memory_mb=1500"), "memory_mb=1500: target=serverless takes 1024, 2048"),
        (("target=serverless", "max_concurrency=300"), "max_concurrency=300: target=serverless takes at most 200"),
        (("target=serverless", "provisioned_concurrency=9"), "max_concurrency=8 must not be below provisioned"),
        (("target=serverless", "update.alarms=[a]"), "update: target=serverless changes over at once"),
        (("target=serverless", "autoscaling.max=2", "autoscaling.target=0.5"), "scales provisioned_concurrency"),
        (("target=cloudrun",), "cloudrun.image and cloudrun.region are needed"),
        (("target=sagemaker", "endpoint=Fer_1"), "must match"),
        (("target=lambda",), "allowed are sagemaker, serverless, async or cloudrun"),
    ],
)
def test_what_a_target_does_not_take_is_a_sentence(given: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match="registry.deploy") as refused:
        configure(*given)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            ("target=serverless", *FULL),
            "aws.vpc: SageMaker gives serverless endpoints none; use registry.deploy.target",
        ),
        (("target=serverless", "aws.network_isolation=true"), "aws.network_isolation=true: SageMaker gives"),
        (("target=sagemaker", "instance_type=ml.c5.xlargo"), "registry.deploy.instance_type=ml.c5.xlargo: is none of"),
        (("target=sagemaker", "aws.role=null"), "aws.role: SageMaker needs a role to run the endpoint with"),
    ],
)
def test_what_sagemaker_refuses_is_refused_before_anything_is_sent(given: tuple[str, ...], said: str) -> None:
    config = configure(*given)
    assert isinstance(config.aws, SageMakerAws)
    client = connect(config.aws, dry_run=True)
    registry = config.registry.model_copy(update={"action": "deploy"})
    with pytest.raises(ConfigError) as refused:
        _change_endpoint(config.model_copy(update={"registry": registry}), config.aws, client)
    assert str(refused.value).startswith(said)
    assert not [one for one in client.recorded_requests if one["operation"].startswith("create")]
