"""Several models of `model_uri`: pinned, fetched, weighed by what their runs predicted, packaged and registered."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer.bundle.metadata import read_description
from fer.bundle.predictor import Predictor
from fer.bundle.verification import load_verified_predictor
from fer.config import Config
from fer.config.compose import load_overrides
from fer.core.archive import CHECKSUMS, compute_checksums, write_archive
from fer.emotions import EMOTIONS
from fer.errors import ConfigError, ModelError, UserError
from fer.metrics.calibration import fit_temperature
from fer.metrics.mixture import fit_mixture_weights
from fer.metrics.scores import compute_log_loss
from fer.metrics.uncertainty import fit_confidence_rule
from fer.registry.base import Candidate
from fer.registry.factory import open_registry
from fer.registry.gate import APPROVED, Verdict
from fer.registry.package import build_package, open_package
from fer.registry.pipeline import run_action
from fer.registry.resolve import check_model_is_there, ensure_package, fetch_model, pin_model_uri
from fer.registry.run_artifacts import read_run_artifacts
from fer.registry.sagemaker_model_card import build_card_content
from fer.registry.verify_package import check_package
from tests.helpers.candidates import NAME
from tests.helpers.members import draw_answers, save_answers, save_member
from tests.helpers.networks import faces, one_thread

pytestmark = pytest.mark.slow

COLUMNS = [f"p_{name}" for name in EMOTIONS]
PICTURES = list(faces(4, 48))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three runs whose predictions are of the same images; the first has learnt the most."""
    folder = tmp_path_factory.mktemp("runs")
    found = [save_member(folder / f"run-{mark}", mark) for mark in (1, 2, 3)]
    for seed, (run, skill) in enumerate(zip(found, (3.0, 2.0, 0.5), strict=True)):
        save_answers(run, draw_answers(210, skill, seed), draw_answers(280, skill, 10 + seed))
        # Exported once; ensembles take it along.
        Predictor.load(str(run), runtime="onnx", threads=1)
    return found


@pytest.fixture
def bare(runs: list[Path], tmp_path: Path) -> Path:
    """The first run's bundle, elsewhere and without its run."""
    return Path(shutil.copytree(runs[0] / "bundle", tmp_path / "bare"))


def configure(models: list[Path], *overrides: str) -> Config:
    return load_overrides([f"model_uri=[{','.join(map(str, models))}]", *overrides], "infer")


