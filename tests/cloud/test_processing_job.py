"""Processing jobs in the simulated AWS: shards, results, encryption, troubles, and what the simulator refuses."""

import json
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fer.aws.client import AwsClient
from fer.cloud.processing_job import PROCESSING_DIR, STATE, SageMakerProcessing, find_common_folder
from fer.config import SageMakerAws
from fer.errors import UserError
from tests.helpers.aws_simulator.simulator import Simulated
from tests.helpers.registering import BUCKET, IMAGE, ROLE, interrupt_when, put
from tests.helpers.transforming import shipped

FOLDER = f"s3://{BUCKET}/videos/"
NAMES = ["a.mp4", "deep/b c.mp4", "deep/ü.mp4", "d.mp4", "e.mp4"]
RESULTS = ["a.mp4.zip", "b c.mp4.zip", "ü.mp4.zip", "d.mp4.zip", "e.mp4.zip"]
AGAIN = "python -m fer.cloud.extract resume=RUN"
# For each video what the instance was told and the video itself; then what the instance knows of itself.
EACH = f"""\
cd {PROCESSING_DIR}/input/videos
find . -type f | while read -r file; do
    cat ../task/told "$file" > ../made
    mv ../made "../../output/$(basename "$file").zip"
done
cat {PROCESSING_DIR}/../config/resourceconfig.json
echo
ls -A {PROCESSING_DIR}/output | wc -l
"""
FAIL = f"""
case $(cat {PROCESSING_DIR}/../config/resourceconfig.json) in *'host": "algo-2'*) echo no memory; exit 9;; esac
sleep 60
"""
COMMAND = ("sh", f"{PROCESSING_DIR}/input/task/each.sh")


class Place:
    """A run over five videos in S3."""

    def __init__(self, aws: Simulated, calls: AwsClient, folder: Path) -> None:
        self.aws, self.calls, self.folder = aws, calls, folder
        aws.client("s3").create_bucket(Bucket=BUCKET)
        put(aws, {f"videos/{name}": name.encode() for name in NAMES})
        self.told = folder / "told"
        self.told.mkdir()
        (self.told / "told").write_text("told: ")
        (self.told / "each.sh").write_text(EACH)

    def processing(
        self, calls: AwsClient | None = None, kms_key: str | None = None, **given: Any
    ) -> SageMakerProcessing:
        """A new one, as each start of the program makes it."""
        changed = {"bucket": BUCKET, "role": ROLE, "kms_key": kms_key, "tags": {"study": "1"}}
        settings = shipped("sagemaker") | changed
        settings["processing"] |= {"image": IMAGE, "instance_count": 3, "poll_s": 0.05, **given}
        return SageMakerProcessing(
            calls or self.calls, SageMakerAws.model_validate(settings), self.folder / "run", AGAIN
        )

    def begun(self, **given: Any) -> SageMakerProcessing:
        processing = self.processing(**given)
        processing.start(FOLDER, NAMES, {"task": self.told}, COMMAND)
        return processing

    def job(self, number: int = -1) -> dict[str, Any]:
        name = json.loads((self.folder / "run" / STATE).read_text())["jobs"][number]
        return dict(self.aws.client("sagemaker").describe_processing_job(ProcessingJobName=name))


@pytest.fixture(scope="module")
def calls(simulator: Simulated) -> Iterator[AwsClient]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**simulator.environment, "AWS_MAX_ATTEMPTS": "3", "AWS_RETRY_MODE": "standard"}.items():
            patch.setenv(name, value)
        yield AwsClient()


@pytest.fixture
def place(aws: Simulated, calls: AwsClient, tmp_path: Path) -> Place:
    return Place(aws, calls, tmp_path)


def messages(aws: Simulated) -> dict[str, list[str]]:
    """What each instance wrote."""
    events = aws.client("logs").filter_log_events(logGroupName="/aws/sagemaker/ProcessingJobs")["events"]
    hosts: dict[str, list[str]] = {}
    for event in events:
        hosts.setdefault(event["logStreamName"].rpartition("/")[2].rpartition("-")[0], []).append(event["message"])
    return hosts


