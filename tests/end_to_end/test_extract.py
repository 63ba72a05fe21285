"""Videos in S3, extracted by machines of a simulated SageMaker: the run is as if infer.py had extracted them."""

import json
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
import yaml

from fer.cloud.policy import build_policies
from fer.config.compose import load_overrides
from fer.infer.image_batch import split_batches
from fer.synthetic.study import write_study
from fer.synthetic.video import write_clip
from tests.helpers.aws_simulator.simulator import Simulated, simulated_aws
from tests.helpers.cloud_programs import BUCKET, IMAGE, RIGHTS, ROLE, Place, allowed, succeeded, without_aws
from tests.helpers.programs import face, png, provenance_of, tables_are_the_same
from tests.helpers.registering import until

VIDEOS = "videos-of-tests"
INPUT = (f"extraction.input=s3://{VIDEOS}/study/", "extraction.fps=2", "trainer.threads=1")
EXTRACT = ("-m", "fer.cloud.extract")
SAGEMAKER = (
    *("aws=sagemaker", f"aws.bucket={BUCKET}", f"aws.role={ROLE}", f"aws.processing.image={IMAGE}"),
    *("aws.processing.poll_s=0.1", "aws.processing.allow_changes=true"),
)
# Five clips (two of one name), a picture, and what is no video: their names in tables, in order.
NAMES = ["(0) clip.mp4", "clip.mp4", "broken.mp4", "face.png", "a/talk.mp4", "b/talk.mp4", "talk, part 2.mp4"]
PATIENCE_S = 120
EXCLUDED = 3


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    """With the videos."""
    with simulated_aws() as simulated:
        s3 = simulated.client("s3")
        for bucket in (BUCKET, VIDEOS):
            s3.create_bucket(Bucket=bucket)
        clips = ["study/(0) clip.mp4", "study/a clip/clip.mp4", "study/talks/a/talk.mp4", "study/talks/b/talk.mp4"]
        for number, key in enumerate([*clips, "study/talks/talk, part 2.mp4"]):
            clip = write_clip(tmp_path_factory.mktemp("clip"), seconds=0.6 + 0.2 * number)
            s3.upload_file(str(clip), VIDEOS, key)
        s3.put_object(Bucket=VIDEOS, Key="study/broken.mp4", Body=b"no video")
        s3.put_object(Bucket=VIDEOS, Key="study/face.png", Body=png(face(3, 96)))
        for left_out in ("study/notes.txt", "study/.hidden.mp4", "study2/other.mp4"):
            s3.put_object(Bucket=VIDEOS, Key=left_out, Body=b"no video either")
        yield simulated


@pytest.fixture(scope="module")
def place(aws: Simulated, workplace: Path) -> Place:
    return Place.of(workplace / "extract", aws.environment)


def results(run: Path) -> dict[str, bytes]:
    """What an extraction leaves of its videos."""
    files = [path for name in ("parts", "crops") for path in (run / name).glob("*/*")]
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in files}


def state_of(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "parts" / "processing.json").read_text()))


def manifest(aws: Simulated, job: str) -> list[str]:
    """The videos of a job."""
    key = f"fer/jobs/{job.rpartition('-')[0]}/manifests/{job}.json"
    return list(json.loads(aws.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read())[1:])


