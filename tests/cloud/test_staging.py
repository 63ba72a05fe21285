"""What a job is given: code of a commit, each input once, and requests as SageMaker's SDK makes them."""

import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from fer.aws.client import AwsClient
from fer.cloud.source_archive import ARCHIVE, pack_source
from fer.cloud.staging import InputChannel, Staging
from fer.cloud.training_job import TrainingJob, build_training_request
from fer.errors import DataError, UserError
from tests.helpers.aws_simulator.simulator import Simulated
from tests.helpers.registering import BUCKET, put
from tests.helpers.transforming import cloud_settings

ALLOWING = "aws.training.allow_changes=true"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of a small project."""
    project = tmp_path / "project"
    for name in ("train.py", "fer/a.py", "conf/config.yaml", "README.md"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(name)
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", str(project), *command], check=True)
    return project


def test_the_code_is_that_of_a_commit(checkout: Path, tmp_path: Path) -> None:
    places = [tmp_path / "one", tmp_path / "two"]
    for place in places:
        place.mkdir()
    first = pack_source(checkout, places[0], False, ALLOWING)
    with tarfile.open(first.archive) as archive:
        assert archive.getnames() == ["conf/config.yaml", "fer/a.py", "train.py"]
    # What training does not need may differ.
    (checkout / "README.md").write_text("changed")
    assert pack_source(checkout, places[1], False, ALLOWING).archive.read_bytes() == (places[0] / ARCHIVE).read_bytes()
    assert (len(first.commit), first.diff_sha256) == (40, None)
    (checkout / "fer" / "new.py").write_text("new")
    (checkout / "train.py").write_text("changed")
    with pytest.raises(UserError, match=rf"^(train|fer/new)\.py and 1 more: .* commit, or add {ALLOWING}$"):
        pack_source(checkout, places[1], False, ALLOWING)
    changed = pack_source(checkout, places[1], True, ALLOWING)
    with tarfile.open(changed.archive) as archive:
        assert "fer/new.py" in archive.getnames()
    assert changed.diff_sha256 is not None
    with pytest.raises(UserError, match="its code cannot be packed for a job"):
        pack_source(tmp_path, places[0], True, ALLOWING)


def test_an_installed_package_has_no_code_of_a_commit(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor has the repository that its environment may lie in."""
    monkeypatch.setattr("fer.cloud.source_archive.INSTALLED", True)
    with pytest.raises(UserError, match=r"^the code of a job is packed from a git checkout of fer-experiments"):
        pack_source(checkout, tmp_path, True, ALLOWING)


def test_an_input_is_uploaded_once(aws: Simulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    aws.client("s3").create_bucket(Bucket=BUCKET)
    staging = Staging(AwsClient(), BUCKET, "fer", None)
    root = tmp_path / "faces"
    for name in ("a/1.png", "b/2.png"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_bytes(name.encode())
    first = staging.upload_once(root, "input_0")
    assert (first.container_path, first.uri.startswith(f"s3://{BUCKET}/fer/inputs/")) == (
        "/opt/ml/input/data/input_0",
        True,
    )
    assert aws.calls()["s3:PutObject"] == 2
    # The same content elsewhere is the same; of what broke off only the rest is sent.
    assert staging.upload_once(root.rename(tmp_path / "moved"), "input_1").uri == first.uri
    assert aws.calls()["s3:PutObject"] == 2
    key = first.uri.removeprefix(f"s3://{BUCKET}/") + "b/2.png"
    aws.client("s3").delete_object(Bucket=BUCKET, Key=key)
    staging.upload_once(tmp_path / "moved", "input_0")
    assert aws.calls()["s3:PutObject"] == 3
    (tmp_path / "moved" / "a" / "1.png").write_bytes(b"changed")
    assert staging.upload_once(tmp_path / "moved", "input_0").uri != first.uri
    file = staging.upload_once(tmp_path / "moved" / "b" / "2.png", "input_2")
    assert (file.container_path, file.object_uri) == ("/opt/ml/input/data/input_2/2.png", f"{file.uri}2.png")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="nothing: is empty"):
        staging.upload_once(tmp_path / "nothing", "input_0")


def test_what_stands_in_s3_is_used_as_it_is(aws: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    aws.client("s3").create_bucket(Bucket=BUCKET)
    put(aws, {"faces.zip": b"1", "faces.zip.old": b"2", "faces/a/1.png": b"3", "faces-old/a/1.png": b"4"})
    staging = Staging(AwsClient(), BUCKET, "fer", None)
    data = "/opt/ml/input/data/x"
    archive = f"s3://{BUCKET}/faces.zip"
    assert staging.resolve_uri(archive, "x") == InputChannel("x", archive, f"{data}/faces.zip")
    assert staging.resolve_uri(f"s3://{BUCKET}/faces", "x") == InputChannel("x", f"s3://{BUCKET}/faces/", data)
    with pytest.raises(DataError, match="there is no such object or folder in S3"):
        staging.resolve_uri(f"s3://{BUCKET}/face", "x")


# The SDK's own files have many.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_aws_own_image_installs_the_locked_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: dict[str, bytes] = {}

    class Kept(Staging):
        def put(self, path: Path, key: str) -> str:
            sent[key] = path.read_bytes()
            return self.build_uri(key)

    settings = cloud_settings()
    training: dict[str, Any] = {"image": "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.14"}
    training |= {"install": True, "instance_type": "ml.m5.xlarge", "instance_count": 2}
    settings = settings.model_copy(update={"training": settings.training.model_copy(update=training)})
    calls = AwsClient("us-east-1", dry_run=True)
    staging = Kept(calls, BUCKET, "fer/jobs/x", None)
    code = InputChannel("code", f"s3://{BUCKET}/fer/inputs/1/", f"/opt/ml/input/data/code/{ARCHIVE}")
    job = TrainingJob(code, "exec python3 -m x", inputs=[], metrics={"a": "b ([0-9])"}, network=True, tags={})
    request = build_training_request(calls, settings, staging, job)
    script = sent["drivers/sm_drivers/sm_train.sh"].decode()
    install, run = (script.index(text) for text in ("install_requirements.py requirements.lock", "exec python3 -m x"))
    assert script.index(f"tar -xzf {ARCHIVE}") < install < run
    assert json.loads(sent["drivers/sm_drivers/sourcecode.json"])["requirements"] == "requirements.lock"
    assert request["AlgorithmSpecification"]["TrainingImage"] == training["image"]
    assert not request["EnableNetworkIsolation"] and "CheckpointConfig" not in request
    assert request["ResourceConfig"] == {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 50}
    assert request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] == code.object_uri
