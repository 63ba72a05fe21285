"""Trainings and searches in a simulated SageMaker: the runs that come home are those that train.py would have left."""

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import yaml
from safetensors.torch import save_file

from fer.cloud.policy import build_policies
from fer.config.compose import load_overrides
from fer.sweep.job import read_metric
from fer.sweep.records import read_jobs, read_sweep
from tests.helpers.aws_simulator.simulator import Simulated, simulated_aws
from tests.helpers.cloud_programs import (
    ANY_MODEL,
    BUCKET,
    BUCKET_ONLY,
    IMAGE,
    REGISTER,
    RIGHTS,
    ROLE,
    Place,
    allowed,
    succeeded,
    without_aws,
)
from tests.helpers.paths import PROJECT
from tests.helpers.programs import FAST, FAST_ANY_DATA, metrics_of, provenance_of

TRAIN, TUNE = ("-m", "fer.cloud.train"), ("-m", "fer.cloud.tune")
TRAINING = (
    *(f"aws.bucket={BUCKET}", f"aws.role={ROLE}", f"aws.training.image={IMAGE}"),
    *("aws.training.poll_s=0.1", "aws.training.allow_changes=true"),
)


@pytest.fixture(scope="module")
def aws() -> Iterator[Simulated]:
    with simulated_aws() as simulated:
        simulated.client("s3").create_bucket(Bucket=BUCKET)
        yield simulated


@pytest.fixture(scope="module")
def place(aws: Simulated, workplace: Path) -> Place:
    return Place.of(workplace / "training", aws.environment)


