"""Training jobs of the simulated AWS, and what the container does around a training: hosts, ends, failures."""

import io
import json
import logging
import re
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml
from botocore.exceptions import ClientError

from fer.cloud.training import _build_metric_patterns
from fer.config.compose import load_overrides
from fer.core.archive import CHECKSUMS
from fer.train.callbacks import MetricsHistory, ProgressCallback
from tests.helpers.aws_simulator.simulator import Simulated
from tests.helpers.paths import PROJECT
from tests.helpers.registering import BUCKET, IMAGE, ROLE, put, until

COMMAND = "cd /opt/ml/input/data/code && exec python3 -m fer.cloud.training_container /opt/ml"
SAY_HOST = """
import os
print("I am", os.environ.get("GROUP_RANK"), os.environ.get("MASTER_ADDR"), os.environ.get("GLOO_SOCKET_IFNAME"))
assert "FER_LIFELINE" not in os.environ, "the launcher's processes have another parent"
print("of", os.environ["FER_GIT"])
"""
FAIL = 'import sys; print("busy"); sys.exit("train.py: model.name=x: is none; choose another")'
DIE = "import os; os.kill(os.getpid(), 9)"
WAIT = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
print("waiting", flush=True)
time.sleep(60)
"""


def prepared(aws: Simulated, program: str, *overrides: str) -> None:
    """A bucket with what a job reads, and a train.py that does little."""
    run_yaml = yaml.safe_dump(load_overrides(overrides).dump()).encode()
    aws.client("s3").create_bucket(Bucket=BUCKET)
    order = {"paths": {}, "git": {"git_commit": "abc"}, "overrides": None}
    put(aws, {"job/job.json": json.dumps(order).encode(), "job/run.yaml": run_yaml})
    put(aws, {"code/train.py": program.encode()})


def request(**changed: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "TrainingJobName": "job-1",
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/bash", "-c", COMMAND],
        },
        "RoleArn": ROLE,
        "InputDataConfig": [channel("job"), channel("code")],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "Environment": {"PYTHONPATH": str(PROJECT)},
    }
    return {**usual, **changed}


def channel(name: str, uri: str = "") -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri or f"s3://{BUCKET}/{name}/"}
    return {
        "ChannelName": name,
        "DataSource": {"S3DataSource": {**source, "S3DataDistributionType": "FullyReplicated"}},
    }


def ended(aws: Simulated) -> dict[str, Any]:
    sagemaker = aws.client("sagemaker")

    def described() -> dict[str, Any] | None:
        job = sagemaker.describe_training_job(TrainingJobName="job-1")
        return job if job["TrainingJobStatus"] not in ("InProgress", "Stopping") else None

    return dict(until(described))


def lines(aws: Simulated) -> list[str]:
    """What the containers printed, each line with its host."""
    found = aws.client("logs").filter_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix="job-1/"
    )
    return [f"{event['logStreamName'][6:].rpartition('-')[0]}: {event['message']}" for event in found["events"]]


def artifact(aws: Simulated, job: dict[str, Any]) -> set[str]:
    key = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(f"s3://{BUCKET}/")
    body = aws.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        return set(archive.getnames())


@pytest.mark.parametrize("epoch", [3, 2.25, 2.3333, 2.000033, 0.000033])
def test_metrics_are_found_in_the_line_of_each_validation(epoch: float, caplog: pytest.LogCaptureFixture) -> None:
    history = MetricsHistory(Path("history.csv"))
    values = {"train_loss": 1.25, "val_loss": 1.5, "val_accuracy": 0.625, "seconds": 9.0, "images_per_second": 100.0}
    history.rows = [{"epoch": epoch, **values}]
    trainer = SimpleNamespace(max_epochs=10, current_epoch=int(epoch - 1e-6))
    module = cast(Any, SimpleNamespace(unit="images"))
    with caplog.at_level(logging.INFO):
        ProgressCallback(history, "val_accuracy")._log_row(cast(Any, trainer), module, epoch)
    patterns = _build_metric_patterns(load_overrides(["trainer.early_stopping.monitor=val_accuracy"]))
    for name in ("train_loss", "val_loss", "val_accuracy"):
        found = re.search(patterns[name], caplog.messages[-1])
        assert found and float(found[1]) == values[name], caplog.messages[-1]


def test_hosts_know_each_other_and_the_first_one_has_the_run(aws: Simulated) -> None:
    prepared(aws, SAY_HOST, "trainer.num_nodes=2")
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1}
    aws.client("sagemaker").create_training_job(**request(ResourceConfig=resources))
    job = ended(aws)
    assert job["TrainingJobStatus"] == "Completed", job
    said = lines(aws)
    assert "127.0.0.1: I am 0 127.0.0.1 lo" in said and "127.0.0.2: I am 1 127.0.0.1 lo" in said
    assert '127.0.0.1: of {"git_commit": "abc"}' in said
    assert artifact(aws, job) == {"run.yaml", CHECKSUMS}


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (FAIL, "AlgorithmError: train.py: model.name=x: is none; choose another, exit code: 1"),
        (
            DIE,
            "AlgorithmError: train.py was ended by SIGKILL; the machine's memory may have been full, exit code: 1",
        ),
    ],
)
def test_a_failure_is_told_in_a_sentence(aws: Simulated, program: str, reason: str) -> None:
    prepared(aws, program)
    aws.client("sagemaker").create_training_job(**request())
    job = ended(aws)
    assert (job["TrainingJobStatus"], job["FailureReason"]) == ("Failed", reason)
    assert "ModelArtifacts" not in job


def test_a_stopped_training_is_asked_to_end(aws: Simulated) -> None:
    prepared(aws, WAIT)
    sagemaker = aws.client("sagemaker")
    sagemaker.create_training_job(**request())
    until(lambda: aws.client("logs").describe_log_groups()["logGroups"] and "algo-1: waiting" in lines(aws))
    sagemaker.stop_training_job(TrainingJobName="job-1")
    job = ended(aws)
    assert job["TrainingJobStatus"] == "Stopped" and artifact(aws, job) == {"run.yaml", CHECKSUMS}


def test_a_training_that_takes_too_long_is_stopped(aws: Simulated) -> None:
    prepared(aws, WAIT)
    # A container that has not set its signals by then hears nothing, and is killed two minutes later.
    aws.client("sagemaker").create_training_job(**request(StoppingCondition={"MaxRuntimeInSeconds": 8}))
    job = ended(aws)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


ALGORITHM = request()["AlgorithmSpecification"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"AlgorithmSpecification": {**ALGORITHM, "TrainingImage": "fer:1"}}, "Invalid image URI"),
        ({"InputDataConfig": [channel("job"), channel("job")]}, "Channel names must be unique"),
        ({"EnableManagedSpotTraining": True}, "MaxWaitTimeInSeconds is required"),
        ({"OutputDataConfig": {"S3OutputPath": "s3://nowhere/out"}}, "bucket of s3://nowhere/out does not exist"),
        ({"ResourceConfig": {"InstanceType": "ml.x9.huge", "InstanceCount": 1, "VolumeSizeInGB": 1}}, "enum value set"),
        ({"TrainingJobName": "a_b"}, "regular expression"),
        ({"TrainingJobName": "job-0"}, "already exists"),
    ],
)
def test_what_aws_refuses_is_refused(aws: Simulated, changed: dict[str, Any], words: str) -> None:
    prepared(aws, "")
    sagemaker = aws.client("sagemaker")
    absent = [channel("job", f"s3://{BUCKET}/absent/")]
    sagemaker.create_training_job(**request(TrainingJobName="job-0", InputDataConfig=absent))
    with pytest.raises(ClientError, match=words):
        sagemaker.create_training_job(**request(**changed))
