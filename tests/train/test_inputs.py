"""Data sets and weights that lie elsewhere than where run.yaml says: in a container, and in S3."""

import json
from pathlib import Path

import pytest

from fer.config import Config
from fer.config.compose import load_overrides
from fer.core.path_map import PATHS_ENV
from fer.errors import ConfigError, DataError
from fer.train.inputs import localize, read_sources
from tests.helpers.aws_simulator.simulator import Simulated
from tests.helpers.programs import face, png
from tests.helpers.registering import BUCKET, put


def of_folder(root: str) -> Config:
    return load_overrides(["dataset=folder", f"dataset.sources.folder.root={root}", "dataset.split=stratified"])


def test_a_path_keeps_its_name_where_it_lies_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "anger").mkdir()
    (tmp_path / "anger" / "1.png").write_bytes(png(face(1)))
    monkeypatch.setenv(PATHS_ENV, json.dumps({"/home/me/faces": str(tmp_path), "/home/me/gone": str(tmp_path / "x")}))
    config = of_folder("/home/me/faces")
    assert config.dump()["dataset"]["sources"]["folder"]["root"] == "/home/me/faces"
    assert list(read_sources(config)[0].table["path"]) == ["anger/1.png"]
    with pytest.raises(ConfigError, match="no such file or directory"):
        of_folder("/home/me/gone")


def test_what_is_in_s3_is_fetched_once(
    aws: Simulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    caplog.set_level("INFO")
    aws.client("s3").create_bucket(Bucket=BUCKET)
    put(aws, {"faces/anger/1.png": png(face(1)), "faces/": b"", "faces-old/fear/2.png": png(face(2)), "w.pth": b"1"})
    config = of_folder(f"s3://{BUCKET}/faces")
    for _ in range(2):
        assert list(read_sources(config)[0].table["path"]) == ["anger/1.png"]
    assert aws.calls()["s3:GetObject"] == 1
    assert [line for line in caplog.messages if line.startswith("Fetching s3://")] and len(caplog.messages) == 1
    put(aws, {"faces/fear/3.png": png(face(3))})
    assert list(read_sources(config)[0].table["path"]) == ["anger/1.png", "fear/3.png"]
    assert Path(localize(f"s3://{BUCKET}/w.pth", config)).read_bytes() == b"1"
    caplog.clear()
    put(aws, {"faces/.cache/4.png": b"1", "faces/fear/Thumbs.db": b"1"})
    assert list(read_sources(config)[0].table["path"]) == ["anger/1.png", "fear/3.png"]
    assert caplog.messages == [
        f"s3://{BUCKET}/faces: 2 objects are hidden: not used: .cache/4.png, fear/Thumbs.db",
    ]
    with pytest.raises(DataError, match="there is no such object or folder in S3"):
        localize(f"s3://{BUCKET}/face", config)
    with pytest.raises(ConfigError, match="must have the form s3://BUCKET/KEY"):
        of_folder("s3://bucket")
