"""Faults that the simulator does on request, and what it counts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, HTTPClientError

from fer.aws.client import AwsClient, CloudError
from tests.helpers.aws_simulator.simulator import Simulated
from tests.helpers.registering import BUCKET

MB = 1 << 20
CONTENT = bytes(range(256)) * 8
BROKEN = (ConnectionClosedError, HTTPClientError, EndpointConnectionError)
# One call of each protocol.
CALLS: dict[str, Callable[[Any], Any]] = {
    "sagemaker": lambda client: client.list_models(),
    "logs": lambda client: client.describe_log_groups(),
    "cloudwatch": lambda client: client.list_metrics(),
    "sts": lambda client: client.get_caller_identity(),
    "s3": lambda client: client.get_object(Bucket=BUCKET, Key="content"),
}
CODES = {
    "throttling": ("ThrottlingException", "Throttling", "SlowDown"),
    "error": ("InternalFailure", "InternalFailure", "InternalError"),
    "expired": ("ExpiredTokenException", "ExpiredToken", "ExpiredToken"),
    "denied": ("AccessDeniedException", "AccessDenied", "AccessDenied"),
}


@pytest.fixture
def stored(aws: Simulated) -> Simulated:
    """AWS with one object."""
    aws.client("s3").create_bucket(Bucket=BUCKET)
    aws.client("s3").put_object(Bucket=BUCKET, Key="content", Body=CONTENT)
    return aws


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("service", CALLS)
def test_refusal_has_the_code_of_its_service_once(stored: Simulated, service: str, kind: str) -> None:
    stored.fault(kind, service=service)
    client = stored.client(service)
    with pytest.raises(ClientError) as caught:
        CALLS[service](client)
    assert caught.value.response["Error"]["Code"] == CODES[kind][{"sts": 1, "s3": 2}.get(service, 0)]
    CALLS[service](client)


@pytest.mark.parametrize("kind", ["throttling", "error", "timeout", "reset"])
def test_client_that_tries_again_gets_over_it(stored: Simulated, kind: str) -> None:
    stored.fault(kind, service="s3", times=2, seconds=0.01)
    found = stored.client("s3", attempts=3).get_object(Bucket=BUCKET, Key="content")
    assert found["Body"].read() == CONTENT
    assert stored.calls()["s3:GetObject"] == 3


def test_fault_is_for_the_calls_it_names(stored: Simulated) -> None:
    stored.fault("denied", service="s3", operation="GetObject", path="other", times=None)
    stored.fault("error", operation="GetObject", skip=1)
    s3 = stored.client("s3")
    s3.head_object(Bucket=BUCKET, Key="content")
    s3.get_object(Bucket=BUCKET, Key="content")
    with pytest.raises(ClientError, match="InternalError"):
        s3.get_object(Bucket=BUCKET, Key="content")
    for _ in range(2):
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.get_object(Bucket=BUCKET, Key="other")
    stored.clear_faults()
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(Bucket=BUCKET, Key="other")


def test_no_answer_in_time(stored: Simulated) -> None:
    stored.fault("timeout", operation="GetObject", seconds=60)
    with pytest.raises(HTTPClientError, match="Read timeout"):
        stored.client("s3", read_timeout=0.2).get_object(Bucket=BUCKET, Key="content")


@pytest.mark.parametrize(("operation", "threshold", "calls"), [("PutObject", 64 * MB, 1), ("UploadPart", 5 * MB, 3)])
def test_connection_reset_in_the_middle_of_an_upload(
    stored: Simulated, tmp_path: Path, operation: str, threshold: int, calls: int
) -> None:
    path = tmp_path / "large"
    path.write_bytes(CONTENT * (12 * MB // len(CONTENT)))
    transfer = TransferConfig(multipart_threshold=threshold, multipart_chunksize=5 * MB, max_concurrency=1)
    stored.fault("reset", operation=operation)
    with pytest.raises(BROKEN):
        stored.client("s3").upload_file(str(path), BUCKET, "large", Config=transfer)
    with pytest.raises(ClientError, match="404"):
        stored.client("s3").head_object(Bucket=BUCKET, Key="large")
    stored.fault("reset", operation=operation)
    before = stored.calls()
    stored.client("s3", attempts=3).upload_file(str(path), BUCKET, "large", Config=transfer)
    assert stored.client("s3").head_object(Bucket=BUCKET, Key="large")["ContentLength"] == path.stat().st_size
    # The one that was reset was sent once more.
    assert (stored.calls() - before)[f"s3:{operation}"] == calls + 1


def test_answer_that_is_lost_was_done(aws: Simulated) -> None:
    aws.fault("lost", operation="CreateModelPackageGroup")
    sagemaker = aws.client("sagemaker")
    with pytest.raises(BROKEN):
        sagemaker.create_model_package_group(ModelPackageGroupName="g")
    assert sagemaker.describe_model_package_group(ModelPackageGroupName="g")["ModelPackageGroupName"] == "g"


@pytest.mark.parametrize(("kind", "size", "differ"), [("truncated", 1024, 0), ("tampered", 2048, 1)])
def test_object_comes_damaged_without_a_sign(stored: Simulated, kind: str, size: int, differ: int) -> None:
    stored.fault(kind, path="content")
    s3 = stored.client("s3")
    got = s3.get_object(Bucket=BUCKET, Key="content")["Body"].read()
    assert len(got) == size
    assert sum(one != other for one, other in zip(got, CONTENT, strict=False)) == differ
    assert s3.get_object(Bucket=BUCKET, Key="content")["Body"].read() == CONTENT


@pytest.mark.parametrize(
    ("service", "operation", "given", "said"),
    [
        (
            "s3",
            "put_object",
            {"Key": "a", "Body": CONTENT, "ServerSideEncryption": "rot13"},
            "at 'serverSideEncryption'",
        ),
        ("s3", "delete_objects", {"Delete": {"Objects": [{"Key": ""}]}}, "at 'delete.objects.1.member.key'"),
        ("logs", "describe_log_streams", {"logGroupName": "a b"}, "InvalidParameterException.*at 'logGroupName'"),
        ("cloudwatch", "put_metric_data", {"Namespace": ":", "MetricData": []}, "InvalidParameterValue.*'namespace'"),
        ("sagemaker", "describe_model", {"ModelName": "under_score"}, "ValidationException.*at 'modelName'"),
    ],
)
def test_every_service_refuses_what_its_description_does_not_allow(
    stored: Simulated, service: str, operation: str, given: dict[str, Any], said: str
) -> None:
    bucket = {"Bucket": BUCKET} if service == "s3" else {}
    # The client's own checks, which know lengths, are not what is tested here.
    client = stored.client(service, parameter_validation=False)
    with pytest.raises(ClientError, match=f"(?s){said}"):
        getattr(client, operation)(**bucket, **given)


def test_calls_are_counted_by_their_operation(stored: Simulated) -> None:
    s3 = stored.client("s3")
    s3.list_objects_v2(Bucket=BUCKET)
    s3.get_bucket_acl(Bucket=BUCKET)
    s3.copy_object(Bucket=BUCKET, Key="copy", CopySource=f"{BUCKET}/content")
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "copy"}]})
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="a/b c")["UploadId"]
    s3.abort_multipart_upload(Bucket=BUCKET, Key="a/b c", UploadId=upload)
    stored.client("cloudwatch").put_metric_data(Namespace="fer", MetricData=[{"MetricName": "m", "Value": 1}])
    stored.client("iam").list_roles()
    assert stored.calls() == dict.fromkeys(
        [
            *("s3:CreateBucket", "s3:PutObject", "s3:ListObjectsV2", "s3:GetBucketAcl", "s3:CopyObject"),
            *("s3:DeleteObjects", "s3:CreateMultipartUpload", "s3:AbortMultipartUpload"),
            *("cloudwatch:PutMetricData", "iam:ListRoles"),
        ],
        1,
    )


def test_reset_forgets_everything(stored: Simulated) -> None:
    stored.fault("denied", times=None)
    stored.reset()
    assert (stored.calls(), stored.faults()) == ({}, [])
    assert stored.client("s3").list_buckets()["Buckets"] == []


@pytest.mark.parametrize(("content", "said"), [({"kind": "storm"}, "storm"), ({"kind": "error", "when": 1}, "when")])
def test_unknown_fault_is_refused(aws: Simulated, content: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        aws.fault(**content)
    assert requests.post(f"{aws.url}/simulator/faults", json=content, timeout=10).status_code == 400


def test_program_finds_it_by_its_environment(
    stored: Simulated, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in stored.environment.items():
        monkeypatch.setenv(name, value)
    calls = AwsClient()
    calls.download(BUCKET, "content", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == CONTENT
    stored.fault("expired", operation="ListModels")
    with pytest.raises(CloudError, match="have expired") as caught:
        calls.request("sagemaker", "list_models", {})
    assert caught.value.code == "ExpiredTokenException"
