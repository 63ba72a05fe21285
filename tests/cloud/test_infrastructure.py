"""The template of bucket, role, repositories, logs and alarms: linted, and created, updated and deleted."""

import ast
import json
from typing import Any

import pytest
from cfnlint.api import lint_all

from fer.cloud.infrastructure import build_template, main
from fer.cloud.policy import build_policies
from fer.config import Config
from fer.config.compose import load_overrides
from tests.helpers.aws_simulator.simulator import Simulated

BUCKET = "faces-of-tests"
ROLE = "arn:aws:iam::123456789012:role/teams/fer"
NEEDED = (f"aws.bucket={BUCKET}", f"aws.role={ROLE}", "aws.region=us-east-1")
KEY = "arn:aws:kms:us-east-1:123456789012:key/12345678-1234-1234-1234-123456789012"
RICH = (
    f"aws.kms_key={KEY}",
    "aws.image=123456789012.dkr.ecr.us-east-1.amazonaws.com/team/fer:1",
    "aws.training.image=763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.14",
    "+aws.tags.team=faces",
    "aws.keep=none",
    "inference.monitor.max_psi=0.25",
    "inference.monitor.min_accuracy=0.6",
    "aws.cloudwatch.alarms=true",
    "aws.cloudwatch.alarm_topic=arn:aws:sns:us-east-1:123456789012:alarms",
    "extraction.input=s3://other-bucket/videos/",
)
VARIANTS = [((), False), ((), True), (RICH, False), (RICH, True)]


def configured(*overrides: str) -> Config:
    return load_overrides(["aws=sagemaker", *NEEDED, *overrides], "infer")