def test_each_instance_has_its_share_and_all_results_come_home(place: Place) -> None:
    key = place.aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    processing = place.begun(kms_key=key, instance_type="ml.m5.large", volume_gb=7, max_hours=0.5)
    assert processing.wait(RESULTS) == "Completed"
    assert processing.list_results() == set(RESULTS)
    for name, result in zip(NAMES, RESULTS, strict=True):
        processing.download_result(result, place.folder / result)
        assert (place.folder / result).read_text() == f"told: {name}"
    hosts = [f"algo-{number}" for number in (1, 2, 3)]
    told = messages(place.aws)
    assert [json.loads(told[host][0])["current_host"] for host in hosts] == hosts
    assert all(json.loads(told[host][0])["hosts"] == hosts for host in hosts)
    assert [told[host][1].strip() for host in hosts] == ["2", "2", "1"]
    job = place.job()
    assert job["ProcessingResources"]["ClusterConfig"] == {
        "InstanceCount": 3,
        "InstanceType": "ml.m5.large",
        "VolumeSizeInGB": 7,
    }
    assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": 1800}
    assert job["NetworkConfig"]["EnableNetworkIsolation"] is True
    s3 = place.aws.client("s3")
    written = [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET, Prefix="fer/")["Contents"]]
    # The manifest, what the instances were told, and the results.
    assert len(written) == 1 + 2 + 5
    for stored in written:
        assert s3.head_object(Bucket=BUCKET, Key=stored)["SSEKMSKeyId"] == key


def test_no_machine_is_started_for_nothing(place: Place) -> None:
    processing = place.processing(instance_count=9)
    processing.start(FOLDER, NAMES[:2], {"task": place.told}, COMMAND)
    assert processing.wait(RESULTS[:2]) == "Completed"
    assert place.job()["ProcessingResources"]["ClusterConfig"]["InstanceCount"] == 2