def test_machines_extract_what_this_one_would_also_after_one_of_them_has_failed(
    aws: Simulated, place: Place, model: Path
) -> None:
    local, cloud = place.directory / "local", place.directory / "cloud"
    done = place.infer(*INPUT, "extraction.stages=[extract]", f"hydra.run.dir={local}")
    assert done.returncode == EXCLUDED, done.stdout + done.stderr
    aws.fault("job_killed")
    failed = place.run(*EXTRACT, *SAGEMAKER, *INPUT, "aws.processing.instance_count=3", f"hydra.run.dir={cloud}")
    assert failed.returncode == 1 and "Traceback" not in failed.stderr, failed.stdout + failed.stderr
    left = re.search(r"has ended \(Failed\) without (\d) of 7 videos \(.*go on with: (.*)$", failed.stderr.strip())
    assert left and left[2] == f"python -m fer.cloud.extract resume={cloud}"
    assert "InternalServerError" in failed.stdout and "This instance has 2 of the 7 videos" in failed.stdout
    assert provenance_of(cloud)["status"] == "failed"
    kept = {path: path.stat().st_mtime_ns for path in cloud.glob("parts/*/*")}
    assert 0 < len(list(cloud.glob("parts/*/video.json"))) == 7 - int(left[1])
    # What arrives damaged is fetched again.
    aws.fault("tampered", path="/output/")
    done = place.run(*EXTRACT, f"resume={cloud}")
    assert done.returncode == EXCLUDED, done.stdout + done.stderr
    assert not aws.faults() and ".zip: is damaged (" in done.stdout
    assert "Excluded: broken.mp4: this is no video, or it is damaged" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    jobs = state_of(cloud)["jobs"]
    assert [len(manifest(aws, job)) for job in jobs] == [7, int(left[1])]
    assert provenance_of(cloud)["processing"]["jobs"] == jobs and provenance_of(cloud)["status"] == "finished"
    # There each image is extracted by itself, as a video is.
    apart = Path(shutil.copytree(local, place.directory / "apart"))
    split_batches(apart)
    expected = results(apart)
    assert len([name for name in expected if name.startswith("crops/")]) > 5
    assert results(cloud) == expected
    media = [json.loads((run / "parts" / "media.json").read_text()) for run in (local, cloud)]
    assert [[item["name"] for item in found] for found in media] == [NAMES, NAMES]
    assert not list(cloud.rglob("*.mp4")) + list(cloud.rglob("*.zip"))
    for run in (local, cloud):
        done = place.infer(f"resume={run}", "extraction.stages=[predict,report]", f"model_uri={model}")
        assert done.returncode == EXCLUDED, done.stdout + done.stderr
    assert tables_are_the_same(local, cloud)
    the_policy_allows(aws)


def the_policy_allows(aws: Simulated) -> None:
    """What the program did."""
    printed = build_policies(load_overrides([*SAGEMAKER, *INPUT], "infer"))
    caller, role = (printed[name]["Statement"] for name in ("caller", "role"))
    calls = {RIGHTS.get(call, call) for call in aws.calls()} - {"s3:CreateBucket"}
    assert "sagemaker:CreateProcessingJob" in calls
    assert not [action for action in calls if not allowed(caller, action)]
    assert allowed(
        caller, "sagemaker:StopProcessingJob", "arn:aws:sagemaker:us-east-1:123456789012:processing-job/fer-1"
    )
    for key in ("study/broken.mp4", "study/talks/a/talk.mp4"):
        assert allowed(role, "s3:GetObject", f"arn:aws:s3:::{VIDEOS}/{key}")
    for item in aws.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]:
        assert allowed(role, "s3:GetObject", f"arn:aws:s3:::{BUCKET}/{item['Key']}")
    assert not allowed(role, "s3:GetObject", f"arn:aws:s3:::{VIDEOS}/other/video.mp4")


def test_interrupted_leaves_the_job_and_tells_how_to_come_back(
    aws: Simulated, place: Place, tmp_path: Path, stopped: Callable[["Popen[str]"], None]
) -> None:
    aws.fault("job_stuck")
    run = tmp_path / "run"
    chosen = (f"extraction.input=s3://{VIDEOS}/study/talks/a/", *INPUT[1:], f"hydra.run.dir={run}")
    process = place.start(*EXTRACT, *SAGEMAKER, *chosen)
    stopped(process)
    until((run / "parts" / "processing.json").is_file, PATIENCE_S)
    (job,) = until(lambda: state_of(run)["jobs"], PATIENCE_S)
    s3, prefix = aws.client("s3"), f"fer/jobs/{state_of(run)['id']}/output/"
    until(lambda: "Contents" in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix), PATIENCE_S)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130 and "Traceback" not in output + errors, output + errors
    assert f"The job {job} goes on; wait for it again with python -m fer.cloud.extract resume={run}" in output
    assert provenance_of(run)["status"] == "interrupted"
    aws.client("sagemaker").stop_processing_job(ProcessingJobName=job)
    succeeded(place.run(*EXTRACT, f"resume={run}"))
    # The stopped job had extracted all that there was.
    assert state_of(run)["jobs"] == [job]
    saved = yaml.safe_load((run / "run.yaml").read_text())
    assert (saved["extraction"]["stages"], saved["inference"]["route"]) == (["extract"], "process")
    assert provenance_of(run)["command"][:2] == ["-m", "fer.cloud.extract"]


