"""The steps of pipelines as their processing jobs run them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from fer.cloud import pipeline_container
from fer.config import Config
from fer.config.compose import load_overrides
from fer.core.archive import CHECKSUMS, compute_checksums, write_archive
from fer.core.io import write_text
from fer.errors import DataError
from fer.infer.transform.local import LocalBatchTransform
from fer.infer.transform.shards import CONTENT_TYPES, Request
from fer.registry.factory import open_registry
from fer.registry.package import open_package
from fer.runs.run_directory import write_config
from fer.synthetic.video import write_clip
from tests.helpers.aws_simulator.simulator import Simulated
from tests.helpers.networks import one_thread
from tests.helpers.registry_runs import small_run
from tests.helpers.transforming import local_settings

pytestmark = pytest.mark.slow

BUCKET = "faces-of-tests"
PLACE = ("aws=sagemaker", f"aws.bucket={BUCKET}", "aws.role=arn:aws:iam::123456789012:role/fer")
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/fer:1"


def write_task(directory: Path, config: Config, program: str) -> None:
    (directory / "input" / "task").mkdir(parents=True)
    write_config(directory / "input" / "task", config, program)


def test_videos_become_shards_and_answers_become_tables(
    aws: Simulated, small_package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    changes = ("extraction=haar", "extraction.fps=2", "trainer.threads=1", "inference.monitor.max_failures=0")
    config = load_overrides([*PLACE, "aws.transform.shard_mb=0.1", *changes], "infer")
    first, second = tmp_path / "extract", tmp_path / "monitor"
    for directory in (first, second):
        write_task(directory, config, "infer.py")
        write_clip(directory / "input" / "videos", seconds=3)
    assert pipeline_container.extract(first) == 0
    shards = sorted((first / "output" / "shards").iterdir())
    assert len(shards) > 1 and all(path.suffix == ".tar" for path in shards)
    assert yaml.safe_load((first / "output" / "run" / "run.yaml").read_text())["extraction"]["stages"] == ["extract"]
    # The transform job, by the packaged model.
    package = open_package(small_package, tmp_path / "package")
    batch = LocalBatchTransform(package, local_settings(), 1, False, tmp_path / "server.log")
    batch.send([Request(path, ("",)) for path in shards], CONTENT_TYPES["shard"])
    inputs = second / "input"
    for folder in ("shards", "answers", "model"):
        (inputs / folder).mkdir()
    (first / "output" / "run").rename(inputs / "run")
    for path in shards:
        path.rename(inputs / "shards" / path.name)
        path.with_name(f"{path.name}.out").rename(inputs / "answers" / f"{path.name}.out")
    (inputs / "model" / "model.tar.gz").write_bytes(small_package.read_bytes())
    assert pipeline_container.monitor(second) == 0
    run = second / "output" / "run"
    table = pd.read_parquet(run / "predictions.parquet")
    assert (table["status"] == "ok").sum() > 3
    assert (run / "report.html").is_file()
    result = json.loads((second / "output" / "result" / "result.json").read_text())
    # Where a frame has no face, that is beyond the limit.
    assert result["exit_code"] == (4 if result["warnings"] else 0)
    assert not list((run / "shards").glob("*.tar*"))
    assert aws.calls()["cloudwatch:PutMetricData"] == 1


def test_nothing_usable_fails_the_step(tmp_path: Path) -> None:
    write_task(tmp_path, load_overrides([*PLACE, "extraction=haar", "trainer.threads=1"], "infer"), "infer.py")
    (tmp_path / "input" / "videos").mkdir()
    (tmp_path / "input" / "videos" / "broken.mp4").write_bytes(b"no video")
    assert pipeline_container.extract(tmp_path) == 1


@pytest.fixture
def trained(tmp_path: Path) -> Callable[..., Path]:
    """The directory of a step that has the archive of a run, in which nine of ten are right."""
    with one_thread():
        run = small_run(tmp_path / "run", np.arange(140) % 10 != 0)
    write_text(run / CHECKSUMS, compute_checksums(run))

    def lay_out(name: str, *overrides: str) -> Path:
        lenient = ("registry.gate.max_calibration_error=0.5", f"aws.image={IMAGE}", *overrides)
        write_task(tmp_path / name, load_overrides([*PLACE, *lenient], "register"), "register.py")
        archive = tmp_path / name / "input" / "archive" / "model.tar.gz"
        archive.parent.mkdir(parents=True)
        write_archive(run, archive)
        return tmp_path / name

    return lay_out


@pytest.mark.parametrize(("least", "status"), [(0.5, "Approved"), (0.95, "Rejected")])
def test_a_trained_model_is_put_through_the_gate(least: float, status: str, trained: Callable[..., Path]) -> None:
    directory = trained("evaluate", f"registry.gate.min_accuracy={least}")
    assert pipeline_container.evaluate(directory) == 0
    result = json.loads((directory / "output" / "result" / "result.json").read_text())
    assert (result["status"], result["figures"]["accuracy"]) == (status, 0.9)


def test_a_trained_model_is_registered(
    aws: Simulated, trained: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    aws.client("s3").create_bucket(Bucket=BUCKET)
    directory = trained("register")
    assert pipeline_container.register(directory) == 0
    config = load_overrides([*PLACE, f"aws.image={IMAGE}"], "register")
    version = open_registry(config).find(config.registry.name, "champion")
    assert (version.version, version.status) == (1, "Approved")
    assert version.package.startswith(f"s3://{BUCKET}/fer/models/")


def test_a_damaged_archive_is_a_sentence(trained: Callable[..., Path]) -> None:
    directory = trained("evaluate")
    archive = directory / "input" / "archive" / "model.tar.gz"
    archive.write_bytes(archive.read_bytes()[:1000])
    with pytest.raises(DataError):
        pipeline_container.evaluate(directory)