def resources(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Properties of each resource of a kind, by its name in the template."""
    found = template["Resources"].items()
    return {name: item["Properties"] for name, item in found if item["Type"] == f"AWS::{kind}"}


@pytest.mark.slow
@pytest.mark.parametrize(("overrides", "pipelines"), VARIANTS)
def test_cfn_lint_finds_nothing(overrides: tuple[str, ...], pipelines: bool) -> None:
    text = json.dumps(build_template(configured(*overrides), pipelines))
    # What informs is a matter of taste.
    assert [str(match) for match in lint_all(text) if not match.rule.id.startswith("I")] == []
    # CloudFormation takes no longer ones in a request.
    assert len(text) < 51_200


@pytest.mark.parametrize(("overrides", "pipelines"), VARIANTS)
def test_the_rights_are_those_that_the_policy_command_prints(overrides: tuple[str, ...], pipelines: bool) -> None:
    config = configured(*overrides)
    template, policies = build_template(config, pipelines), build_policies(config, pipelines)
    role = resources(template, "IAM::Role")["Role"]
    assert (role["RoleName"], role["Path"]) == ("fer", "/teams/")
    assert role["AssumeRolePolicyDocument"] == policies["role_trust"]
    assert [policy["PolicyDocument"] for policy in role["Policies"]] == [policies["role"]]
    caller = resources(template, "IAM::ManagedPolicy")["CallerPolicy"]
    assert (caller["ManagedPolicyName"], caller["PolicyDocument"]) == ("fer-caller", policies["caller"])
    # IAM's limits, in which white space does not count.
    assert len(json.dumps(policies["role"], separators=(",", ":"))) < 10_240
    assert len(json.dumps(policies["caller"], separators=(",", ":"))) < 6_144


def test_names_encryption_and_alarms_are_those_of_the_configuration() -> None:
    template = build_template(configured(*RICH))
    [bucket] = resources(template, "S3::Bucket").values()
    [encryption] = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}
    # AWS's own image is in none of our repositories.
    [repository] = resources(template, "ECR::Repository").values()
    assert repository["RepositoryName"] == "team/fer"
    assert {"Key": "team", "Value": "faces"} in repository["Tags"]
    alarms = resources(template, "CloudWatch::Alarm").values()
    assert sorted({alarm["MetricName"] for alarm in alarms}) == ["Accuracy", "DriftLowerLimit"]
    assert {alarm["Threshold"] for alarm in alarms} == {0.25, 0.6}
    assert all(alarm["AlarmActions"] == ["arn:aws:sns:us-east-1:123456789012:alarms"] for alarm in alarms)
    [alarm] = resources(build_template(configured()), "CloudWatch::Alarm").values()
    assert (alarm["MetricName"], alarm["Threshold"]) == ("FailureShare", 0.5)
    names = {found["RepositoryName"] for found in resources(build_template(configured()), "ECR::Repository").values()}
    assert names == {"fer", "fer-jobs"}


def test_names_that_differ_in_signs_alone_or_are_long_are_resources_of_their_own() -> None:
    host = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
    images = (
        f"aws.image={host}/team/fer:1",
        f"aws.training.image={host}/team-fer:1",
        f"aws.processing.image={host}/a:1",
    )
    found = resources(build_template(configured(*images)), "ECR::Repository")
    assert {one["RepositoryName"] for one in found.values()} == {"team/fer", "team-fer", "a"}
    long = ("+aws.cloudwatch.dimensions.Site=" + "s" * 400, "inference.monitor.max_psi=0.2")
    alarms = resources(build_template(configured(*long)), "CloudWatch::Alarm")
    assert len({one["AlarmName"] for one in alarms.values()}) == len(alarms) > 1
    assert all(name.isalnum() and len(name) <= 255 for name in [*found, *alarms])


def test_models_images_and_logs_outlive_the_stack() -> None:
    kept = {item["Type"] for item in build_template(configured())["Resources"].values() if "DeletionPolicy" in item}
    assert kept == {"AWS::S3::Bucket", "AWS::S3::BucketPolicy", "AWS::ECR::Repository", "AWS::Logs::LogGroup"}


@pytest.mark.slow
@pytest.mark.aws
def test_a_stack_is_created_updated_and_deleted(aws: Simulated) -> None:
    cloudformation, iam, logs = aws.client("cloudformation"), aws.client("iam"), aws.client("logs")
    stack = {"StackName": "fer", "Capabilities": ["CAPABILITY_NAMED_IAM"]}
    first = build_template(configured())
    cloudformation.create_stack(**stack, TemplateBody=json.dumps(first))
    [described] = cloudformation.describe_stacks(StackName="fer")["Stacks"]
    assert described["StackStatus"] == "CREATE_COMPLETE"
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
    assert (outputs["BucketName"], outputs["RoleArn"]) == (BUCKET, ROLE)
    encryption = aws.client("s3").get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]
    assert encryption["Rules"][0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    policies = build_policies(configured())
    assert read_role_policy(iam) == policies["role"]
    assert iam.get_role(RoleName="fer")["Role"]["AssumeRolePolicyDocument"] == policies["role_trust"]
    groups = {group["logGroupName"]: group.get("retentionInDays") for group in logs.describe_log_groups()["logGroups"]}
    kinds = ("Transform", "Processing", "Training")
    assert groups == {f"/aws/sagemaker/{kind}Jobs": 90 for kind in kinds}
    repositories = aws.client("ecr").describe_repositories()["repositories"]
    assert {found["repositoryName"]: found["imageTagMutability"] for found in repositories} == {
        **{"fer": "IMMUTABLE", "fer-jobs": "IMMUTABLE"}
    }
    second = build_template(configured(f"aws.kms_key={KEY}"), pipelines=True)
    cloudformation.update_stack(**stack, TemplateBody=json.dumps(second))
    [described] = cloudformation.describe_stacks(StackName="fer")["Stacks"]
    assert described["StackStatus"] == "UPDATE_COMPLETE"
    # moto leaves a role's rights as they are in an update; buckets it changes.
    encryption = aws.client("s3").get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]
    default = encryption["Rules"][0]["ApplyServerSideEncryptionByDefault"]
    assert default == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}
    cloudformation.delete_stack(StackName="fer")
    with pytest.raises(cloudformation.exceptions.ClientError, match="does not exist"):
        cloudformation.describe_stacks(StackName="fer")
    assert iam.list_roles(PathPrefix="/teams/")["Roles"] == []


@pytest.mark.aws
def test_what_the_simulated_cloudformation_leaves_out_is_taken_by_the_services(aws: Simulated) -> None:
    """Lifecycle, public access, TLS and alarms: moto's CloudFormation passes over them, so its services are asked."""
    template = build_template(configured())
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    bucket = resources(template, "S3::Bucket")["Bucket"]
    blocks = bucket["PublicAccessBlockConfiguration"]
    s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration=blocks)
    assert all(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values())
    s3.put_bucket_ownership_controls(Bucket=BUCKET, OwnershipControls=bucket["OwnershipControls"])
    rules = [as_lifecycle_rule(rule) for rule in bucket["LifecycleConfiguration"]["Rules"]]
    s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": rules})
    expiring = {
        rule["Filter"]["Prefix"]: rule["Expiration"]["Days"]
        for rule in s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
        if "Expiration" in rule
    }
    assert expiring == {"fer/jobs/": 30, "fer/inputs/": 30}
    document = resources(template, "S3::BucketPolicy")["BucketPolicy"]["PolicyDocument"]
    written = json.loads(json.dumps(document).replace('{"Fn::GetAtt": ["Bucket", "Arn"]}', f'"arn:aws:s3:::{BUCKET}"'))
    for statement in written["Statement"]:
        assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
        statement["Resource"] = [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"]
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(written))
    assert {json.dumps(statement["Condition"]) for statement in written["Statement"]} == {
        '{"Bool": {"aws:SecureTransport": "false"}}',
        '{"NumericLessThan": {"s3:TlsVersion": "1.2"}}',
    }
    cloudwatch = aws.client("cloudwatch")
    [alarm] = resources(template, "CloudWatch::Alarm").values()
    cloudwatch.put_metric_alarm(**alarm)
    [found] = cloudwatch.describe_alarms()["MetricAlarms"]
    assert (found["AlarmName"], found["Threshold"]) == (alarm["AlarmName"], 0.5)
    ecr = aws.client("ecr")
    for repository in resources(template, "ECR::Repository").values():
        name = repository["RepositoryName"]
        ecr.create_repository(repositoryName=name)
        ecr.put_lifecycle_policy(repositoryName=name, **as_ecr(repository["LifecyclePolicy"]))


