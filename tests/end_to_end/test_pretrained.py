"""The shipped model and the newest training by their names, in every program that takes a model."""

import shutil
from pathlib import Path

import yaml

from fer.bundle.locate import PRETRAINED_DIR, pin_pretrained
from fer.bundle.metadata import read_description
from tests.helpers.paths import PROJECT
from tests.helpers.programs import FAST, INFER, metrics_of, provenance_of, run, table_of

LENIENT = ("registry.gate.min_accuracy=0", "registry.gate.min_macro_f1=0", "registry.gate.max_calibration_error=1")


def test_infer_takes_it_by_default_and_says_so(clip: Path, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    done = run(INFER, f"extraction.input={clip}", "trainer.threads=1", f"hydra.run.dir={directory}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"Model: the one that comes with the program ({pin_pretrained()})\n" in done.stdout
    assert provenance_of(directory)["model"]["uri"] == pin_pretrained()
    assert yaml.safe_load((directory / "run.yaml").read_text())["model_uri"] == pin_pretrained()
    assert "Classified by the model that comes with the program" in (directory / "report.html").read_text()
    assert (table_of(directory)["status"] == "ok").any()
    # A run that is resumed has the same model; once that is another one, it is refused.
    smoothed = run(INFER, f"resume={directory}", "extraction.smoothing.kind=none", cwd=tmp_path)
    assert smoothed.returncode == 0, smoothed.stderr
    text = (directory / "run.yaml").read_text()
    other = f"pretrained@sha256:{'0' * 64}"
    (directory / "run.yaml").write_text(text.replace(pin_pretrained(), other))
    refused = run(INFER, f"resume={directory}", cwd=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"infer.py: model_uri={other}: the shipped model has changed since (SHA-256")
    assert refused.stderr.count("\n") == 1


def test_it_is_registered_and_used_from_the_registry(clip: Path, tmp_path: Path) -> None:
    store = f"registry.store={tmp_path / 'registry'}"
    done = run(str(PROJECT / "register.py"), "model_uri=pretrained", store, *LENIENT, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Registered models:/fer-mobilenetv2/1" in done.stdout and "its answers as in the run" in done.stdout
    directory = tmp_path / "run"
    options = ("model_uri=models:/fer-mobilenetv2/1", "trainer.threads=1", "inference.route=transform", store)
    done = run(INFER, f"extraction.input={clip}", *options, f"hydra.run.dir={directory}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (table_of(directory)["status"] == "ok").any()
    assert not (PRETRAINED_DIR / "onnx").exists()


def test_it_is_evaluated_on_other_data(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    stage = ("trainer.stages=[test]", "model_uri=pretrained", f"hydra.run.dir={directory}")
    data = [override for override in FAST if not override.startswith("model.")]
    done = run(str(PROJECT / "train.py"), *data, *stage, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert metrics_of(directory)["weights_sha256"] == read_description("pretrained").weights_sha256
    assert yaml.safe_load((directory / "run.yaml").read_text())["model_uri"] == pin_pretrained()


def test_latest_is_the_newest_training(finished: Path, clip: Path, tmp_path: Path) -> None:
    newest = tmp_path / "outputs" / "train" / "2026-01-02" / "03-04-05-newest"
    shutil.copytree(finished, newest)
    directory = tmp_path / "run"
    options = ("model_uri=latest", "trainer.threads=1", f"hydra.run.dir={directory}")
    done = run(INFER, f"extraction.input={clip}", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert provenance_of(directory)["model"]["uri"] == str(newest)
    assert "comes with the program" not in done.stdout
