"""infer.py tells when a batch is out of the ordinary: on the terminal, in files, on the page, and in CloudWatch."""

import html
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.aws_simulator.simulator import Simulated, simulated_aws
from tests.helpers.cloud_programs import BUCKET_ONLY, NAME, Place, refused

# No job is needed for CloudWatch, so nothing has to be registered.
PUBLISHING = (*BUCKET_ONLY, "inference.route=process", "aws.cloudwatch.alarms=true")


@pytest.fixture(scope="module")
def aws() -> Iterator[Simulated]:
    with simulated_aws() as simulated:
        yield simulated


@pytest.fixture(scope="module")
def place(aws: Simulated, workplace: Path) -> Place:
    return Place.of(workplace / "monitored", aws.environment)


@pytest.fixture(scope="module")
def clips(place: Place, clip: Path) -> Path:
    """Two videos: what varies between videos can be told."""
    folder = place.directory / "clips"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(clip, folder / name)
    return folder


def test_a_batch_in_order_has_no_warnings(inferred: Path) -> None:
    monitoring = json.loads((inferred / "monitoring.json").read_text())
    assert monitoring["warnings"] == [] and monitoring["labels"] is None
    assert monitoring["counts"]["frames"] == 40 and monitoring["counts"]["faces"] > 30
    assert abs(sum(monitoring["class_shares"].values()) - 1) < 1e-9


def test_a_batch_out_of_the_ordinary_is_exit_code_4(aws: Simulated, place: Place, clips: Path, model: Path) -> None:
    labels = place.directory / "labels.csv"
    # Mostly not what is to be seen.
    labels.write_text("video,emotion,start_s,end_s\na.mp4,neutral,0,2\na.mp4,fear,2,7\nb.mp4,contempt,,\n")
    run = place.directory / "run"
    limits = ("min_accuracy=0.99", "min_macro_f1=0.99", "max_failures=0.05", "max_psi=0.25", "min_faces=10")
    done = place.infer(
        *(f"model_uri={model}", f"extraction.input={clips}", "extraction.fps=3", f"extraction.labels={labels}"),
        *(f"inference.monitor.{limit}" for limit in limits),
        *(*PUBLISHING, f"hydra.run.dir={run}"),
    )
    assert done.returncode == 4, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    monitoring = json.loads((run / "monitoring.json").read_text())
    warnings, command = monitoring["warnings"], "To train anew: python train.py --config-dir {} --config-name run"
    # What is passed on holds no absolute path; whoever waits for the program can paste the command.
    assert warnings.pop() == command.format(f"…/{model.name}")
    assert command.format(model) in done.stdout
    for word in ("Drift of brightness", "Failures", "Accuracy", "Macro-F1"):
        assert any(warning.startswith(word) for warning in warnings), warnings
    page = html.unescape((run / "report.html").read_text(encoding="utf-8"))
    assert all(warning in done.stdout and warning in page for warning in warnings)
    assert 0 <= monitoring["labels"]["accuracy"]["value"] < 0.99
    cloudwatch = aws.client("cloudwatch")
    data = cloudwatch.get_paginator("list_metrics").paginate(Namespace="fer")
    metrics = [metric for page in data for metric in page["Metrics"]]
    assert {"Frames", "Faces", "Accuracy", "MacroF1", "FailureShare"} <= {metric["MetricName"] for metric in metrics}
    assert all({"Name": "Model", "Value": NAME} in metric["Dimensions"] for metric in metrics)
    alarms = {alarm["MetricName"]: alarm for alarm in cloudwatch.describe_alarms()["MetricAlarms"]}
    assert set(alarms) == {"DriftLowerLimit", "FailureShare", "Accuracy", "MacroF1"}
    assert (alarms["Accuracy"]["Threshold"], alarms["Accuracy"]["Statistic"]) == (0.99, "Minimum")


def test_a_mistake_in_the_labels_is_told_before_any_face_is_looked_for(place: Place, clips: Path, model: Path) -> None:
    labels, run = place.directory / "mistaken.csv", place.directory / "mistaken"
    labels.write_text("video,emotion\na.mp4,joyful\n")
    done = place.infer(
        *(f"model_uri={model}", f"extraction.input={clips}", f"extraction.labels={labels}", f"hydra.run.dir={run}")
    )
    refused(done, 1, f"{labels}, line 2", "'joyful' is no emotion", "choose one of anger")
    assert not run.exists()