def read_role_policy(iam: Any) -> Any:
    """The rights of the role, which moto's CloudFormation keeps as Python would write them."""
    document = iam.get_role_policy(RoleName="fer", PolicyName="fer")["PolicyDocument"]
    return ast.literal_eval(document) if isinstance(document, str) else document


def as_lifecycle_rule(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule of CloudFormation as S3's own request has it."""
    rule = dict(rule)
    written = {"ID": rule.pop("Id"), "Filter": {"Prefix": rule.pop("Prefix", "")}}
    if "ExpirationInDays" in rule:
        assert rule.pop("ExpirationInDays") == {"Ref": "FaceRetentionDays"}
        written["Expiration"] = {"Days": 30}
    return {**written, **rule}


def as_ecr(properties: dict[str, str]) -> dict[str, str]:
    return {name[0].lower() + name[1:]: value for name, value in properties.items()}


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["--help"], 0)])
def test_usage(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    printed = capsys.readouterr()
    assert ended.value.code == code
    said = printed.out if arguments else printed.err
    assert said.startswith("usage: python -m fer.cloud.infrastructure aws.bucket=BUCKET aws.role=ARN")


def test_the_template_is_printed_and_a_mistake_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    main([*NEEDED, "--pipelines"])
    assert json.loads(capsys.readouterr().out) == build_template(configured(), pipelines=True)
    with pytest.raises(SystemExit) as ended:
        main([NEEDED[0]])
    assert ended.value.code == 2 and "aws.role: is needed" in capsys.readouterr().err
