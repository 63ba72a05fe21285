"""Where an address of Google's is understood, and where another service's is refused."""

from pathlib import Path

import pytest

from fer.cloud.extraction import validate_and_connect
from fer.cloud.job_spec import parse_job_spec, validate_job_spec
from fer.config.compose import load_overrides
from fer.core.object_uri import SERVICES, map_uri_to_path, split_object_uri
from fer.errors import ConfigError, DataError, ModelError
from fer.infer.inputs import MediaFetcher, list_inputs, load_media, resolve_media, save_media
from fer.registry.resolve import check_model_is_there, pin_model_uri
from fer.storage.google import GoogleError
from fer.storage.stores import STORES, ObjectStores
from fer.train.inputs import localize, read_sources
from tests.helpers.google_storage import GoogleStorage
from tests.helpers.programs import face, png

SAGEMAKER = (
    *("aws=sagemaker", "aws.bucket=faces", "aws.role=arn:aws:iam::123456789012:role/x", "aws.image=i"),
    *("aws.processing.image=i", "aws.training.image=i", "aws.region=eu-central-1"),
)


def test_every_scheme_has_a_store() -> None:
    assert STORES.keys() == SERVICES.keys()
    assert split_object_uri("gs://faces/a/b") == ("faces", "a/b")
    with pytest.raises(ModelError, match="^gs://: names no bucket; it must have the form gs://BUCKET/KEY$"):
        split_object_uri("gs://")
    assert map_uri_to_path("s3://faces/a/../b") == Path("faces/a/%../b")
    assert map_uri_to_path("gs://faces/a/../b") == Path("gs/faces/a/%../b")


def test_a_data_set_is_fetched_once(
    google: GoogleStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    google.put("faces", {"study/anger/1.png": png(face(1)), "study/": b"", "study2/fear/2.png": b"", "w.pth": b"1"})
    config = load_overrides(
        ["dataset=folder", "dataset.sources.folder.root=gs://faces/study", "dataset.split=stratified"]
    )
    for _ in range(2):
        assert list(read_sources(config)[0].table["path"]) == ["anger/1.png"]
    assert google.calls["get"] == 1
    google.put("faces", {"study/anger/1.png": png(face(2)), "study/fear/3.png": png(face(3))})
    assert list(read_sources(config)[0].table["path"]) == ["anger/1.png", "fear/3.png"]
    assert Path(localize("gs://faces/w.pth", config)).read_bytes() == b"1"
    with pytest.raises(DataError, match="^gs://faces/x: there is no such object or folder in Google Cloud Storage$"):
        localize("gs://faces/x", config)


def test_half_a_data_set_is_none(google: GoogleStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    google.put("faces", {f"study/anger/{number}.png": png(face(number)) for number in range(4)})
    config = load_overrides(
        ["dataset=folder", "dataset.sources.folder.root=gs://faces/study", "dataset.split=stratified"]
    )
    google.fault("wrong", "get", times=1000)
    with pytest.raises(GoogleError, match="arrived 3 times otherwise"):
        read_sources(config)
    google.faults.clear()
    assert not list(tmp_path.rglob("*.png")) and not list(Path(config.dataset.cache_dir).glob("gs/*"))
    assert len(read_sources(config)[0].table) == 4


def test_clips_are_fetched_in_their_turn(google: GoogleStorage, tmp_path: Path) -> None:
    google.put("faces", {"clips/a.mp4": b"a", "clips/deep/a.mp4": b"deep", "clips/notes.txt": b""})
    run = tmp_path / "run"
    media = resolve_media(["gs://faces/clips"], run, ObjectStores())
    assert [item.remote for item in media] == ["gs://faces/clips/a.mp4", "gs://faces/clips/deep/a.mp4"]
    save_media(media, run)
    assert load_media(run) == media
    fetcher = MediaFetcher(None, keep=False)
    for item, content in zip(media, (b"a", b"deep"), strict=True):
        assert item.path.is_relative_to(run / "fetched" / "gs" / "faces")
        with fetcher(item):
            assert item.path.read_bytes() == content
        assert not item.path.exists()
    with pytest.raises(DataError, match="^gs://faces/none/: no video or image there$"):
        resolve_media(["gs://faces/none/"], run, ObjectStores())


def test_what_sagemaker_alone_reads_is_in_s3() -> None:
    config = load_overrides([*SAGEMAKER, "extraction.input=gs://faces/clips"], "infer")
    with pytest.raises(ConfigError, match="^extraction.input=gs://faces/clips: SageMaker extracts from videos in one"):
        validate_and_connect(config, list_inputs(config), dry_run=True)
    spec = parse_job_spec(None, [*SAGEMAKER, "dataset=folder", "dataset.sources.folder.root=gs://faces/study"])
    with pytest.raises(
        ConfigError,
        match=r"^dataset.sources.folder.root=gs://faces/study: a training job reads .* or in S3; copy it",
    ):
        validate_job_spec(spec)


def test_azure_is_refused_with_the_remedy(tmp_path: Path) -> None:
    remedy = r"Azure's storage is not read; copy it to this machine \(azcopy copy\), or into s3:// or gs://"
    with pytest.raises(ConfigError, match=remedy):
        load_overrides(["dataset=folder", "dataset.sources.folder.root=az://faces/x", "dataset.split=stratified"])
    with pytest.raises(ConfigError, match=f"^abfss://faces@a/x: {remedy}$"):
        resolve_media(["abfss://faces@a/x"], tmp_path, ObjectStores())
    with pytest.raises(ConfigError, match=f"^az://faces/model.tar.gz: {remedy}$"):
        check_model_is_there(load_overrides(["model_uri=az://faces/model.tar.gz"], "infer"))


def test_a_model_in_a_bucket_is_pinned_as_it_is() -> None:
    config = load_overrides(["model_uri=gs://faces/model.tar.gz"], "infer")
    assert pin_model_uri(config).model_uri == "gs://faces/model.tar.gz"
    check_model_is_there(config)
