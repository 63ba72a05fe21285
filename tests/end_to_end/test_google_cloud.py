"""Data, model, clip and results in Google Cloud Storage: the programs against a server of its API."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.google_storage import Bucket, GoogleStorage, google_storage
from tests.helpers.paths import PROJECT
from tests.helpers.programs import FAST_ANY_DATA, INFER, Program, provenance_of

REGISTER = str(PROJECT / "register.py")
EASY = ("registry.gate.min_accuracy=0", "registry.gate.min_macro_f1=0", "registry.gate.max_calibration_error=1")


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleStorage]:
    with google_storage() as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.address)
        yield server


def test_the_whole_way_through_buckets(
    google: GoogleStorage, train: Program, program: Program, ferplus_like: Path, clip: Path, tmp_path: Path
) -> None:
    google.put("faces", {"data/ferplus.zip": ferplus_like.read_bytes(), "clips/clip.mp4": clip.read_bytes()})
    google.buckets["results"] = Bucket()
    # Each once, so that every program meets some.
    for fault in ("half", 503, "wrong"):
        google.fault(fault, "get")
    google.fault(429, "insert")

    data = ("dataset=ferplus", "dataset.sources.ferplus.root=gs://faces/data/ferplus.zip")
    short = ("dataset.split=stratified", "dataset.batch_size=32", "trainer.max_epochs=1")
    trained = tmp_path / "trained"
    done = train(*data, *short, *FAST_ANY_DATA[1:], f"hydra.run.dir={trained}")
    assert done.returncode == 0, done.stderr

    storing = (f"registry.store={tmp_path / 'registry'}", "registry.upload=gs://results/models")
    done = program(REGISTER, f"model_uri={trained}", *EASY, *storing, f"hydra.run.dir={tmp_path / 'registered'}")
    assert done.returncode == 0, done.stderr
    (model,) = re.findall(r"Uploaded: (gs://results/models/fer-mobilenetv2/[0-9a-f]{16}/model.tar.gz)", done.stdout)
    assert provenance_of(tmp_path / "registered")["package"] == model
    package = (tmp_path / "registered" / "model.tar.gz").read_bytes()
    assert google.read("results", model.removeprefix("gs://results/")) == package

    run = tmp_path / "run"
    asked = (f"model_uri={model}", "extraction.input=gs://faces/clips/", "extraction.upload=gs://results/out/one/")
    done = program(INFER, *asked, "trainer.threads=1", f"hydra.run.dir={run}")
    assert done.returncode == 0, done.stderr
    uploaded = {key for key in google.buckets["results"].objects if key.startswith("out/")}
    assert {f"out/one/{name}" for name in ("predictions.csv", "videos.parquet", "report.html", "run.yaml")} < uploaded
    assert all(google.read("results", key) == (run / key.removeprefix("out/one/")).read_bytes() for key in uploaded)
    assert provenance_of(run)["status"] == "finished"
    assert not list(run.glob("fetched/**/*.mp4"))

    again = program(INFER, *asked, f"hydra.run.dir={tmp_path / 'other'}")
    assert (again.returncode, again.stderr) == (
        2,
        "infer.py: extraction.upload=gs://results/out/one: holds objects already; name another folder\n",
    )
    assert not (tmp_path / "other").exists()
    assert all(fault.times == 0 for fault in google.faults)
