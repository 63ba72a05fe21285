"""Listings that come in several pages."""

from pathlib import Path

import pytest

from fer.aws.client import AwsClient
from fer.emotions import EMOTIONS
from fer.infer.inputs import resolve_media
from fer.infer.transform.sagemaker import SageMakerBatchTransform
from tests.helpers.aws_simulator.simulator import simulated_aws
from tests.helpers.registering import BUCKET, put
from tests.helpers.transforming import cloud_settings


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
        media = resolve_media([f"s3://{BUCKET}/videos/"], tmp_path, calls)
        assert [item.remote for item in media] == [f"s3://{BUCKET}/videos/{name}" for name in names]
        assert aws.calls()["s3:ListObjectsV2"] == 3
        batch = SageMakerBatchTransform(calls, cloud_settings(), "arn", EMOTIONS, False, tmp_path)
        assert batch.list_objects("videos/") == dict.fromkeys(names, len(names[0]))
