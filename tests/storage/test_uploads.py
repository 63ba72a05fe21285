"""Results of runs and packages of versions in a folder of a bucket."""

from pathlib import Path
from unittest.mock import Mock

import pytest

from fer.config.compose import load_overrides
from fer.errors import ConfigError, UserError
from fer.infer.upload import check_upload, list_results, upload_results
from fer.registry.base import ModelRegistry
from fer.registry.upload import upload_package
from fer.storage.google import GoogleError
from tests.helpers.google_storage import Bucket, GoogleStorage

FOLDER = "gs://results/out/one"
RESULTS = ["predictions.csv", "provenance.json", "report.html", "study/curves.csv"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for name in (*RESULTS, "infer.log", ".lock", "parts/media.json", "crops/00000/1.png", "study/.hidden"):
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).write_text(name)
    return tmp_path / "run"


def test_tables_and_pages_go_and_pictures_stay(google: GoogleStorage, run: Path) -> None:
    google.buckets["results"] = Bucket()
    config = load_overrides([f"extraction.upload={FOLDER}"], "infer")
    check_upload(config, is_new=True)
    upload_results(config, run)
    stored = google.buckets["results"].objects
    assert sorted(stored) == sorted(f"out/one/{name}" for name in RESULTS)
    # Whoever sees it sees them all.
    assert max(stored, key=lambda key: stored[key][1]) == "out/one/provenance.json"
    assert list(list_results(run)) == RESULTS
    check_upload(config, is_new=False)
    with pytest.raises(UserError, match=f"^extraction.upload={FOLDER}: holds objects already; name another folder$"):
        check_upload(config, is_new=True)
    # What only begins so is another folder.
    check_upload(load_overrides(["extraction.upload=gs://results/out/on"], "infer"), is_new=True)


def test_an_upload_that_fails_says_how_to_go_on(google: GoogleStorage, run: Path) -> None:
    google.buckets["results"] = Bucket()
    google.fault(403, "insert", times=1000)
    with pytest.raises(UserError, match=rf"^writing {FOLDER}/.*injected 403.*; the results are in .*infer.py resume="):
        upload_results(load_overrides([f"extraction.upload={FOLDER}"], "infer"), run)
    assert not google.buckets["results"].objects


def test_a_public_bucket_gets_nothing(google: GoogleStorage) -> None:
    google.buckets["results"] = Bucket(members=["allUsers"])
    with pytest.raises(GoogleError, match=f"^extraction.upload={FOLDER}: the bucket is open to everybody"):
        check_upload(load_overrides([f"extraction.upload={FOLDER}"], "infer"), is_new=True)


@pytest.mark.parametrize("status", ["Approved", "PendingManualApproval", "Rejected"])
def test_a_package_goes_unless_its_version_is_rejected(google: GoogleStorage, run: Path, status: str) -> None:
    google.buckets["results"] = Bucket()
    version, registry = Mock(status=status, sha256="0123456789abcdef" * 4), Mock(spec=ModelRegistry)
    version.name = "fer-mine"

    def fetch(_: object, folder: Path) -> Path:
        for name in ("model.tar.gz", "model_card.md", "test.parquet"):
            (folder / name).write_text(name)
        return folder / "model.tar.gz"

    registry.fetch.side_effect = fetch
    uri = upload_package(load_overrides(["registry.upload=gs://results/models"], "register"), registry, version)
    folder = "models/fer-mine/0123456789abcdef"
    went = [] if status == "Rejected" else [f"{folder}/model_card.md", f"{folder}/model.tar.gz"]
    assert (list(google.buckets["results"].objects), uri) == (went, f"gs://results/{went[1]}" if went else None)


@pytest.mark.parametrize("value", ["gs://results", "gs:///x", "out/", "gs://results/", "http://results/x"])
def test_only_a_folder_of_a_bucket_is_one(value: str) -> None:
    with pytest.raises(ConfigError, match="must be a folder in a bucket: s3://BUCKET/FOLDER or gs://BUCKET/FOLDER"):
        load_overrides([f"extraction.upload='{value}'"], "infer")
