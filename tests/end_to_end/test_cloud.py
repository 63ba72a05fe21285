"""From a trained model to a batch in SageMaker, by the programs alone, against AWS as tests simulate it."""

import json
import re
import signal
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
import yaml

from fer.aws.client import AwsClient
from fer.config import SageMakerAws
from fer.config.compose import load_overrides
from fer.registry.gate import APPROVED, PENDING
from fer.registry.promotion import promote
from fer.registry.sagemaker import SageMakerRegistry
from tests.helpers.aws_simulator.simulator import Simulated, simulated_aws
from tests.helpers.candidates import candidate
from tests.helpers.cloud_programs import (
    ANY_MODEL,
    BUCKET,
    NAME,
    REGISTER,
    REGISTERING,
    RIGHTS,
    ROLE,
    SAGEMAKER,
    Place,
    allowed,
    assert_same_table,
    refused,
    succeeded,
    without_aws,
)
from tests.helpers.programs import INFER, LARGE_FACES, provenance_of
from tests.helpers.registering import until

CHAMPION, FIRST = f"models:/{NAME}@champion", f"models:/{NAME}/1"
# Several objects, of which half can fail.
SMALL_SHARDS = "aws.transform.shard_mb=0.1"
PATIENCE_S = 200


@pytest.fixture(scope="module")
def aws() -> Iterator[Simulated]:
    with simulated_aws() as simulated:
        simulated.client("s3").create_bucket(Bucket=BUCKET)
        yield simulated


@pytest.fixture(scope="module")
def place(aws: Simulated, workplace: Path) -> Place:
    return Place.of(workplace / "cloud", aws.environment)


@pytest.fixture(scope="module")
def sampled(clip: Path) -> tuple[str, ...]:
    return (f"extraction.input={clip}", "extraction.fps=5", LARGE_FACES)


@pytest.fixture(scope="module")
def registered(place: Place, model: Path, inferred: Path) -> Place:
    """A place, and an AWS, in which the model is registered; its network was exported when it was used before."""
    succeeded(place.run(REGISTER, f"model_uri={model}", *ANY_MODEL, *REGISTERING))
    return place


@pytest.fixture(scope="module")
def registered_here(registered: Place, model: Path) -> Place:
    """The place, with the model in its local registry as well."""
    succeeded(registered.run(REGISTER, f"model_uri={model}", *ANY_MODEL))
    return registered


@pytest.fixture(scope="module")
def judged(registered: Place, sampled: tuple[str, ...]) -> Path:
    """The run in which SageMaker judged the clip, undisturbed."""
    run = registered.directory / "judged"
    done = registered.infer(f"model_uri={CHAMPION}", *SAGEMAKER, SMALL_SHARDS, *sampled, f"hydra.run.dir={run}")
    succeeded(done)
    return run


@pytest.fixture(autouse=True)
def _without_faults(aws: Simulated) -> Iterator[None]:
    yield
    aws.clear_faults()


def test_the_same_model_gives_the_same_table_by_every_route(
    registered_here: Place, judged: Path, sampled: tuple[str, ...]
) -> None:
    for route in ("process", "transform"):
        run = registered_here.directory / route
        chosen = (f"model_uri={CHAMPION}", f"inference.route={route}", f"hydra.run.dir={run}")
        succeeded(registered_here.infer(*chosen, *sampled))
        assert_same_table(run, judged)
    for run in (judged, registered_here.directory / "process", registered_here.directory / "transform"):
        assert yaml.safe_load((run / "run.yaml").read_text())["model_uri"] == FIRST
        model = provenance_of(run)["model"]
        assert model["uri"] == FIRST and re.fullmatch("[0-9a-f]{64}", model["package_sha256"])
        monitoring = json.loads((run / "monitoring.json").read_text())
        assert monitoring["model"] == FIRST and monitoring["baseline"] == "the model's training"
        assert monitoring["drift"] and monitoring["images_per_s"] > 0
        directory = monitoring["retraining_command"].split()[3]
        # Relative to where infer.py was started: no absolute path is passed on.
        assert (registered_here.directory / directory / "run.yaml").is_file()
    assert provenance_of(judged)["model"]["source"].endswith(f":model-package/{NAME}/1")


