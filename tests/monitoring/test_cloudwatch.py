"""Figures and alarms in CloudWatch: moto's server over HTTP, and what a dry run would send."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from fer.aws.client import AwsClient
from fer.emotions import EMOTIONS
from fer.errors import ConfigError
from fer.monitoring.cloudwatch import publish_metrics, put_alarms
from fer.monitoring.drift import build_baseline
from fer.monitoring.report import build_monitoring
from tests.helpers.batches import Limits, batch, videos_of, with_empty_frames
from tests.monitoring.test_report import labels_of

MODEL = "models:/fer-mobilenetv2@champion"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:fer"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsClient]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    yield AwsClient("eu-central-1")
    server.stop()


@pytest.fixture(scope="module")
def monitoring() -> dict[str, Any]:
    table = with_empty_frames(batch(darker=0.1), "0.mp4", 200)
    baseline = build_baseline(batch(seed=1, faces=200, face_w=48.0, face_h=48.0), EMOTIONS)
    facts = {"retraining_command": "python train.py"}
    return build_monitoring(table, videos_of(table), baseline, labels_of(_1="fear"), 30.0, Limits(), facts)


def values(client: Any, name: str, **dimensions: str) -> list[float]:
    now = datetime.now(UTC)
    answer = client.get_metric_statistics(
        Namespace="fer",
        MetricName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(hours=1),
        Period=86400,
        Statistics=["Sum"],
    )
    return [point["Sum"] for point in answer["Datapoints"]]


def test_figures_arrive_with_their_dimensions(calls: AwsClient, monitoring: dict[str, Any]) -> None:
    publish_metrics(calls, monitoring, "fer", {"Site": "Berlin"}, MODEL)
    client = boto3.client("cloudwatch", region_name="eu-central-1")
    known = {"Site": "Berlin", "Model": MODEL}
    assert values(client, "Faces", **known) == [600]
    assert values(client, "FailureShare", **known) == [0.25]
    assert values(client, "ImagesPerSecond", **known) == [20]
    assert values(client, "Rows", **known, Status="no_face") == [200]
    assert values(client, "ClassShare", **known, Emotion="fear") == [monitoring["class_shares"]["fear"]]
    drift = monitoring["drift"]["brightness"]
    assert values(client, "PopulationStabilityIndex", **known, Quantity="brightness") == [drift["psi"]]
    assert values(client, "DriftLowerLimit", **known, Quantity="brightness") == [drift["low"]]
    # There is no verdict on a quantity that is constant in the baseline.
    assert values(client, "PopulationStabilityIndex", **known, Quantity="face_size") == []
    assert values(client, "Accuracy", **known) == [monitoring["labels"]["accuracy"]["value"]]


def test_alarms_watch_exactly_what_is_published(calls: AwsClient, monitoring: dict[str, Any]) -> None:
    limits = Limits(max_psi=0.25, max_failures=0.2, min_accuracy=0.8)
    names = put_alarms(calls, limits, "fer", {"Site": "Berlin"}, MODEL, TOPIC)
    # Twice is the same as once.
    assert put_alarms(calls, limits, "fer", {"Site": "Berlin"}, MODEL, TOPIC) == names
    found = {one["AlarmName"]: one for one in calls.request("cloudwatch", "describe_alarms", {})["MetricAlarms"]}
    assert sorted(found) == sorted(names) and len(names) == 5 + 1 + 1
    failures = found[f"fer Berlin {MODEL} FailureShare"]
    assert (failures["ComparisonOperator"], failures["Threshold"]) == ("GreaterThanThreshold", 0.2)
    assert failures["AlarmActions"] == [TOPIC] and failures["TreatMissingData"] == "notBreaching"
    accuracy = found[f"fer Berlin {MODEL} Accuracy"]
    assert (accuracy["ComparisonOperator"], accuracy["Statistic"]) == ("LessThanThreshold", "Minimum")

    def identity(one: dict[str, Any]) -> tuple[str, frozenset[tuple[str, str]]]:
        return one["MetricName"], frozenset((pair["Name"], pair["Value"]) for pair in one["Dimensions"])

    dry = AwsClient("eu-central-1", dry_run=True)
    publish_metrics(dry, monitoring, "fer", {"Site": "Berlin"}, MODEL)
    sent = {identity(one) for one in dry.recorded_requests[0]["parameters"]["MetricData"]}
    unsent = {identity(one) for one in found.values()} - sent
    assert {next(value for key, value in place if key == "Quantity") for _, place in unsent} == {"face_size"}


def test_a_dry_run_notes_one_valid_request(monitoring: dict[str, Any]) -> None:
    dry = AwsClient("eu-central-1", dry_run=True)
    publish_metrics(dry, monitoring, "fer", {}, "Läufe/fer")
    (request,) = dry.recorded_requests
    data = request["parameters"]["MetricData"]
    assert request["operation"] == "put_metric_data" and len(data) < 1000
    assert {"Name": "Model", "Value": "L\\xe4ufe/fer"} in data[0]["Dimensions"]
    assert all(isinstance(one["Value"], int | float) for one in data)
    assert put_alarms(dry, Limits(), "fer", {}, "m", None) == [] and len(dry.recorded_requests) == 1


def test_dimensions_that_cloudwatch_refuses_are_refused_before(monitoring: dict[str, Any]) -> None:
    dry = AwsClient("eu-central-1", dry_run=True)
    with pytest.raises(ConfigError, match=r"aws\.cloudwatch\.dimensions: has 29 entries, and CloudWatch takes 28"):
        publish_metrics(dry, monitoring, "fer", {f"d{number}": "x" for number in range(29)}, "m")
    for bad in ({"Ort": "München"}, {"Site": ""}, {":a": "b"}):
        with pytest.raises(ConfigError, match="cannot be a dimension"):
            publish_metrics(dry, monitoring, "fer", bad, "m")
    publish_metrics(dry, monitoring, "fer", {f"d{number}": "x" for number in range(28)}, "m")
    assert max(len(one["Dimensions"]) for one in dry.recorded_requests[0]["parameters"]["MetricData"]) == 30
