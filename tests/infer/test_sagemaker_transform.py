"""Batch transform in the simulated AWS: jobs, their faults, and going on after each."""

import json
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer.aws.client import AwsClient, CloudError
from fer.config import SageMakerAws
from fer.emotions import EMOTIONS
from fer.errors import DataError, UserError
from fer.infer.transform.sagemaker import STATE, SageMakerBatchTransform
from fer.infer.transform.shards import CONTENT_TYPES
from tests.helpers.aws_simulator.simulator import Simulated
from tests.helpers.registering import BUCKET, finished, interrupt_when, meanwhile, put, registered, until
from tests.helpers.transforming import assert_answers, cloud_settings, expected, missing, packed, times

TAR = CONTENT_TYPES["shard"]


class Place:
    """A run with three shards, in an AWS that has the model's package."""

    def __init__(self, aws: Simulated, calls: AwsClient, archive: Path, folder: Path) -> None:
        self.aws = aws
        self.calls = calls
        self.package = registered(aws, archive.read_bytes())
        self.requests = packed(folder)
        self.folder = folder / "shards"

    def batch(self, settings: SageMakerAws | None = None, calls: AwsClient | None = None) -> SageMakerBatchTransform:
        """A new one, as each start of the program makes it."""
        used = calls or self.calls
        return SageMakerBatchTransform(used, settings or cloud_settings(), self.package, EMOTIONS, False, self.folder)

    def send(self, settings: SageMakerAws | None = None) -> None:
        """Have judged what is missing."""
        self.batch(settings).send(missing(self.requests), TAR)

    def jobs(self) -> dict[str, str]:
        """Status of each job, the oldest first."""
        found = self.aws.client("sagemaker").list_transform_jobs()["TransformJobSummaries"]
        return {job["TransformJobName"]: job["TransformJobStatus"] for job in sorted(found, key=job_name)}

    def keys(self, folder: str) -> dict[str, str]:
        """Key of each object in a folder of the batch, by its name."""
        found = self.aws.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="fer/jobs/").get("Contents", [])
        keys = [item["Key"] for item in found]
        return {key.rpartition("/")[2]: key for key in keys if key.split("/")[-2] == folder}

    def manifest(self, number: int) -> list[str]:
        """Names of the objects of a job."""
        name = f"{list(self.jobs())[number]}.json"
        content = self.aws.client("s3").get_object(Bucket=BUCKET, Key=self.keys("manifests")[name])["Body"].read()
        return list(json.loads(content)[1:])

    def names(self) -> list[str]:
        return [request.path.name for request in self.requests]


def job_name(job: dict[str, Any]) -> str:
    return str(job["TransformJobName"])


@pytest.fixture(scope="module")
def calls(simulator: Simulated) -> Iterator[AwsClient]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**simulator.environment, "AWS_MAX_ATTEMPTS": "3", "AWS_RETRY_MODE": "standard"}.items():
            patch.setenv(name, value)
        yield AwsClient()


@pytest.fixture
def place(aws: Simulated, calls: AwsClient, small_package: Path, tmp_path: Path) -> Place:
    return Place(aws, calls, small_package, tmp_path)


@pytest.fixture(scope="module")
def wanted(small_bundle: Path) -> np.ndarray:
    return expected(small_bundle)


def test_job_answers_as_the_predictor_does_and_only_once(place: Place, wanted: np.ndarray) -> None:
    aws = place.aws
    key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    settings = cloud_settings(kms_key=key, instance_type="ml.c5.xlarge", timeout_s=50)
    place.send(settings)
    assert_answers(place.requests, wanted)
    [(name, status)] = place.jobs().items()
    assert status == "Completed"
    assert place.manifest(0) == place.names()
    job = aws.client("sagemaker").describe_transform_job(TransformJobName=name)
    assert (job["MaxConcurrentTransforms"], job["MaxPayloadInMB"]) == (4, 1)
    assert job["ModelClientConfig"] == {"InvocationsTimeoutInSeconds": 50, "InvocationsMaxRetries": 0}
    assert (job["BatchStrategy"], job["Environment"]) == ("SingleRecord", {"FER_FLIP": "0"})
    model = aws.client("sagemaker").describe_model(ModelName=job["ModelName"])
    assert model["PrimaryContainer"]["ModelPackageName"] == place.package
    objects = [*place.keys("input").values(), *place.keys("output").values(), *place.keys("manifests").values()]
    assert len(objects) == 7
    for stored in objects:
        head = aws.client("s3").head_object(Bucket=BUCKET, Key=stored)
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key)
    # Once more: answers that were lost on this machine come from the bucket, nothing is sent or judged.
    kept = times(place.requests[1:])
    place.requests[0].output_path.unlink()
    before = aws.calls()
    place.send(settings)
    assert_answers(place.requests, wanted)
    assert times(place.requests[1:]) == kept
    more = aws.calls() - before
    assert (more["s3:PutObject"], more["s3:GetObject"]) == (0, 1)
    assert list(place.jobs()) == [name]


