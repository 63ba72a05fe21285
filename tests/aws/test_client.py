"""Requests to AWS: what goes wrong is a sentence with a remedy, what passes by itself is got over."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fer.aws.client import AwsClient, CloudError
from fer.errors import ConfigError, UserError
from tests.helpers.aws_client import CONTENT, large, set_environment
from tests.helpers.aws_simulator.simulator import Simulated
from tests.helpers.registering import BUCKET

# Nobody listens there.
NOWHERE = "http://127.0.0.1:9"


def describe(calls: AwsClient, _: Path) -> None:
    calls.request("sagemaker", "describe_transform_job", {"TransformJobName": "job-1"})


def measure(calls: AwsClient, _: Path) -> None:
    calls.request(
        "cloudwatch", "put_metric_data", {"Namespace": "fer", "MetricData": [{"MetricName": "m", "Value": 1.0}]}
    )


def put(calls: AwsClient, folder: Path) -> None:
    (folder / "file").write_bytes(CONTENT)
    calls.upload(folder / "file", BUCKET, "file")


def get(calls: AwsClient, folder: Path) -> None:
    calls.download(BUCKET, "content", folder / "got")


DESCRIBE, PUT, GET = "sagemaker:DescribeTransformJob", "s3:PutObject of s3://faces/file", "s3:GetObject of s3://faces/"
REQUESTS = [
    ("DescribeTransformJob", describe, DESCRIBE),
    ("PutMetricData", measure, "cloudwatch:PutMetricData"),
    ("PutObject", put, PUT),
    ("GetObject", get, f"{GET}content"),
]
REMEDIES = {
    "throttling": r"\((ThrottlingException|Throttling|SlowDown)\); try again later$",
    "error": r"\((InternalFailure|InternalError)\); try again later$",
    "expired": r"AWS's credentials have expired; sign in again \(aws sso login\), then go on$",
    "denied": r"not allowed \(.+ not authorized .+\); `python -m fer.cloud.policy` prints the rights that are needed$",
    "timeout": r"AWS cannot be reached \(.+\); check the network, try again$",
    "reset": r"AWS cannot be reached \(.+\); check the network, try again$",
}


@pytest.mark.parametrize("kind", REMEDIES)
@pytest.mark.parametrize(("operation", "request_of", "what"), REQUESTS, ids=[name for name, *_ in REQUESTS])
def test_refusal_is_a_sentence_with_a_remedy(
    stored: Simulated,
    calls_of: Callable[[int], AwsClient],
    tmp_path: Path,
    operation: str,
    request_of: Callable[..., None],
    what: str,
    kind: str,
) -> None:
    stored.fault(kind, operation=operation, times=None, seconds=0.01)
    with pytest.raises(CloudError, match=rf"^{what}: .*{REMEDIES[kind]}") as caught:
        request_of(calls_of(1), tmp_path)
    assert len(str(caught.value).splitlines()) == 1
    assert not list(tmp_path.glob("*got*"))


@pytest.mark.parametrize("kind", ["throttling", "error", "timeout", "reset"])
@pytest.mark.parametrize(("operation", "request_of", "_what"), REQUESTS[1:], ids=[name for name, *_ in REQUESTS[1:]])
def test_what_passes_by_itself_is_got_over(
    stored: Simulated,
    calls_of: Callable[[int], AwsClient],
    tmp_path: Path,
    operation: str,
    request_of: Callable[..., None],
    _what: str,
    kind: str,
) -> None:
    stored.fault(kind, operation=operation, seconds=0.01)
    request_of(calls_of(2), tmp_path)
    assert not stored.faults()


def test_throttling_is_got_over_by_default(stored: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_MAX_ATTEMPTS")
    stored.fault("throttling", operation="ListModels")
    assert AwsClient().request("sagemaker", "list_models", {})["Models"] == []
    assert stored.calls()["sagemaker:ListModels"] == 2


def test_own_refusals_keep_their_words_and_code(
    stored: Simulated, calls_of: Callable[[int], AwsClient], tmp_path: Path
) -> None:
    with pytest.raises(CloudError, match=rf"^{DESCRIBE}: Could not find .*job-1.* \(ValidationException\)$") as caught:
        describe(calls_of(1), tmp_path)
    assert caught.value.code == "ValidationException"


def test_bucket_of_nobody(stored: Simulated, calls_of: Callable[[int], AwsClient], tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    with pytest.raises(CloudError, match=r"^s3:PutObject of s3://nobodys/file: .*bucket does not exist \(NoSuchBucket"):
        calls_of(1).upload(tmp_path / "file", "nobodys", "file")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, r"^s3:ListBuckets: Unable to locate credentials; sign in to AWS \(aws configure, aws sso login\)$"),
        ({"AWS_ACCESS_KEY_ID": "a"}, r"^s3: Partial credentials .*SECRET_ACCESS_KEY; sign in to AWS \(aws conf"),
        ({"AWS_PROFILE": "nobody"}, r"^AWS's own settings cannot be used: .*profile \(nobody\) could not be found"),
    ],
)
def test_credentials_that_are_not_there(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: str, tmp_path: Path
) -> None:
    set_environment(monkeypatch, HOME=str(tmp_path), AWS_ENDPOINT_URL=NOWHERE, AWS_DEFAULT_REGION="us-east-1")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(CloudError, match=said):
        AwsClient().request("s3", "list_buckets", {})


def test_session_of_single_sign_on_that_has_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = tmp_path / "config"
    profile = {"sso_session": "s", "sso_account_id": "123456789012", "sso_role_name": "r", "region": "us-east-1"}
    session = {"sso_start_url": "https://example.org/start", "sso_region": "us-east-1"}
    sections = {"profile p": profile, "sso-session s": session}
    settings.write_text(
        "".join(f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in pairs.items()) for name, pairs in sections.items())
    )
    set_environment(
        monkeypatch, HOME=str(tmp_path), AWS_ENDPOINT_URL=NOWHERE, AWS_PROFILE="p", AWS_CONFIG_FILE=str(settings)
    )
    with pytest.raises(CloudError, match=r"^s3:ListBuckets: .*; sign in to AWS \(aws configure, aws sso login\)$"):
        AwsClient().request("s3", "list_buckets", {})


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_MAX_ATTEMPTS": "1"}
    set_environment(monkeypatch, AWS_ENDPOINT_URL=NOWHERE, AWS_DEFAULT_REGION="us-east-1", **keys)
    with pytest.raises(
        CloudError, match=rf"^sts:GetCallerIdentity: AWS cannot be reached \(.*{NOWHERE}.*\); check the"
    ):
        AwsClient().request("sts", "get_caller_identity", {})


def test_region_that_is_missing_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b")
    with pytest.raises(ConfigError, match=r"^aws.region: is not set, .*; add aws.region=…$"):
        AwsClient()
    with pytest.raises(ConfigError, match=r"^aws.region=mid earth: is no region of AWS; .*us-east-1$"):
        AwsClient("mid earth").request("sts", "get_caller_identity", {})


def test_dry_run_notes_requests_and_sends_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    set_environment(monkeypatch, AWS_ENDPOINT_URL=NOWHERE, AWS_MAX_ATTEMPTS="1")
    calls = AwsClient(dry_run=True)
    assert calls.request("sagemaker", "describe_model", {"ModelName": "m"}) == {}
    assert calls.request("sagemaker", "describe_model", {"ModelName": "m"}, dry_response={"ModelName": "m"}) == {
        "ModelName": "m"
    }
    (tmp_path / "small").write_bytes(CONTENT)
    calls.upload(tmp_path / "small", BUCKET, "small", ServerSideEncryption="AES256")
    calls.upload(large(tmp_path), BUCKET, "large", ServerSideEncryption="AES256")
    calls.download(BUCKET, "content", tmp_path / "got")
    assert not (tmp_path / "got").exists()
    assert [(request["service"], request["operation"]) for request in calls.recorded_requests] == [
        *[("sagemaker", "describe_model")] * 2,
        *[("s3", "put_object"), ("s3", "create_multipart_upload")],
        *[("s3", "upload_part")] * 3,
        *[("s3", "complete_multipart_upload"), ("s3", "get_object")],
    ]
    small = calls.recorded_requests[2]["parameters"]
    assert (small["Bucket"], small["Key"], small["ServerSideEncryption"]) == (BUCKET, "small", "AES256")
    assert f"{len(CONTENT)} bytes" in small["Body"]
    assert json.loads(json.dumps(calls.recorded_requests)) == calls.recorded_requests


@pytest.mark.parametrize("dry_run", [True, False])
def test_wrong_parameters_are_refused_before_anything_is_sent(
    stored: Simulated, calls_of: Callable[[int], AwsClient], dry_run: bool
) -> None:
    before = stored.calls()
    calls = AwsClient(dry_run=True) if dry_run else calls_of(1)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({}, "Missing required parameter.*TransformJobName"),
        ({"TransformJobName": 1}, "Invalid type for parameter TransformJobName"),
        ({"TransformJobName": "j", "Name": "k"}, "Unknown parameter.*Name"),
    ]
    for parameters, said in wrong:
        with pytest.raises(UserError, match=rf"DescribeTransformJob: .*{said}"):
            calls.request("sagemaker", "describe_transform_job", parameters)
    assert (calls.recorded_requests, stored.calls()) == ([], before)
