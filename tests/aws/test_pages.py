"""Listings that come in several pages."""

from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from fer.aws.client import AwsClient, CloudError
from fer.emotions import EMOTIONS
from fer.infer.inputs import resolve_media
from fer.infer.transform.sagemaker import SageMakerBatchTransform
from fer.storage.stores import ObjectStores
from tests.helpers.aws_simulator.simulator import simulated_aws
from tests.helpers.registering import BUCKET, put
from tests.helpers.transforming import cloud_settings


@pytest.mark.slow
def test_all_pages_of_a_listing_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Two objects a page: a thousand would take longer to put.
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    with simulated_aws() as aws:
        for name, value in aws.environment.items():
            monkeypatch.setenv(name, value)
        aws.client("s3").create_bucket(Bucket=BUCKET)
        names = [f"{number}.mp4" for number in range(5)]
        put(aws, {f"videos/{name}": name.encode() for name in names})
        calls = AwsClient()
        media = resolve_media([f"s3://{BUCKET}/videos/"], tmp_path, ObjectStores(client=calls))
        assert [item.remote for item in media] == [f"s3://{BUCKET}/videos/{name}" for name in names]
        assert aws.calls()["s3:ListObjectsV2"] == 3
        batch = SageMakerBatchTransform(calls, cloud_settings(), "arn", EMOTIONS, False, tmp_path)
        assert batch.list_objects("videos/") == dict.fromkeys(names, len(names[0]))


@pytest.mark.parametrize(
    ("operation", "parameters", "key"),
    [
        ("list_model_packages", {"ModelPackageGroupName": "g"}, "ModelPackageSummaryList"),
        ("list_tags", {"ResourceArn": "arn:aws:sagemaker:us-east-1:123456789012:model-package-group/g"}, "Tags"),
        (
            "list_training_jobs_for_hyper_parameter_tuning_job",
            {"HyperParameterTuningJobName": "j", "SortBy": "CreationTime", "MaxResults": 100},
            "TrainingJobSummaries",
        ),
    ],
)
def test_the_token_of_one_page_asks_for_the_next(
    monkeypatch: pytest.MonkeyPatch, operation: str, parameters: dict[str, Any], key: str
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    client = AwsClient("us-east-1")
    with Stubber(client.get_client("sagemaker")) as stubber:
        stubber.add_response(operation, {key: [], "NextToken": "second"}, parameters)
        stubber.add_response(operation, {key: []}, {**parameters, "NextToken": "second"})
        assert len(list(client.iter_pages("sagemaker", operation, parameters))) == 2
        stubber.assert_no_pending_responses()
        stubber.add_client_error(operation, "ValidationException", "no such thing")
        with pytest.raises(CloudError, match=r"^sagemaker:List\w+: no such thing \(ValidationException\)$"):
            list(client.iter_pages("sagemaker", operation, parameters))


def test_a_dry_run_records_the_first_page() -> None:
    client = AwsClient("us-east-1", dry_run=True)
    assert client.list_object_sizes("bucket", "prefix/") == {}
    (request,) = client.recorded_requests
    assert request["operation"] == "list_objects_v2"
    assert request["parameters"] == {"Bucket": "bucket", "Prefix": "prefix/"}