def test_killed_while_the_job_runs_the_job_is_found_again(
    aws: Simulated,
    registered: Place,
    judged: Path,
    sampled: tuple[str, ...],
    tmp_path: Path,
    stopped: Callable[[Popen[str]], None],
) -> None:
    place = Place(tmp_path, registered.environment)
    process = place.begin(f"model_uri={FIRST}", *SAGEMAKER, SMALL_SHARDS, *sampled)
    stopped(process)
    (state,) = until(lambda: list(tmp_path.glob("outputs/infer/*/*/shards/transform.json")), PATIENCE_S)
    # Where the kill comes before the job is created, it is created afterwards under the next name.
    until(lambda: json.loads(state.read_text())["jobs"] or process.poll() is not None, PATIENCE_S)
    process.kill()
    process.communicate()
    (run,) = place.runs()
    (job,) = json.loads(state.read_text())["jobs"]
    attach = (*SAGEMAKER, f"aws.transform.attach={job}")
    aws.fault("expired", service="sagemaker", times=None)
    refused(place.infer(*attach), 1, "credentials have expired", "sign in again")
    assert place.runs() == [run]
    aws.clear_faults()
    succeeded(place.infer(*attach))
    assert place.runs() == [run]
    assert_same_table(run, judged)
    jobs = aws.client("sagemaker").list_transform_jobs(NameContains=job.rpartition("-")[0])["TransformJobSummaries"]
    assert [found["TransformJobStatus"] for found in jobs] == ["Completed"]