def test_failed_job_is_explained_and_what_it_finished_is_kept(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """One whose command fails on one machine after its results; one whose machine breaks down."""
    (place.told / "each.sh").write_text(EACH + FAIL)
    processing = place.begun()
    assert processing.wait(RESULTS) == "Failed"
    assert {"b c.mp4.zip", "e.mp4.zip"} <= processing.list_results()
    said = caplog.text
    assert f"Processing job {processing.record.jobs[0]}: Failed: AlgorithmError" in said and "exit code: 9" in said
    assert "no memory" in said
    # The command itself would go on.
    (place.told / "each.sh").write_text(f"{EACH}\nsleep 60\n")
    place.aws.fault("job_killed")
    assert place.begun().wait(RESULTS) == "Failed"
    assert "InternalServerError" in caplog.text


def test_interrupt_leaves_the_job_which_a_later_start_waits_for(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.aws.fault("job_stuck")
    processing = place.begun()
    job = processing.record.jobs[0]
    all_there = interrupt_when(lambda: len(processing.list_results()) == 5)
    with caplog.at_level(logging.INFO), all_there, pytest.raises(KeyboardInterrupt):
        processing.wait(RESULTS)
    assert f"The job {job} goes on; wait for it again with {AGAIN}" in caplog.text
    assert place.job()["ProcessingJobStatus"] == "InProgress"
    place.aws.fault("expired", operation="DescribeProcessingJob")
    with pytest.raises(UserError, match=rf"expired; sign in again .*; the job {job} goes on: resume this run"):
        place.processing().wait(RESULTS)
    place.aws.client("sagemaker").stop_processing_job(ProcessingJobName=job)
    assert place.processing().wait(RESULTS) == "Stopped"
    assert place.processing().list_results() == set(RESULTS)


def test_troubles_of_the_network_are_got_over_in_one_job(place: Place) -> None:
    place.aws.fault("throttling", operation="CreateProcessingJob")
    place.aws.fault("lost", operation="CreateProcessingJob")
    # More often than one request is tried: the poller itself waits.
    place.aws.fault("error", operation="DescribeProcessingJob", times=3)
    place.aws.fault("error", operation="ListObjectsV2", skip=1)
    processing = place.begun()
    assert processing.wait(RESULTS) == "Completed"
    assert not place.aws.faults()
    assert len(place.aws.client("sagemaker").list_processing_jobs()["ProcessingJobSummaries"]) == 1


def test_job_that_was_never_created_is_none(place: Place) -> None:
    """The program was killed between remembering and creating it."""
    processing = place.processing()
    processing.record.reserve_job_name()
    assert place.processing().wait(RESULTS) == "never created"


def test_dry_run_notes_all_that_a_run_sends(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in place.aws.environment:
        monkeypatch.delenv(name)
    before = place.aws.calls()
    noting = AwsClient(dry_run=True)
    processing = place.processing(noting)
    processing.start(FOLDER, NAMES, {"task": place.told}, COMMAND)
    assert processing.wait(RESULTS) == "Completed"
    assert Counter(request["operation"] for request in noting.recorded_requests) == {
        **{"put_object": 3, "list_objects_v2": 1, "create_processing_job": 1, "describe_processing_job": 1}
    }
    assert place.aws.calls() == before


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"RoleArn": "nobody"}, "regular expression pattern"),
        ({"ProcessingJobName": "a_b"}, "regular expression pattern"),
        ({"ProcessingJobName": "x" * 64}, "length less than or equal to 63"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 777601}}, "less than or equal to 777600"),
        ({"AppSpecification": {"ImageUri": "fer:1"}}, "Invalid image URI"),
        ({"AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["x" * 257]}}, "length"),
        ({"inputs": {"S3Uri": f"s3://{BUCKET}/nothing/"}}, "No S3 objects found"),
        ({"inputs": {"LocalPath": "/opt/ml/input/data"}}, "must begin with /opt/ml/processing/"),
        ({"inputs": {"LocalPath": f"{PROCESSING_DIR}/output"}}, "LocalPath must be unique"),
        ({"outputs": {"S3Uri": "s3://nobodys/out"}}, "does not exist"),
    ],
)
def test_simulator_refuses_what_aws_refuses(place: Place, changed: dict[str, Any], said: str) -> None:
    request = place.processing().build_request(FOLDER, {"task": FOLDER}, 1, COMMAND)
    request["ProcessingInputs"] = request["ProcessingInputs"][1:]
    request["ProcessingInputs"][0]["S3Input"] |= changed.pop("inputs", {})
    request["ProcessingOutputConfig"]["Outputs"][0]["S3Output"] |= changed.pop("outputs", {})
    sagemaker = place.aws.client("sagemaker", parameter_validation=False)
    with pytest.raises(ClientError, match=said):
        sagemaker.create_processing_job(**{"ProcessingJobName": "job-1", **request, **changed})


def test_job_whose_videos_are_gone_fails(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    processing = place.processing()
    processing.start(FOLDER, ["gone.mp4"], {"task": place.told}, COMMAND)
    assert processing.wait(["gone.mp4.zip"]) == "Failed"
    assert f"Object {FOLDER}gone.mp4 does not exist" in caplog.text


@pytest.mark.parametrize(
    ("uris", "folder"),
    [
        (["s3://b/a.mp4"], "s3://b/"),
        (["s3://b/v/a.mp4", "s3://b/v/ab/c.mp4"], "s3://b/v/"),
        (["s3://b/v1/a.mp4", "s3://b/v2/a.mp4"], "s3://b/"),
    ],
)
def test_common_folder(uris: list[str], folder: str) -> None:
    assert find_common_folder(uris) == folder


@pytest.mark.parametrize(("keep", "left"), [("none", 0), ("answers", 0), ("all", len(NAMES))])
def test_results_hold_faces_and_stay_only_where_all_is_kept(place: Place, keep: str, left: int) -> None:
    processing = place.begun()
    processing.wait(RESULTS)
    processing.aws = processing.aws.model_copy(update={"keep": keep})
    processing.clean_up()
    assert len(processing.list_results()) == left