def read_answers(runs: list[Path], split: str) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (M, N, C) and labels, in the order of the sample ids."""
    tables = [pd.read_parquet(run / f"predictions_{split}.parquet").sort_values("sample_id") for run in runs]
    labels = tables[0]["label"].map(EMOTIONS.index).to_numpy()
    return np.stack([table[COLUMNS].to_numpy() for table in tables]), labels


def test_the_mean_is_calibrated_on_the_members_validation(runs: list[Path], tmp_path: Path) -> None:
    model = fetch_model(configure(runs), tmp_path)
    description = read_description(str(model.bundle))
    probabilities, labels = read_answers(runs, "val")
    mean = probabilities.mean(0)
    assert [member.weight for member in description.members] == pytest.approx([1 / 3] * 3)
    assert description.temperature == pytest.approx(fit_temperature(np.log(mean), labels), abs=1e-4)
    # The mean of models that err differently is not sure enough.
    assert description.temperature < 0.95
    calibrated = description.calibration.compute_probabilities(np.log(mean))
    assert compute_log_loss(calibrated, labels) < compute_log_loss(mean, labels)
    assert description.confidence_rule == fit_confidence_rule(calibrated, labels, 0.9)
    assert description.set_thresholds is not None and description.set_thresholds.samples == 210
    figures = description.content["metrics"]
    assert figures["val"]["accuracy"]["value"] == pytest.approx((mean.argmax(1) == labels).mean())
    answers = Predictor.load(str(model.bundle)).predict(PICTURES)
    alone = np.mean([Predictor.load(str(run)).predict(PICTURES) for run in runs], axis=0)
    assert (answers.argmax(1) == alone.argmax(1)).all()


def test_weights_by_validation_favour_the_better_models(runs: list[Path], tmp_path: Path) -> None:
    model = fetch_model(configure(runs, "ensemble.weights=validation"), tmp_path)
    weights = [member.weight for member in read_description(str(model.bundle)).members]
    assert weights == pytest.approx(fit_mixture_weights(*read_answers(runs, "val")).tolist(), abs=1e-6)
    assert weights[0] > weights[1] > weights[2]
    alone = [Predictor.load(str(run)).predict(PICTURES) for run in runs]
    description = read_description(str(model.bundle))
    expected = description.calibration.compute_probabilities(np.log(np.einsum("m,mnc->nc", weights, alone)))
    np.testing.assert_allclose(Predictor.load(str(model.bundle)).predict(PICTURES), expected, atol=1e-5)


def test_the_test_part_is_evaluated_by_the_members_predictions(runs: list[Path], tmp_path: Path) -> None:
    artifacts = read_run_artifacts(fetch_model(configure(runs), tmp_path).bundle)
    probabilities, labels = read_answers(runs, "test")
    assert artifacts.metrics["test"]["samples"] == 280
    right = probabilities.mean(0).argmax(1) == labels
    assert artifacts.metrics["test"]["accuracy"]["value"] == pytest.approx(right.mean())
    assert artifacts.table is not None and artifacts.table["content_hash"].str.startswith("hash-test").all()
    predicted = artifacts.table.sort_values("sample_id")[COLUMNS].to_numpy()
    np.testing.assert_array_equal(predicted.argmax(1), probabilities.mean(0).argmax(1))


def test_models_without_the_same_validation_have_equal_weights_and_no_calibration(
    runs: list[Path], bare: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        model = fetch_model(configure([bare, *runs[1:]]), tmp_path / "model")
    assert f"not calibrated: {bare} comes without the validation predictions of its training" in caplog.text
    description = read_description(str(model.bundle))
    assert (description.temperature, description.confidence_rule, description.set_thresholds) == (1.0, None, None)
    assert description.content["metrics"] == {"val": None, "test": None}


def test_weights_by_validation_need_the_same_validation_of_all(runs: list[Path], bare: Path, tmp_path: Path) -> None:
    by_validation = "ensemble.weights=validation"
    with pytest.raises(ModelError, match=rf"{by_validation}: {bare} comes without .*; name runs of train.py .*equal"):
        fetch_model(configure([bare, runs[1]], by_validation), tmp_path / "a")
    other = Path(shutil.copytree(runs[2], tmp_path / "other"))
    save_answers(other, draw_answers(203, 2.0, 5), None)
    with pytest.raises(
        ModelError, match=rf"the validation images of {other}, or their labels, are not those of {runs[0]}"
    ):
        fetch_model(configure([runs[0], other], by_validation), tmp_path / "b")
    # Files beside a bundle that are of other weights say nothing of it.
    (other / "metrics.json").write_text('{"weights_sha256": "0"}')
    with pytest.raises(ModelError, match=f"{other} comes without the validation predictions"):
        fetch_model(configure([runs[0], other], by_validation), tmp_path / "c")
    assert not list(tmp_path.glob("[abc]/**/bundle.yaml"))


def test_each_model_is_pinned_and_must_be_there(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs[0].parent)
    config = load_overrides(["model_uri=[run-1,./run-2,pretrained]"], "infer")
    one, other, shipped = pin_model_uri(config).list_model_uris()
    assert (one, other) == (str(runs[0]), str(runs[1]))
    assert shipped.startswith("pretrained@sha256:")
    check_model_is_there(config)
    with pytest.raises(UserError, match="model_uri=run-9: no such file or directory"):
        check_model_is_there(load_overrides(["model_uri=[run-1,run-9]"], "infer"))
    with pytest.raises(ConfigError, match="model_uri=models:/x: registered models are named"):
        pin_model_uri(load_overrides(["model_uri=[run-1,models:/x]"], "infer"))
    with pytest.raises(ModelError, match="run-1/bundle: is the same model as run-1; name each member once"):
        check_model_is_there(load_overrides(["model_uri=[run-1,run-1/bundle]"], "infer"))
    eight = save_member(tmp_path / "eight", 1, classes=(*EMOTIONS, "contempt"))
    with pytest.raises(ModelError, match="members of an ensemble have the same classes"):
        check_model_is_there(load_overrides([f"model_uri=[run-1,{eight}]"], "infer"))


def test_a_packaged_model_may_be_a_member(runs: list[Path], tmp_path: Path) -> None:
    with one_thread():
        build_package(runs[0] / "bundle", tmp_path / "model.tar.gz")
    model = fetch_model(configure([tmp_path / "model.tar.gz", runs[1]]), tmp_path / "model")
    expected = np.mean([Predictor.load(str(run)).predict(PICTURES) for run in runs[:2]], axis=0)
    np.testing.assert_allclose(Predictor.load(str(model.bundle)).predict(PICTURES), expected, atol=1e-6)


@pytest.fixture(scope="module")
def archive(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of the ensemble of two runs."""
    folder = tmp_path_factory.mktemp("archive")
    with one_thread():
        package = ensure_package(fetch_model(configure(runs[:2]), folder / "model"), folder)
    assert package.is_dir()
    return folder / "model.tar.gz"


