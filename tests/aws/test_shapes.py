"""AWS's own rules for requests: what breaks them is found before anything is sent."""

from typing import Any

import botocore.session
import pytest

from fer.aws.client import AwsClient, CloudError
from fer.aws.shapes import compile_pattern, find_violations

JOB = {
    "ProcessingJobName": "job-1",
    "RoleArn": "arn:aws:iam::123456789012:role/fer",
    "AppSpecification": {"ImageUri": "image:1"},
    "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}},
}


def change(place: str, value: Any) -> dict[str, Any]:
    """The request with another value at a place."""
    first, _, rest = place.partition(".")
    if not rest:
        return {**JOB, first: value}
    cluster = {**JOB["ProcessingResources"]["ClusterConfig"], rest: value}  # type: ignore[index]
    return {**JOB, "ProcessingResources": {"ClusterConfig": cluster}}


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("ProcessingJobName", "a_b", r"ProcessingJobName=a_b: must match "),
        (
            "ProcessingJobName",
            "x" * 64,
            r"ProcessingJobName=x+…: has 64 characters; AWS takes at least 1 and at most 63",
        ),
        ("RoleArn", "arn:aws:iam::123456789012:role/no such role", "RoleArn=.*: must match arn:aws"),
        ("C.InstanceType", "ml.m5.2xlarg", "InstanceType=ml.m5.2xlarg: is none of the .*did you mean ml.m5.2xlarge"),
        ("C.VolumeSizeInGB", 16385, "VolumeSizeInGB=16385: is out of range; AWS takes at least 1 and at most 16384"),
        ("C.VolumeKmsKeyId", "no such key", "VolumeKmsKeyId=no such key: must match"),
        ("Tags", [{"Key": "fac#es!", "Value": "1"}], r"Tags\[fac#es!\].Key=fac#es!: must match"),
        ("Tags", [{"Key": "k", "Value": "v" * 257}], r"Tags\[k\].Value=v+…: has 257 characters"),
        ("Tags", [{"Key": f"k{n}", "Value": ""} for n in range(51)], "Tags=.*: has 51 entries; AWS takes"),
        ("Environment", {"a-b": "x"}, "Environment.a-b=a-b: must match"),
        (
            "NetworkConfig",
            {"VpcConfig": {"Subnets": ["s"] * 17, "SecurityGroupIds": ["sg-1"]}},
            "VpcConfig.Subnets=.*: has 17 entries; AWS takes at least 1 and at most 16",
        ),
    ],
)
@pytest.mark.parametrize("dry_run", [True, False])
def test_what_aws_would_refuse_is_refused_before(
    place: str, value: Any, said: str, dry_run: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody listens there: whatever were sent would be another error.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    client = AwsClient("us-east-1", dry_run)
    with pytest.raises(CloudError, match=f"^CreateProcessingJob: .*{said}") as caught:
        client.request("sagemaker", "create_processing_job", change(place, value))
    assert len(str(caught.value).splitlines()) == 1
    assert client.recorded_requests == []


def test_letters_and_digits_of_all_scripts_are_letters_and_digits() -> None:
    client = AwsClient("us-east-1", dry_run=True)
    tags = [{"Key": "Größe ½ ②", "Value": "東京/новый+=@:_-."}]
    client.request("sagemaker", "create_processing_job", change("Tags", tags))
    assert client.recorded_requests[0]["parameters"]["Tags"] == tags


@pytest.mark.parametrize("service", ["sagemaker", "s3", "cloudwatch", "logs"])
def test_every_pattern_is_understood(service: str) -> None:
    model = botocore.session.get_session().get_service_model(service)
    patterns = {model.shape_for(name).metadata.get("pattern") for name in model.shape_names} - {None}
    # Two of SageMaker's are no patterns in Python: of hub contents and of code repositories, which we never send.
    assert sum(compile_pattern(text) is None for text in patterns) <= 2
    assert all(r"\p{" not in found.pattern for text in patterns if (found := compile_pattern(text)))


def test_what_is_secret_is_not_shown() -> None:
    shape = botocore.session.get_session().get_service_model("sagemaker").shape_for("ModelPackageModelCard")
    [violation] = find_violations(shape, {"ModelCardContent": "secret " * 20_000})
    assert "secret" not in str(violation) and "has 140000 characters" in str(violation)