@pytest.fixture(scope="module")
def study(aws: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a drawn study of four respondents, whose eight recordings are in S3; one has not consented."""
    path = write_study(tmp_path_factory.mktemp("panel"), count=4, seconds=12.0, size=96, fps=2)
    content = yaml.safe_load(path.read_text())
    # Mixed models need another package.
    content["contrasts"] = [contrast for contrast in content["contrasts"] if contrast["kind"] != "mixed"]
    for recording in content["recordings"]:
        local = path.parent / recording["file"]
        aws.client("s3").upload_file(str(local), VIDEOS, f"panel/{local.name}")
        local.unlink()
        recording["file"] = f"s3://{VIDEOS}/panel/{local.name}"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_study_is_extracted_there_and_analysed_here_and_those_without_consent_stay_where_they_are(
    aws: Simulated, place: Place, study: Path
) -> None:
    local, cloud = place.directory / "local-study", place.directory / "cloud-study"
    given = (f"extraction.study={study}", "extraction=haar", "extraction.fps=1", "trainer.threads=1")
    succeeded(place.infer(*given, f"hydra.run.dir={local}"))
    before = stored(aws)
    aws.fault("job_killed")
    machines = (*SAGEMAKER, "aws.processing.instance_count=2", "aws.keep=all")
    failed = place.run(*EXTRACT, *machines, *given, f"hydra.run.dir={cloud}")
    assert failed.returncode == 1 and "Traceback" not in failed.stderr, failed.stdout + failed.stderr
    # The run has its own copy.
    study.unlink()
    succeeded(place.run(*EXTRACT, f"resume={cloud}"))
    consenting = [f"r0{number}_spot_{spot}.mp4" for number in (1, 2, 3) for spot in "ab"]
    jobs = state_of(cloud)["jobs"]
    assert manifest(aws, jobs[0]) == consenting and set(manifest(aws, jobs[1])) < set(consenting)
    sent = {key: content for key, content in stored(aws).items() if key not in before}
    tasks = [json.loads(content) for key, content in sent.items() if key.endswith("/task.json")]
    assert [task["extraction"]["study"] for task in tasks] == [None, None]
    # Neither who the people are, nor what is asked, nor anything of those without consent.
    told = b"".join(content for key, content in sent.items() if key.endswith(".json"))
    assert consenting[0].encode() in told
    for private in (b"r04", b"loyal", b"customer", b"consent", b"contrast", b"study.yaml", b"Two drawn spots"):
        assert private not in told, private
    succeeded(place.infer(f"resume={cloud}", "extraction.stages=[predict,report]"))
    assert tables_are_the_same(local, cloud) and (cloud / "study.html").is_file()
    for name in ("study.yaml", *(f"study/{path.name}" for path in (local / "study").iterdir())):
        assert (cloud / name).read_bytes() == (local / name).read_bytes(), name
    told_of = provenance_of(cloud)["study"]
    assert told_of == provenance_of(local)["study"]
    assert told_of["excluded"] == {"recordings": 2, "respondents": 1}


def stored(aws: Simulated) -> dict[str, bytes]:
    """All objects of the bucket of jobs."""
    s3 = aws.client("s3")
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]
    return {key: s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


def test_a_dry_run_names_every_request_and_reaches_nothing(tmp_path: Path) -> None:
    place = without_aws(tmp_path)
    yunet = ("extraction=yunet", "aws.processing.instance_count=3")
    requests = json.loads(succeeded(place.run(*EXTRACT, *SAGEMAKER, *INPUT, *yunet, "dry_run=true")).stdout)
    asked = [request["operation"] for request in requests]
    assert asked.count("get_object") == 3 and "get_public_access_block" in asked
    [job] = [request["parameters"] for request in requests if request["operation"] == "create_processing_job"]
    assert job["ProcessingResources"]["ClusterConfig"]["InstanceCount"] == 3
    [videos] = [one["S3Input"] for one in job["ProcessingInputs"] if one["InputName"] == "videos"]
    assert videos["S3DataDistributionType"] == "ShardedByS3Key"
    uploads = [request["parameters"]["Key"] for request in requests if request["operation"] == "put_object"]
    assert {key.rpartition("/")[2] for key in uploads[1:]} == {"task.json", "detector.onnx", "code.tar.gz"}
    assert not [path for path in tmp_path.glob("outputs/**/*") if path.is_file()]