def test_the_package_of_an_ensemble_is_complete_and_answers_in_a_fresh_process(
    runs: list[Path], archive: Path, tmp_path: Path
) -> None:
    root = open_package(archive, tmp_path / "package")
    for number in (0, 1):
        names = {path.name for path in (root / "bundle/members" / str(number)).rglob("*") if path.is_file()}
        assert names == {"bundle.yaml", "weights.safetensors", "model_card.md", "samples.npz", "network.onnx"}
    assert (root / "bundle/samples.npz").is_file() and (root / "bundle/model_card.md").is_file()
    assert check_package(archive) < 1e-4
    expected = Predictor.load(str(fetch_model(configure(runs[:2]), tmp_path / "model").bundle)).predict(PICTURES)
    served = load_verified_predictor(str(root), threads=1)
    np.testing.assert_allclose(served.predict(PICTURES), expected, atol=1e-5)
    # The same ensemble once more has the same bytes.
    with one_thread():
        again = build_package(
            fetch_model(configure(runs[:2]), tmp_path / "again").bundle_dir, tmp_path / "again.tar.gz"
        )
    assert (tmp_path / "again.tar.gz").read_bytes() == archive.read_bytes(), again


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bundle/members/10/bundle.yaml", "is no file of a model package"),
        ("bundle/members/0/members/0/bundle.yaml", "is no file of a model package"),
        ("bundle/members/0/code.py", "is no file of a model package"),
        ("bundle/members/x/bundle.yaml", "is no file of a model package"),
    ],
)
def test_a_package_with_other_files_among_the_members_is_refused(
    name: str, said: str, archive: Path, tmp_path: Path
) -> None:
    root = open_package(archive, tmp_path / "root")
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("format: 1")
    (root / CHECKSUMS).write_text(compute_checksums(root))
    write_archive(root, tmp_path / "changed.tar.gz")
    with pytest.raises(ModelError, match=said):
        open_package(tmp_path / "changed.tar.gz", tmp_path / "unpacked")


def test_a_packaged_member_that_was_exchanged_is_refused(archive: Path, tmp_path: Path) -> None:
    root = open_package(archive, tmp_path / "root")
    shutil.rmtree(root / "bundle/members/0")
    shutil.copytree(root / "bundle/members/1", root / "bundle/members/0")
    with pytest.raises(ModelError, match=r"members/0/bundle.yaml: is not the file that .* describes"):
        load_verified_predictor(str(root), threads=1)


def test_an_ensemble_is_registered_judged_and_found_again(
    configured: Callable[..., Config], runs: list[Path], tmp_path: Path
) -> None:
    config = configured(f"model_uri=[{runs[0]},{runs[1]}]", "registry.gate.max_calibration_error=0.5")
    assert run_action(config, tmp_path / "one") == 0
    version = open_registry(config).find(NAME, "champion")
    assert (version.version, version.status) == (1, "Approved")
    assert version.metrics["accuracy"] > 0.6
    # The gate compares another ensemble with it, on the images that both have.
    better = configured(f"model_uri=[{runs[0]},{runs[2]}]", "registry.gate.max_calibration_error=0.5")
    run_action(better, tmp_path / "two")
    assert "on 280 images in common" in open_registry(better).find(NAME, 2).reasons
    # Registered already.
    assert run_action(config, tmp_path / "three") == 0
    assert len(open_registry(config).list_versions(NAME)) == 2
    fetched = fetch_model(configured(f"model_uri=models:/{NAME}/1"), tmp_path / "fetched")
    assert len(read_description(str(fetched.bundle)).members) == 2
    # A registered ensemble is no member.
    with pytest.raises(ModelError, match="is an ensemble, which cannot be a member of another"):
        fetch_model(configured(f"model_uri=[models:/{NAME}/1,{runs[2]}]"), tmp_path / "nested")


def test_sagemakers_card_names_the_terms_of_the_members_data(runs: list[Path], tmp_path: Path) -> None:
    artifacts = read_run_artifacts(fetch_model(configure(runs[:2]), tmp_path).bundle)
    candidate = Candidate(
        name=NAME,
        verdict=Verdict(APPROVED, ("Fine.",), {}),
        sha256="0",
        fingerprint="1",
        files={},
        metrics=artifacts.metrics,
        description=artifacts.description.content,
        settings=artifacts.settings,
    )
    card = build_card_content(candidate, "s3://bucket/model.tar.gz", "image")
    assert "Trained on: Faces drawn by this project" in card
    assert "Facial expression of a face: ensemble of 2 networks, 48 pixels, classes anger" in card
