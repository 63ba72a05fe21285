"""The simulator refuses what AWS refuses."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.helpers.aws_simulator.simulator import Simulated
from tests.helpers.registering import (
    BUCKET,
    GROUP,
    IMAGE,
    finished,
    job_request,
    model_request,
    package_request,
    put,
    registered,
    source,
)

VALIDATION = "ValidationException"


@pytest.fixture
def package(aws: Simulated) -> str:
    """ARN of an approved package whose archive is none; `model-1` is of it, and one object waits in `in/`."""
    arn = registered(aws, b"no archive")
    put(aws, {"in/1.png": b"no picture"})
    return arn


@pytest.fixture
def sagemaker(aws: Simulated, package: str) -> Any:
    return aws.client("sagemaker")


def refused(code: str, said: str) -> Any:
    return pytest.raises(ClientError, match=rf"(?s)\({code}\).*{said}")


def output(**changed: str) -> dict[str, Any]:
    return {"TransformOutput": {"S3OutputPath": f"s3://{BUCKET}/out", **changed}}


def client_config(**given: int) -> dict[str, Any]:
    return {"ModelClientConfig": given}


def inference(**changed: Any) -> dict[str, Any]:
    return {"InferenceSpecification": {**package_request()["InferenceSpecification"], **changed}}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"TransformJobName": "two words"}, "regular expression pattern"),
        ({"TransformJobName": "under_score"}, "regular expression pattern"),
        ({"TransformJobName": "x" * 64}, "length less than or equal to 63"),
        ({"ModelName": "model-2"}, "Could not find model .*model-2"),
        ({"MaxPayloadInMB": 101, "MaxConcurrentTransforms": 1}, "MaxPayloadInMB is 101"),
        ({"MaxPayloadInMB": 21, "MaxConcurrentTransforms": 5}, "105 MB"),
        ({"MaxPayloadInMB": 0, "MaxConcurrentTransforms": 17}, "102 MB"),
        (client_config(InvocationsTimeoutInSeconds=3601), "value less than or equal to 3600"),
        (client_config(InvocationsTimeoutInSeconds=60, InvocationsMaxRetries=4), "value less than or equal to 3"),
        ({"BatchStrategy": "All"}, r"enum value set: \[MultiRecord, SingleRecord\]"),
        ({"Environment": {"bad-name": "1"}}, "regular expression pattern"),
        ({"TransformInput": source(f"s3://{BUCKET}/none/")}, "No S3 objects found"),
        ({"TransformInput": source("s3://nobodys/in/")}, "No S3 objects found"),
        ({"TransformInput": source(f"s3://{BUCKET}/none.json", "ManifestFile")}, "No S3 objects found"),
        ({"TransformInput": source("in/")}, "regular expression pattern"),
        ({"TransformInput": source(f"s3://{BUCKET}/in/", content_type="text/csv")}, "SupportedContentTypes"),
        (output(Accept="text/csv"), "SupportedResponseMIMETypes"),
        (output(S3OutputPath="s3://nobodys/out"), "does not exist"),
        (
            {"TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1}},
            "SupportedTransformInstanceTypes",
        ),
        ({"TransformResources": {"InstanceType": "ml.none", "InstanceCount": 1}}, "enum value set"),
    ],
)
def test_transform_job(sagemaker: Any, changed: dict[str, Any], said: str) -> None:
    with refused(VALIDATION, said):
        sagemaker.create_transform_job(**job_request(**changed))
    assert not sagemaker.list_transform_jobs()["TransformJobSummaries"]


def test_name_of_a_job_is_used_once(aws: Simulated, sagemaker: Any) -> None:
    sagemaker.create_transform_job(**job_request())
    with refused("ResourceInUse", "must be unique"):
        sagemaker.create_transform_job(**job_request())
    assert finished(aws)["TransformJobStatus"] == "Failed"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "already existing model"),
        ({"ModelName": "bad name"}, "regular expression pattern"),
        ({"ExecutionRoleArn": "not-a-role-at-all-but-long"}, "regular expression pattern"),
        (
            {
                "PrimaryContainer": {
                    "ModelPackageName": f"arn:aws:sagemaker:us-east-1:123456789012:model-package/{GROUP}/9"
                }
            },
            "not found",
        ),
        ({"PrimaryContainer": {"ModelPackageName": GROUP}}, "not found"),
        ({"PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": "s3://faces/none.tar.gz"}}, "Could not find model data"),
        ({"PrimaryContainer": {}}, "either"),
    ],
)
def test_model(sagemaker: Any, package: str, changed: dict[str, Any], said: str) -> None:
    request = model_request(package, ModelName="model-2") if changed else model_request(package)
    with refused(VALIDATION, said):
        sagemaker.create_model(**{**request, **changed})


def test_model_of_a_package_that_is_not_approved(sagemaker: Any, package: str) -> None:
    for status in ("PendingManualApproval", "Rejected"):
        sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus=status)
        with refused(VALIDATION, status):
            sagemaker.create_model(**model_request(package, ModelName="model-2"))
    sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved")
    sagemaker.create_model(**model_request(package, ModelName="model-2"))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"ModelApprovalStatus": "Fine"}, "enum value set"),
        ({"ModelPackageDescription": "two\nlines"}, "regular expression pattern"),
        ({"ModelPackageGroupName": "none"}, "Group does not exist"),
        ({"CustomerMetadataProperties": {f"k{index}": "v" for index in range(51)}}, "less than or equal to 50"),
        ({"CustomerMetadataProperties": {"k" * 129: "v"}}, "less than or equal to 128"),
        ({"CustomerMetadataProperties": {"k": "v" * 257}}, "less than or equal to 256"),
        ({"CustomerMetadataProperties": {"k": "a,b"}}, "regular expression pattern"),
        ({"Tags": [{"Key": "a", "Value": "b"}]}, "Tags are not supported"),
        (inference(Containers=[{"Image": IMAGE, "ModelDataUrl": "s3://faces/none"}]), "Could not find model data"),
        (inference(SupportedTransformInstanceTypes=["ml.none"]), "enum value set"),
    ],
)
def test_model_package(sagemaker: Any, changed: dict[str, Any], said: str) -> None:
    with refused(VALIDATION, said):
        sagemaker.create_model_package(**package_request(**changed))
    assert len(sagemaker.list_model_packages(ModelPackageGroupName=GROUP)["ModelPackageSummaryList"]) == 1


def test_versions_made_at_once_differ_and_none_comes_twice(aws: Simulated, sagemaker: Any, package: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: aws.client("sagemaker").create_model_package(**package_request()), range(8)))
    arns = [answer["ModelPackageArn"] for answer in made]
    assert sorted(arn.rpartition("/")[2] for arn in arns) == [str(version) for version in range(2, 10)]
    last = max(arns)
    sagemaker.delete_model_package(ModelPackageName=last)
    with refused(VALIDATION, "not found"):
        sagemaker.describe_model_package(ModelPackageName=last)
    assert sagemaker.create_model_package(**package_request())["ModelPackageArn"].endswith("/10")


def test_request_that_is_repeated_makes_one_version(sagemaker: Any) -> None:
    request = package_request(ClientToken="the-same", ModelPackageDescription="F1 0.61 ≥ 0.60 (test), 7 classes")
    assert len({sagemaker.create_model_package(**request)["ModelPackageArn"] for _ in range(2)}) == 1
    with refused(VALIDATION, "other parameters"):
        sagemaker.create_model_package(**{**request, "ModelApprovalStatus": "Rejected"})


def test_update_of_a_package_keeps_what_it_does_not_name(sagemaker: Any) -> None:
    request = package_request(CustomerMetadataProperties={"commit": "1", "data": "2"})
    arn = sagemaker.create_model_package(**request)["ModelPackageArn"]
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Rejected", ApprovalDescription="worse")
    sagemaker.update_model_package(
        ModelPackageArn=arn, CustomerMetadataProperties={"data": "3"}, CustomerMetadataPropertiesToRemove=["commit"]
    )
    found = sagemaker.describe_model_package(ModelPackageName=arn)
    assert found["CustomerMetadataProperties"] == {"data": "3"}
    assert (found["ModelApprovalStatus"], found["ApprovalDescription"]) == ("Rejected", "worse")


def test_group_is_made_once_and_goes_when_it_is_empty(sagemaker: Any, package: str) -> None:
    with refused(VALIDATION, "already exists"):
        sagemaker.create_model_package_group(ModelPackageGroupName=GROUP)
    with refused(VALIDATION, "regular expression pattern"):
        sagemaker.create_model_package_group(ModelPackageGroupName="under_score")
    with refused(VALIDATION, "still contains"):
        sagemaker.delete_model_package_group(ModelPackageGroupName=GROUP)
    sagemaker.delete_model_package(ModelPackageName=package)
    sagemaker.delete_model_package_group(ModelPackageGroupName=GROUP)
    with refused(VALIDATION, "does not exist"):
        sagemaker.describe_model_package_group(ModelPackageGroupName=GROUP)


def test_tags_are_of_groups_and_a_later_one_replaces(sagemaker: Any, package: str) -> None:
    group = sagemaker.describe_model_package_group(ModelPackageGroupName=GROUP)["ModelPackageGroupArn"]
    sagemaker.add_tags(ResourceArn=group, Tags=[{"Key": "champion", "Value": "1"}, {"Key": "other", "Value": "2"}])
    sagemaker.add_tags(ResourceArn=group, Tags=[{"Key": "champion", "Value": "3"}])
    sagemaker.delete_tags(ResourceArn=group, TagKeys=["other"])
    assert sagemaker.list_tags(ResourceArn=group)["Tags"] == [{"Key": "champion", "Value": "3"}]
    with refused(VALIDATION, "50 tags"):
        sagemaker.add_tags(ResourceArn=group, Tags=[{"Key": f"k{n}", "Value": "v"} for n in range(50)])
    for arn, said in ((package, "Tags are not supported"), (f"{group}s", "Could not find")):
        with refused(VALIDATION, said):
            sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not valid JSON"),
        ("[]", "not a JSON object"),
        ({"licence": "MIT"}, r"extraneous key \[licence\]"),
        ({"model_overview": {"licence": "MIT"}}, r"extraneous key \[licence\]"),
        ({"intended_uses": {"purpose_of_model": "x" * 2049}}, "maxLength: 2048"),
        ({"intended_uses": {"risk_rating": "Mild"}}, "enum value"),
        ({"additional_information": {"custom_details": {"seed": 1}}}, "expected type: String"),
        ({"evaluation_details": [{"metric_groups": []}]}, r"required key \[name\]"),
        (
            {"evaluation_details": [{"name": "a", "metric_groups": [{"name": "b", "metric_data": [{"name": "c"}]}]}]},
            "required key",
        ),
        ({"model_overview": {"model_description": "x" * 1025}}, "maxLength: 1024"),
    ],
)
def test_model_card(aws: Simulated, content: Any, said: str) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    with refused(VALIDATION, said):
        aws.client("sagemaker").create_model_card(ModelCardName="card", Content=text, ModelCardStatus="Draft")


def test_sound_model_card_is_taken_once(aws: Simulated) -> None:
    metric = {"name": "accuracy", "type": "number", "value": 0.9, "notes": "0.88 to 0.92"}
    card = {
        "model_overview": {"model_name": "fer", "model_version": 1},
        "intended_uses": {"purpose_of_model": "research", "risk_rating": "High"},
        "evaluation_details": [{"name": "test", "metric_groups": [{"name": "all", "metric_data": [metric]}]}],
        "additional_information": {"custom_details": {"seed": "1"}},
    }
    request = {"ModelCardName": "card", "Content": json.dumps(card), "ModelCardStatus": "Draft"}
    aws.client("sagemaker").create_model_card(**request)
    with refused("ConflictException", "already exists"):
        aws.client("sagemaker").create_model_card(**request)
    assert json.loads(aws.client("sagemaker").describe_model_card(ModelCardName="card")["Content"]) == card


@pytest.mark.parametrize(
    ("namespace", "count", "dimensions", "said"),
    [
        ("fer", 1001, 1, "size greater than 1000"),
        ("fer", 1, 31, "length less than or equal to 30"),
        ("AWS/fer", 1, 1, "invalid"),
    ],
)
def test_metrics(aws: Simulated, namespace: str, count: int, dimensions: int, said: str) -> None:
    cloudwatch = aws.client("cloudwatch")
    named = [{"Name": f"d{index}", "Value": "v"} for index in range(dimensions)]
    metrics = [{"MetricName": "faces", "Value": 1.0, "Dimensions": named}] * count
    with refused("InvalidParameterValue", said):
        cloudwatch.put_metric_data(Namespace=namespace, MetricData=metrics)
    cloudwatch.put_metric_data(Namespace="fer", MetricData=[{**metrics[0], "Dimensions": named[:1]}])
    assert [metric["Namespace"] for metric in cloudwatch.list_metrics()["Metrics"]] == ["fer"]


def test_bucket_tells_whether_it_is_public(aws: Simulated) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    assert [grant["Permission"] for grant in s3.get_bucket_acl(Bucket=BUCKET)["Grants"]] == ["FULL_CONTROL"]
    with refused("NoSuchPublicAccessBlockConfiguration", "not found"):
        s3.get_public_access_block(Bucket=BUCKET)
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    assert s3.get_bucket_policy_status(Bucket=BUCKET)["PolicyStatus"]["IsPublic"] is True
    s3.put_bucket_acl(Bucket=BUCKET, ACL="public-read")
    readers = [grant["Grantee"].get("URI", "") for grant in s3.get_bucket_acl(Bucket=BUCKET)["Grants"]]
    assert any(reader.endswith("/AllUsers") for reader in readers)
