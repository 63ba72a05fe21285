"""The simulator runs the real package over the real objects."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer.serving import Predictor
from tests.helpers.aws_simulator.simulator import Simulated
from tests.helpers.networks import faces
from tests.helpers.programs import png
from tests.helpers.registering import BUCKET, finished, job_request, logged, outputs, put, registered, source, until

FACES = [faces(1, 48, seed=seed)[0] for seed in range(4)]
PICTURES = {f"in/{index}.png": png(face) for index, face in enumerate(FACES)}


@pytest.fixture
def started(aws: Simulated, small_package: Path) -> Simulated:
    """AWS with the real package, four pictures, and no job yet."""
    registered(aws, small_package.read_bytes())
    put(aws, PICTURES)
    return aws


@pytest.fixture(scope="module")
def expected(small_bundle: Path) -> np.ndarray:
    return Predictor.load(str(small_bundle), runtime="onnx", threads=1).predict(FACES)


def run(aws: Simulated, **changed: Any) -> dict[str, Any]:
    aws.client("sagemaker").create_transform_job(**job_request(**changed))
    return finished(aws)


def shard(pictures: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, picture in pictures.items():
            member = tarfile.TarInfo(name)
            member.size = len(picture)
            tar.addfile(member, io.BytesIO(picture))
    return content.getvalue()


def probabilities(answer: bytes) -> list[list[float]]:
    return [list(json.loads(line)["probabilities"].values()) for line in answer.decode().splitlines()]


def test_job_writes_what_the_predictor_says_and_logs(started: Simulated, expected: np.ndarray) -> None:
    job = run(started)
    assert (job["TransformJobStatus"], job.get("FailureReason")) == ("Completed", None)
    assert job["CreationTime"] <= job["TransformStartTime"] <= job["TransformEndTime"]
    found = outputs(started)
    assert list(found) == [f"{index}.png.out" for index in range(4)]
    got = [probabilities(answer)[0] for answer in found.values()]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert "Serving " in logged(started)


def test_manifest_names_the_objects_of_a_job_and_shards_keep_their_order(
    started: Simulated, expected: np.ndarray
) -> None:
    whole = shard({name.removeprefix("in/"): picture for name, picture in PICTURES.items()})
    listed = json.dumps([{"prefix": f"s3://{BUCKET}/shards/"}, "a/1.tar"]).encode()
    put(started, {"shards/a/1.tar": whole, "shards/2.tar": b"not sent", "manifest.json": listed})
    asked = source(f"s3://{BUCKET}/manifest.json", "ManifestFile", "application/x-tar")
    assert run(started, TransformInput=asked)["TransformJobStatus"] == "Completed"
    found = outputs(started)
    assert list(found) == ["a/1.tar.out"]
    np.testing.assert_allclose(probabilities(found["a/1.tar.out"]), expected, atol=1e-5)


def test_objects_that_fail_leave_no_answer_and_the_others_theirs(started: Simulated) -> None:
    put(started, {"in/1.png": b"no picture", "in/2.png": bytes((1 << 20) + 1)})
    job = run(started)
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError")
    assert list(outputs(started)) == ["0.png.out", "3.png.out"]
    text = logged(started)
    assert f"s3://{BUCKET}/in/1.png: HTTP 400" in text
    assert f"s3://{BUCKET}/in/2.png: Too much data for max payload size" in text


def test_output_is_encrypted_with_the_key_of_the_job(started: Simulated) -> None:
    key = started.client("kms").create_key()["KeyMetadata"]["Arn"]
    run(started, TransformOutput={"S3OutputPath": f"s3://{BUCKET}/out/", "KmsKeyId": key})
    found = started.client("s3").head_object(Bucket=BUCKET, Key="out/0.png.out")
    assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", key)


@pytest.mark.parametrize(
    ("objects", "uri", "kind", "said"),
    [
        ({"model.tar.gz": b"no archive"}, "in/", "S3Prefix", "Failed to extract model data archive"),
        ({"m.json": b'[{"prefix": "s3://faces/in/"}, "9.png"]'}, "m.json", "ManifestFile", "s3://faces/in/9.png"),
        ({"m.json": b"[]"}, "m.json", "ManifestFile", "is not valid"),
    ],
)
def test_job_that_cannot_start_fails(
    started: Simulated, objects: dict[str, bytes], uri: str, kind: str, said: str
) -> None:
    put(started, objects)
    job = run(started, TransformInput=source(f"s3://{BUCKET}/{uri}", kind))
    assert job["TransformJobStatus"] == "Failed"
    assert said in job["FailureReason"]
    assert not outputs(started)


@pytest.mark.parametrize(("fault", "said"), [("job_fails", "HTTP 500"), ("job_killed", "ConnectionError")])
def test_job_that_breaks_keeps_what_is_done(started: Simulated, fault: str, said: str) -> None:
    started.fault(fault)
    job = run(started)
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("AlgorithmError")
    assert list(outputs(started)) == ["0.png.out", "1.png.out"]
    assert said in logged(started)
    assert not started.faults()


def test_job_that_never_ends_can_be_stopped(started: Simulated) -> None:
    started.fault("job_stuck")
    sagemaker = started.client("sagemaker")
    sagemaker.create_transform_job(**job_request())
    until(lambda: len(outputs(started)) == 2)
    assert sagemaker.describe_transform_job(TransformJobName="job-1")["TransformJobStatus"] == "InProgress"
    sagemaker.stop_transform_job(TransformJobName="job-1")
    assert finished(started)["TransformJobStatus"] == "Stopped"
    with pytest.raises(sagemaker.exceptions.ClientError, match="ValidationException.*is Stopped"):
        sagemaker.stop_transform_job(TransformJobName="job-1")
    with pytest.raises(sagemaker.exceptions.ResourceNotFound):
        sagemaker.stop_transform_job(TransformJobName="job-2")