@pytest.fixture(scope="module")
def read(face_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """A training that reads a directory and a file of this machine."""
    weights = tmp_path_factory.mktemp("weights") / "start.safetensors"
    save_file(timm.create_model("test_efficientnet", num_classes=7).state_dict(), weights)
    data = ("dataset=folder", f"dataset.sources.folder.root={face_folder}", "dataset.split=stratified")
    return (
        *data,
        f"model.weights={weights}",
        *FAST_ANY_DATA,
        "trainer.max_epochs=24",
        "trainer.early_stopping.patience=null",
    )


@pytest.fixture(scope="module")
def arrived(aws: Simulated, place: Place, read: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
    """A training on a spot instance that is taken away, whose run arrives damaged at first: in `arrived`."""
    aws.fault("spot_interruption", path="Snapshot 1 ", seconds=0)
    aws.fault("truncated", path="model.tar.gz")
    return place.run(*TRAIN, *read, *TRAINING, "aws.training.spot=true", "hydra.run.dir=arrived")


def test_an_interrupted_job_brings_home_the_run_of_an_unbroken_training_here(
    aws: Simulated, place: Place, read: tuple[str, ...], arrived: "subprocess.CompletedProcess[str]"
) -> None:
    succeeded(arrived)
    run = place.directory / "arrived"
    assert "Going on from snapshot 1" in arrived.stdout and "Epoch 24/24" in arrived.stdout
    assert "arrived damaged" in arrived.stderr and "Run directory: arrived" in arrived.stderr
    assert not list(place.directory.glob(".arriving-*"))
    facts = json.loads((run / "training_job.json").read_text())
    assert facts["statuses"].count("Interrupted") == 1 and facts["statuses"][-1] == "Completed"
    assert aws.faults() == []
    # The run says nothing of the container: neither paths nor AWS.
    told = (run / "run.yaml").read_text()
    assert "/opt/ml" not in told and "arn:" not in told and BUCKET not in told
    root = next(text for text in read if "root" in text).partition("=")[2]
    assert yaml.safe_load(told)["dataset"]["sources"]["folder"]["root"] == root
    commit = subprocess.run(["git", "-C", str(PROJECT), "rev-parse", "HEAD"], capture_output=True, text=True)
    assert provenance_of(run)["git_commit"] == commit.stdout.strip()
    replayed = succeeded(place.run("-m", "fer.replay", "arrived"))
    assert f"Identical: all {len(list(leaves(metrics_of(run))))} figures" in replayed.stdout
    succeeded(place.run(REGISTER, f"model_uri={run}", *ANY_MODEL))


def test_the_job_has_what_it_needs_and_no_more(
    aws: Simulated, place: Place, arrived: "subprocess.CompletedProcess[str]"
) -> None:
    run = place.directory / "arrived"
    name = json.loads((run / "training_job.json").read_text())["job"]
    found = aws.client("sagemaker").describe_training_job(TrainingJobName=name)
    assert found["EnableNetworkIsolation"] and "Environment" not in found and not found.get("HyperParameters")
    assert found["StoppingCondition"]["MaxWaitTimeInSeconds"] == 2 * 24 * 3600
    figures = {one["MetricName"]: one["Value"] for one in found["FinalMetricDataList"]}
    assert figures["best_val_accuracy"] == pytest.approx(read_metric(run, "val_accuracy"), abs=1e-5)
    assert set(figures) == {"train_loss", "val_loss", "val_accuracy", "best_val_loss", "best_val_accuracy"}
    s3 = aws.client("s3")
    kept = {item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert all(key.startswith(("fer/inputs/", "fer/jobs/fer-")) for key in kept)
    inputs = [key for key in kept if key.startswith("fer/inputs/")]
    assert len(inputs) == 98 + 1 + 1
    assert all(s3.head_object(Bucket=BUCKET, Key=key)["ServerSideEncryption"] == "AES256" for key in inputs[:3])
    printed = build_policies(load_overrides(["aws=sagemaker", *TRAINING], "infer"))
    caller, role = (printed[who]["Statement"] for who in ("caller", "role"))
    # What the test itself asked for.
    seen = {RIGHTS.get(call, call) for call in aws.calls()} - {"s3:CreateBucket"}
    assert {"sagemaker:CreateTrainingJob", "logs:GetLogEvents", "s3:PutObject"} <= seen
    assert not [action for action in seen if not allowed(caller, action)]
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:training-job/{name}"
    assert allowed(caller, "sagemaker:CreateTrainingJob", arn) and allowed(caller, "sagemaker:AddTags", arn)
    for key in kept:
        assert allowed(role, "s3:GetObject", f"arn:aws:s3:::{BUCKET}/{key}"), key
    assert allowed(role, "s3:PutObject", f"arn:aws:s3:::{BUCKET}/fer/jobs/{name}/checkpoints/x")
    assert not allowed(role, "s3:PutObject", f"arn:aws:s3:::{BUCKET}/fer/inputs/x")


@pytest.fixture(scope="module")
def searched(aws: Simulated, place: Place, face_folder: Path) -> Path:
    """A search over two networks, of which one does not exist, as a sweep."""
    # A path as it is typed means something in this directory alone.
    (place.directory / "faces").symlink_to(face_folder)
    data = ("dataset=folder", "dataset.sources.folder.root=faces", "dataset.split=stratified", *FAST_ANY_DATA)
    space = ("model.name=mobilenetv2_050,mobilenetv2_055", "optimizer.lr=1e-3")
    tuning = ("aws.tuning.strategy=Grid", "aws.tuning.max_parallel_jobs=2", "sweep.metric=val_loss")
    one = ("trainer.max_epochs=1", "hydra.sweep.dir=searched")
    done = succeeded(place.run(*TUNE, *data, *one, *space, *TRAINING, *tuning))
    assert "Best: #" in done.stderr and "model.name=mobilenetv2_050: finished: val_loss" in done.stderr
    (place.directory / "searched.log").write_text(done.stderr)
    return place.directory / "searched"


def test_a_search_comes_home_as_a_sweep_with_the_reason_of_what_failed(searched: Path, face_folder: Path) -> None:
    jobs = {job.overrides[0]: job for job in read_jobs(searched)}
    good, bad = jobs["model.name=mobilenetv2_050"], jobs["model.name=mobilenetv2_055"]
    assert (good.status, good.metric, bad.status) == ("finished", "val_loss", "failed")
    assert good.value == read_metric(searched / str(good.number), "val_loss")
    assert "no architecture of timm has this name" in bad.reason
    assert (read_sweep(searched).direction, len((searched / "sweep.csv").read_text().splitlines())) == ("minimize", 3)
    saved = yaml.safe_load((searched / str(good.number) / "run.yaml").read_text())
    assert (saved["model"]["name"], saved["optimizer"]["lr"]) == ("mobilenetv2_050", 1e-3)
    assert saved["dataset"]["sources"]["folder"]["root"] == str(face_folder.resolve())


def test_a_failed_job_is_told_in_a_sentence(aws: Simulated, place: Place, searched: Path) -> None:
    failed = next(name for name, status in trainings(aws, searched).items() if status == "Failed")
    done = place.run(*TRAIN, "--attach", failed, f"aws.bucket={BUCKET}")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("python -m fer.cloud.train: ")]
    assert said == [
        f"python -m fer.cloud.train: the training job {failed} has ended (Failed): {reason_of(aws, failed)}"
    ]
    # The log of the container was shown.
    assert "no architecture of timm has this name" in said[0] and said[0].split(": ", 4)[3] in done.stdout


def test_ctrl_c_leaves_a_job_that_can_be_waited_for_again_and_one_that_is_stopped_comes_home(
    aws: Simulated, place: Place
) -> None:
    endless = ("trainer.max_epochs=500", "trainer.early_stopping.patience=null")
    process = place.start(*TRAIN, *FAST, *endless, *TRAINING)
    assert process.stdout is not None
    assert any(line.startswith("Epoch 1/500") for line in iter(process.stdout.readline, ""))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in errors) == (130, False), errors
    assert "goes on; wait for it again with python -m fer.cloud.train --attach fer-" in errors
    again = errors.partition("again with python ")[2].splitlines()[0].split()
    aws.client("sagemaker").stop_training_job(TrainingJobName=again[again.index("--attach") + 1])
    done = place.run(*again, "aws.training.poll_s=0.1", "hydra.run.dir=stopped")
    run = place.directory / "stopped"
    assert done.returncode == 1 and "go on with: python train.py resume=stopped" in done.stderr, (
        done.stdout + done.stderr
    )
    assert provenance_of(run)["status"] == "interrupted"
    assert (run / "checkpoints" / "last.ckpt").is_file() and metrics_of(run)["epochs"] >= 1


def test_a_dry_run_prints_every_request_without_network(tmp_path: Path, read: tuple[str, ...]) -> None:
    place = without_aws(tmp_path)
    region = ("aws.region=eu-west-1", "dry_run=true")
    done = succeeded(place.run(*TRAIN, *read, *TRAINING, *region, "aws.kms_key=alias/faces", "+aws.tags.team=a"))
    requests = json.loads(done.stdout)
    operations = Counter(request["operation"] for request in requests)
    assert operations["create_training_job"] == operations["describe_training_job"] == operations["get_object"] == 1
    assert operations["put_object"] >= 98 + 4
    keys = {one["parameters"].get("SSEKMSKeyId") for one in requests if one["operation"] == "put_object"}
    assert keys == {"alias/faces"}
    asked = next(one["parameters"] for one in requests if one["operation"] == "create_training_job")
    channels = [channel["ChannelName"] for channel in asked["InputDataConfig"]]
    assert channels == ["job", "input_0", "input_1", "code", "sm_drivers"]
    assert {"Key": "team", "Value": "a"} in asked["Tags"] and asked["OutputDataConfig"]["KmsKeyId"] == "alias/faces"
    assert sorted(path.name for path in tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ((*TRAIN, *BUCKET_ONLY), 2, ["aws.role", "add aws.role=ARN"]),
        ((*TRAIN, *TRAINING, "aws.training.image=null"), 2, ["aws.training.image", "--target jobs"]),
        ((*TRAIN, *TRAINING, "aws.training.instance_count=2"), 2, ["trainer.num_nodes=1", "make them equal"]),
        ((*TRAIN, *TRAINING, "aws.training.max_wait_hours=1"), 2, ["max_wait_hours=1", "max_hours=24"]),
        ((*TRAIN, "no/such/run", *TRAINING), 1, ["no/such/run", "neither a run directory nor a run.yaml"]),
        ((*TUNE, *TRAINING), 2, ["nothing to search", "interval(1e-4,1e-2)"]),
        ((*TRAIN, "--attach", "fer-no-such-job", *TRAINING), 1, ["no training job fer-no-such-job"]),
    ],
)
def test_mistakes_are_one_sentence(place: Place, command: tuple[str, ...], code: int, words: list[str]) -> None:
    done = place.run(*command)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    said = next(line for line in done.stderr.splitlines() if line.startswith("python -m fer.cloud.t"))
    assert all(word in said for word in words), done.stderr


def trainings(aws: Simulated, searched: Path) -> dict[str, str]:
    """The status of each training job of the search."""
    sagemaker = aws.client("sagemaker")
    name = searched.with_suffix(".log").read_text().partition("Tuning job ")[2].split()[0]
    asked = {"HyperParameterTuningJobName": name, "MaxResults": 100}
    rows = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(**asked)["TrainingJobSummaries"]
    return {row["TrainingJobName"]: row["TrainingJobStatus"] for row in rows}


def reason_of(aws: Simulated, name: str) -> str:
    return str(aws.client("sagemaker").describe_training_job(TrainingJobName=name)["FailureReason"])


def leaves(node: Any) -> Iterator[Any]:
    inner: list[Any] = list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []
    if not isinstance(node, dict | list):
        yield node
    for one in inner:
        yield from leaves(one)