def test_interrupted_tells_how_to_attach_and_a_stopped_job_keeps_its_answers(
    aws: Simulated,
    registered: Place,
    judged: Path,
    sampled: tuple[str, ...],
    tmp_path: Path,
    stopped: Callable[[Popen[str]], None],
) -> None:
    place = Place(tmp_path, registered.environment)
    aws.fault("job_stuck")
    process = place.begin(f"model_uri={FIRST}", *SAGEMAKER, SMALL_SHARDS, *sampled)
    stopped(process)
    objects = len(list(judged.glob("shards/*.tar")))
    assert objects > 1
    state = until(lambda: list(tmp_path.glob("outputs/infer/*/*/shards/transform.json")), PATIENCE_S)[0]
    name = json.loads(state.read_text())["id"]
    until(lambda: len(keys(aws, f"fer/jobs/{name}/output/")) == objects // 2, PATIENCE_S)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130 and "Traceback" not in output + errors, output + errors
    assert f"aws.transform.attach={name}-1" in output.splitlines()[-2] + output.splitlines()[-1], output
    (run,) = place.runs()
    assert provenance_of(run)["status"] == "interrupted"
    sagemaker = aws.client("sagemaker")
    sagemaker.stop_transform_job(TransformJobName=f"{name}-1")
    succeeded(place.infer(f"resume={run}"))
    assert_same_table(run, judged)
    assert len(sent_again(aws, f"{name}-2")) == objects - objects // 2


def test_videos_come_from_s3_and_what_a_job_failed_at_is_sent_again(
    aws: Simulated, registered: Place, judged: Path, clip: Path, tmp_path: Path
) -> None:
    aws.client("s3").upload_file(str(clip), BUCKET, "videos/clip.mp4")
    aws.fault("job_fails")
    run = tmp_path / "run"
    chosen = (f"model_uri={FIRST}", *SAGEMAKER, SMALL_SHARDS, "extraction.fps=5", LARGE_FACES, f"hydra.run.dir={run}")
    done = succeeded(registered.infer(*chosen, f"extraction.input=s3://{BUCKET}/videos/"))
    assert "AlgorithmError" in done.stdout and "simulated failure" in done.stdout
    assert_same_table(run, judged)
    assert not list(run.rglob("*.mp4"))
    objects = len(list(judged.glob("shards/*.tar")))
    name = json.loads((run / "shards" / "transform.json").read_text())["id"]
    assert len(sent_again(aws, f"{name}-2")) == objects - objects // 2


def test_a_dry_run_names_every_request_and_reaches_nothing(
    aws: Simulated, registered: Place, judged: Path, model: Path, sampled: tuple[str, ...], tmp_path: Path
) -> None:
    place = without_aws(tmp_path)
    limit = "inference.monitor.max_failures=0.5"
    dry = (INFER, f"model_uri={FIRST}", *SAGEMAKER, SMALL_SHARDS, *sampled, "dry_run=true", "trainer.threads=1", limit)
    requests = listed(place.run(*dry))
    for expected in ("create_model", "create_transform_job", "put_metric_data", "get_object"):
        assert expected in requests
    assert requests["put_object"] == len(list(judged.glob("shards/*.tar"))) + 1
    registering = listed(place.run(REGISTER, f"model_uri={model}", *ANY_MODEL, *REGISTERING, "dry_run=true"))
    for expected in ("put_object", "create_model_package_group", "create_model_package"):
        assert expected in registering
    assert not [path for path in tmp_path.glob("outputs/**/*") if path.is_file()]


def test_the_policy_allows_what_the_programs_do(
    aws: Simulated, registered: Place, judged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    settings = load_overrides(list(REGISTERING), "register").aws
    assert isinstance(settings, SageMakerAws)
    registry = SageMakerRegistry(settings, AwsClient())
    # One that is pending is approved by its promotion.
    pending = registry.register(candidate(tmp_path, status=PENDING, name=NAME))
    assert promote(registry, NAME, pending.version).status == APPROVED
    arguments = (f"aws.bucket={BUCKET}", f"aws.role={ROLE}", "extraction.input=s3://faces-of-tests/videos/")
    printed = json.loads(succeeded(registered.run("-m", "fer.cloud.policy", *arguments)).stdout)
    statements = [one for policy in printed.values() for one in policy["Statement"]]
    assert all(policy["Version"] == "2012-10-17" for policy in printed.values())
    assert all(one["Effect"] == "Allow" and ("Resource" in one) != ("Principal" in one) for one in statements)
    seen = {RIGHTS.get(call, call) for call in aws.calls()} - {"s3:CreateBucket"}
    # What tests ask for themselves, to look and to end jobs.
    seen -= {"sagemaker:ListTransformJobs"}
    caller = printed["caller"]["Statement"]
    assert "sagemaker:UpdateModelPackage" in seen and "sagemaker:CreateTransformJob" in seen
    for action in seen:
        assert allowed(caller, action), action
    objects = f"arn:aws:s3:::{BUCKET}"
    for key in keys(aws, ""):
        assert allowed(caller, "s3:GetObject", f"{objects}/{key}"), key
    here = "arn:aws:sagemaker:us-east-1:123456789012"
    job = json.loads((judged / "shards" / "transform.json").read_text())["jobs"][0]
    assert allowed(caller, "sagemaker:CreateTransformJob", f"{here}:transform-job/{job}")
    assert allowed(caller, "sagemaker:DescribeModelPackage", f"{here}:model-package/{NAME}/2")
    assert not allowed(caller, "s3:PutObject", "arn:aws:s3:::another/fer/jobs/x")
    assert not allowed(caller, "sagemaker:DescribeModelPackage", f"{here}:model-package/another/1")


@pytest.mark.parametrize(
    ("overrides", "code", "words"),
    [
        (["model_uri=models:/nobody@champion"], 1, ["models:/nobody", "holds no model of this name", "register.py"]),
        (["model_uri=models:/x"], 2, ["models:/x", "models:/NAME/VERSION"]),
        (["model_uri=no/such/model.tar.gz"], 2, ["no/such/model.tar.gz", "no such file or directory"]),
        (["model_uri=cut.tar.gz"], 1, ["cut.tar.gz", "is no sound package", "build or fetch it again"]),
        (["model_uri=changed.tar.gz"], 1, ["changed.tar.gz", "it was changed"]),
        (["model_uri=cut.tar.gz", *SAGEMAKER], 2, ["cut.tar.gz", "classifies with a registered model", "register.py"]),
        ([f"model_uri={FIRST}", *SAGEMAKER[:2]], 2, ["aws.role", "add aws.role=ARN"]),
        ([f"model_uri={FIRST}", *SAGEMAKER, "aws.bucket=no-such-bucket"], 1, ["no-such-bucket", "create it first"]),
    ],
)
def test_mistakes_are_one_sentence(
    registered_here: Place, packages: None, sampled: tuple[str, ...], overrides: list[str], code: int, words: list[str]
) -> None:
    refused(registered_here.infer(*overrides, *sampled, "hydra.run.dir=mistake/${now:%f}"), code, *words)


@pytest.fixture(scope="module")
def packages(registered: Place, judged: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The registered package, cut off and changed."""
    sound = judged / "parts" / "model" / "model.tar.gz"
    (registered.directory / "cut.tar.gz").write_bytes(sound.read_bytes()[: sound.stat().st_size // 2])
    unpacked = tmp_path_factory.mktemp("package")
    with tarfile.open(sound) as archive:
        archive.extractall(unpacked, filter="data")
    (unpacked / "code" / "inference.py").write_text("print('not what was registered')\n")
    with tarfile.open(registered.directory / "changed.tar.gz", "w:gz") as archive:
        archive.add(unpacked, ".")


def keys(aws: Simulated, prefix: str) -> list[str]:
    """The objects in the bucket."""
    pages = aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def sent_again(aws: Simulated, job: str) -> list[str]:
    """The objects that a job's manifest names."""
    key = f"fer/jobs/{job.rpartition('-')[0]}/manifests/{job}.json"
    first, *names = json.loads(aws.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read())
    assert first["prefix"].startswith("s3://")
    return names


def listed(done: Any) -> Counter[str]:
    """How often a dry run would send each operation; its whole output is one JSON array."""
    succeeded(done)
    requests = json.loads(done.stdout)
    assert all(set(request) == {"service", "operation", "parameters"} for request in requests)
    return Counter(request["operation"] for request in requests)
