"""What AWS would refuse after hours of extraction is refused before."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fer.aws.client import AwsClient
from fer.config.compose import load_overrides
from fer.emotions import EMOTIONS
from fer.errors import ConfigError, UserError
from fer.infer import route
from fer.infer.pipeline import validate_and_pin
from fer.infer.transform.sagemaker import SageMakerBatchTransform
from fer.registry.status import APPROVED, ARCHIVED, PENDING, REJECTED, Status
from tests.helpers.transforming import cloud_settings

SAGEMAKER = ("aws=sagemaker", "aws.bucket=faces", "aws.region=us-east-1", "model_uri=models:/fer/2")
CLIPS = "extraction.input=s3://faces/v/"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (PENDING, "is PendingManualApproval, .*promote it .*registry.action=promote registry.version=2"),
        (REJECTED, "is Rejected, and SageMaker classifies with approved versions alone; name another$"),
        (ARCHIVED, "is Archived, "),
        (APPROVED, None),
    ],
)
def test_only_approved_versions_are_extracted_for(
    status: Status, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = SimpleNamespace(status=status, version=2, uri="models:/fer/2")
    monkeypatch.setattr(route, "open_registry", lambda _: None)
    monkeypatch.setattr(route, "find_version", lambda *_: version)
    config = load_overrides([*SAGEMAKER, CLIPS], "infer")
    if said is None:
        route.check_version_approved(config)
    else:
        with pytest.raises(UserError, match=f"^models:/fer/2: {said}"):
            route.check_version_approved(config)
    # On this machine any version may be tried.
    route.check_version_approved(load_overrides([*SAGEMAKER, CLIPS, "inference.route=process"], "infer"))


@pytest.mark.parametrize("stages", ["[extract,predict,report]", "[report]"])
def test_dimensions_that_cloudwatch_refuses_are_refused_first(stages: str) -> None:
    given = [*SAGEMAKER, CLIPS, "aws.cloudwatch.dimensions={Ort: München}", f"extraction.stages={stages}"]
    with pytest.raises(ConfigError, match=r"^aws\.cloudwatch\.dimensions: 'Ort'='München' cannot be a dimension"):
        validate_and_pin(load_overrides(given, "infer"))


@pytest.mark.parametrize(
    ("limit", "minutes", "status", "stopped"),
    [
        (60, 2, "InProgress", True),
        (300, 2, "InProgress", False),
        (60, 2, "Stopping", False),
        (None, 9, "InProgress", False),
    ],
)
def test_a_transform_job_beyond_the_limit_is_stopped(
    limit: int | None, minutes: int, status: str, stopped: bool, tmp_path: Path
) -> None:
    client = AwsClient("us-east-1", dry_run=True)
    settings = cloud_settings().model_copy(update={"max_runtime": limit})
    batch = SageMakerBatchTransform(client, settings, "arn", EMOTIONS, False, tmp_path)
    described: dict[str, Any] = {"TransformJobStatus": status}
    batch._stop_overdue(batch.get_job("job-1"), described)
    batch._stop_overdue(
        batch.get_job("job-1"), {**described, "TransformStartTime": datetime.now(UTC) - timedelta(minutes=minutes)}
    )
    assert [one["operation"] for one in client.recorded_requests] == ["stop_transform_job"] * stopped