def test_what_a_job_left_is_judged_by_another(
    place: Place, wanted: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    aws = place.aws
    before = aws.calls()
    # Each of the first two answers half of its objects: of three one, of two one.
    faults = {"job_fails": "HTTP 500: simulated failure", "job_killed": "ConnectionError"}
    for number, (fault, reason) in enumerate(faults.items()):
        aws.fault(fault)
        place.send()
        assert missing(place.requests) == place.requests[number + 1 :]
        # Why it failed, and what its container and SageMaker itself wrote.
        for said in ("Failed: AlgorithmError", "i-simulated: Serving ", f"{place.names()[number + 1]}: {reason}"):
            assert said in caplog.text
        caplog.clear()
    done = times(place.requests)
    place.send()
    assert_answers(place.requests, wanted)
    assert times(place.requests).items() >= done.items()
    more = aws.calls() - before
    # Each shard is sent and fetched once; each job has a manifest.
    assert (more["s3:PutObject"], more["s3:GetObject"], more["sagemaker:CreateTransformJob"]) == (3 + 3, 3, 3)
    assert list(place.jobs().values()) == ["Failed", "Failed", "Completed"]
    assert [place.manifest(number) for number in range(3)] == [place.names()[number:] for number in range(3)]


def test_log_of_a_failed_job_that_may_not_be_read(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """And an object above the payload that the job takes."""
    with place.requests[2].path.open("ab") as shard:
        shard.write(bytes(1 << 20))
    place.aws.fault("denied", service="logs", times=None)
    place.send()
    assert missing(place.requests) == place.requests[2:]
    assert "Failed: ClientError" in caplog.text
    assert "Its log cannot be read: logs:DescribeLogStreams: not allowed" in caplog.text


def test_troubles_of_the_network_are_got_over_in_one_job(place: Place, wanted: np.ndarray) -> None:
    aws = place.aws
    first, second, _ = place.names()
    aws.fault("reset", operation="PutObject", path=second)
    aws.fault("lost", operation="CreateModel")
    aws.fault("throttling", operation="CreateTransformJob")
    aws.fault("lost", operation="CreateTransformJob")
    aws.fault("throttling", operation="DescribeTransformJob")
    # More often than one request is tried: the poller itself waits.
    aws.fault("error", operation="DescribeTransformJob", times=3)
    aws.fault("error", operation="ListObjectsV2", skip=1)
    aws.fault("truncated", path=f"output/{first}")
    aws.fault("tampered", path=f"output/{second}")
    place.send()
    assert_answers(place.requests, wanted)
    assert not aws.faults()
    assert list(place.jobs().values()) == ["Completed"]
    # Throttled, lost, and found to be in use.
    assert aws.calls()["sagemaker:CreateTransformJob"] == 3


def test_answers_that_are_damaged_in_the_bucket_are_judged_again(
    place: Place, wanted: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    place.send()
    done = times(place.requests[:1])
    for request in place.requests[1:]:
        content = request.output_path.read_bytes()
        request.output_path.unlink()
        tampered = content.replace(b'"anger": 0.', b'"anger": 1.')
        damaged = tampered if request is place.requests[1] else content[:-50]
        put(place.aws, {place.keys("output")[request.output_path.name]: damaged})
    place.send()
    for request in place.requests[1:]:
        assert f"{request.output_path.name}: the answer is damaged and will be asked for again" in caplog.text
    assert_answers(place.requests, wanted)
    assert times(place.requests).items() >= done.items()
    assert place.manifest(1) == place.names()[1:]


def test_interrupt_leaves_the_job_which_a_later_start_waits_for(
    place: Place, wanted: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    aws = place.aws
    aws.fault("job_stuck")
    answered = interrupt_when(lambda: place.keys("output"))
    with caplog.at_level(logging.INFO), answered, pytest.raises(KeyboardInterrupt):
        place.send()
    [(job, status)] = place.jobs().items()
    assert status == "InProgress"
    assert f"The job {job} goes on; wait for it again with aws.transform.attach={job}" in caplog.text
    assert aws.calls()["sagemaker:StopTransformJob"] == 0
    looks = aws.calls()["sagemaker:DescribeTransformJob"]

    def stop() -> None:
        until(lambda: aws.calls()["sagemaker:DescribeTransformJob"] > looks)
        aws.client("sagemaker").stop_transform_job(TransformJobName=job)

    # It waits for that job first, and then has judged what that one left.
    with meanwhile(stop):
        place.send()
    assert_answers(place.requests, wanted)
    assert list(place.jobs().values()) == ["Stopped", "Completed"]
    assert place.manifest(1) == place.names()[1:]


def test_job_that_somebody_stops_is_a_sentence_and_its_answers_stay(place: Place, wanted: np.ndarray) -> None:
    aws = place.aws
    aws.fault("job_stuck")

    def stop() -> None:
        [job] = until(lambda: place.keys("output") and place.jobs())
        aws.client("sagemaker").stop_transform_job(TransformJobName=job)

    with meanwhile(stop), pytest.raises(UserError, match=r"^the transform job (\S+) was stopped; resume this run to"):
        place.send()
    assert missing(place.requests) == place.requests[1:]


def test_each_start_goes_on_where_the_last_one_ended(place: Place, wanted: np.ndarray) -> None:
    aws = place.aws
    aws.fault("denied", operation="CreateTransformJob")
    with pytest.raises(CloudError, match=r"^sagemaker:CreateTransformJob: not allowed .*fer.cloud.policy"):
        place.send()
    # The job is remembered but was never created, as where the program is killed between the two.
    [first] = json.loads((place.folder / STATE).read_text())["jobs"]
    assert not place.jobs()
    sent = aws.calls()["s3:PutObject"]
    for operation, skip in (("DescribeTransformJob", 2), ("ListObjectsV2", 0)):
        aws.fault("expired", operation=operation, skip=skip)
        with pytest.raises(UserError, match=r"have expired; sign in again .*; the job (\S+) goes on: resume this run"):
            place.send()
    place.send()
    assert_answers(place.requests, wanted)
    [(second, status)] = place.jobs().items()
    assert status == "Completed"
    assert json.loads((place.folder / STATE).read_text())["jobs"] == [first, second]
    # Of all that was sent only the manifest is new, and the second job was created once.
    assert (aws.calls()["s3:PutObject"], aws.calls()["sagemaker:CreateTransformJob"]) == (sent + 1, 2)


def test_job_that_fails_before_it_judges_anything(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    put(place.aws, {"model.tar.gz": b"no archive"})
    place.send()
    assert missing(place.requests) == place.requests
    assert "Failed: ClientError: Failed to extract model data archive" in caplog.text
    assert finished(place.aws, next(iter(place.jobs())))["TransformJobStatus"] == "Failed"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id": "a"}', '{"id": "a", "jobs": 1}'])
def test_damaged_memory_of_jobs_is_a_sentence(place: Place, content: str) -> None:
    (place.folder / STATE).write_text(content)
    with pytest.raises(DataError, match=rf"{STATE}: is damaged \(.*\); remove it and resume with new jobs$"):
        place.batch()


def test_dry_run_notes_all_that_a_run_sends(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in place.aws.environment:
        monkeypatch.delenv(name)
    before = place.aws.calls()
    noting = AwsClient(dry_run=True)
    place.batch(calls=noting).send(place.requests, TAR)
    [model] = [request["parameters"] for request in noting.recorded_requests if request["operation"] == "create_model"]
    assert model["EnableNetworkIsolation"] is True
    assert Counter(request["operation"] for request in noting.recorded_requests) == {
        **{"list_objects_v2": 1, "put_object": 4, "create_model": 1, "create_transform_job": 1},
        **{"describe_transform_job": 1, "get_object": 3},
    }
    assert missing(place.requests) == place.requests
    assert place.aws.calls() == before


@pytest.mark.parametrize(
    ("keep", "folders"), [("none", set()), ("answers", {"output"}), ("all", {"input", "manifests", "output"})]
)
def test_what_is_not_kept_is_deleted_once_all_is_answered(
    keep: str, folders: set[str], place: Place, wanted: np.ndarray
) -> None:
    aws = place.aws
    settings = cloud_settings().model_copy(update={"keep": keep})
    put(aws, {"fer/jobs/of-another-run/input/shard.tar": b"faces"})
    place.batch(settings).clean_up()
    place.send(settings)
    # Nothing is deleted before the caller has the answers.
    assert len(place.keys("input")) == 4
    batch = place.batch(settings)
    batch.clean_up()
    run = f"{batch.prefix}/"
    left = [item["Key"] for item in aws.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=run).get("Contents", [])]
    assert {key.removeprefix(run).partition("/")[0] for key in left} == folders
    models = [model["ModelName"] for model in aws.client("sagemaker").list_models()["Models"]]
    assert (f"{batch.record.id}-model" in models) == (keep == "all")
    # The model of another run stays, and so do its faces.
    assert "model-1" in models and "shard.tar" in place.keys("input")
    # Once more, as after a run that was killed in between; the answers are on this machine.
    before = aws.calls()
    batch.clean_up()
    place.send(settings)
    assert_answers(place.requests, wanted)
    assert (aws.calls() - before)["sagemaker:CreateTransformJob"] == 0


def test_faces_that_cannot_be_deleted_are_told(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    settings = cloud_settings().model_copy(update={"keep": "none"})
    place.send(settings)
    place.aws.fault("denied", operation="DeleteObjects")
    batch = place.batch(settings)
    batch.clean_up()
    assert f"Faces stay in s3://{BUCKET}/{batch.prefix}/: s3:DeleteObjects: not allowed" in caplog.text
    assert not missing(place.requests)


def test_a_dry_run_notes_what_it_would_delete(place: Place) -> None:
    noting = AwsClient(dry_run=True)
    batch = place.batch(cloud_settings().model_copy(update={"keep": "answers"}), calls=noting)
    batch.send(place.requests, TAR)
    batch.clean_up()
    operations = Counter(request["operation"] for request in noting.recorded_requests)
    assert (operations["delete_objects"], operations["delete_model"]) == (2, 1)
