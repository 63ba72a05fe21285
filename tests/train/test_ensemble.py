"""`train.py trainer.stages=[test] model_uri=[A,B]`: evaluated as one model is, and kept in the run."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer.bundle.metadata import read_description
from fer.bundle.predictor import Predictor
from fer.bundle.reference_samples import compute_disagreement, read_samples
from fer.config import Config
from fer.config.compose import load_overrides
from fer.core.image import squeeze_gray
from fer.emotions import EMOTIONS
from fer.errors import ConfigError
from fer.monitoring.drift import read_baseline
from fer.registry.run_artifacts import read_run_artifacts
from fer.runs.run_directory import load_run_config
from fer.train.distillation import add_soft_targets, find_teacher_weights
from fer.train.inputs import prepare_data
from fer.train.pipeline import train
from tests.helpers.members import save_member
from tests.helpers.programs import FAST
from tests.train.test_distillation import draw_store

pytestmark = pytest.mark.slow

COLUMNS = [f"p_{name}" for name in EMOTIONS]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    for mark in (1, 2):
        save_member(folder / f"m{mark}", mark)
    return folder


def configure(place: Path, models: str, *overrides: str) -> Config:
    given = ["trainer.stages=[test]", f"model_uri={models}", f"dataset.cache_dir={place / 'cache'}", *overrides]
    return load_overrides([*FAST, *given])


def name_both(place: Path) -> str:
    return f"[{place / 'm1'},{place / 'm2'}]"


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    train(
        configure(place, name_both(place), "evaluation.robustness=true", "evaluation.robustness_limit=10"),
        place / "run",
    )
    return place / "run"


def test_it_has_all_that_the_evaluation_of_one_model_has(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    table = pd.read_parquet(run / "predictions_test.parquet")
    predicted = np.array(EMOTIONS)[table[COLUMNS].to_numpy().argmax(1)]
    assert metrics["test"]["accuracy"]["value"] == pytest.approx((predicted == table["label"]).mean())
    assert metrics["test"]["accuracy"]["low"] <= metrics["test"]["accuracy"]["value"]
    assert {"val", "test", "calibration", "weights_sha256"} <= metrics.keys()
    assert metrics["test"]["robustness"]
    assert [member["weight"] for member in metrics["ensemble"]] == [0.5, 0.5]
    page = (run / "report.html").read_text(encoding="utf-8")
    # Maps are of one network.
    assert "model_uri=…/0 IMAGE" in page


def test_its_answers_are_the_mean_of_its_members(run: Path, place: Path) -> None:
    table = pd.read_parquet(run / "predictions_test.parquet")
    data = prepare_data(configure(place, name_both(place)), 48)
    rows = data.manifest.get_split("test").index.to_numpy()
    pictures = [squeeze_gray(image) for image in data.store.images[rows]]
    alone = [Predictor.load(str(place / f"m{mark}")).predict(pictures) for mark in (1, 2)]
    np.testing.assert_allclose(table[COLUMNS], np.mean(alone, axis=0), atol=1e-6)


def test_the_run_names_the_ensemble_afterwards(run: Path, place: Path, tmp_path: Path) -> None:
    assert not (run / "model").exists()
    predictor = Predictor.load(str(run))
    samples, baseline = read_samples(run / "bundle"), read_baseline(run / "bundle" / "baseline.json")
    assert samples is not None and compute_disagreement(predictor, samples) == 0
    assert baseline["faces"] == len(pd.read_parquet(run / "predictions_test.parquet"))
    card = (run / "bundle" / "model_card.md").read_text(encoding="utf-8")
    assert "## Test figures" in card and "- drawn by all" in card
    figures = predictor.description.content["metrics"]["test"]["accuracy"]
    artifacts = read_run_artifacts(run)
    assert artifacts.metrics["test"]["accuracy"] == figures
    # Those are of the evaluation, and no training's.
    assert artifacts.settings == {} and artifacts.table is not None
    train(configure(place, str(run)), tmp_path / "again")
    one, other = (pd.read_parquet(folder / "predictions_test.parquet") for folder in (run, tmp_path / "again"))
    pd.testing.assert_frame_equal(one, other)
    assert not (tmp_path / "again" / "bundle").exists()


@pytest.mark.usefixtures("without_report")
def test_it_is_the_same_again(run: Path, place: Path) -> None:
    # As train.py --config-dir RUN --config-name run does, and fer.replay.
    train(load_run_config(run), place / "replayed")
    one, other = (json.loads((folder / "metrics.json").read_text()) for folder in (run, place / "replayed"))
    assert one == other
    for name in ("bundle.yaml", "samples.npz", "model_card.md", "baseline.json"):
        assert (run / "bundle" / name).read_bytes() == (place / "replayed" / "bundle" / name).read_bytes(), name


def test_maps_of_an_ensemble_are_refused(place: Path, run: Path, tmp_path: Path) -> None:
    for models in (name_both(place), str(run)):
        with pytest.raises(
            ConfigError, match=r"trainer.explain=true: model_uri=.* is an ensemble, and maps are of one"
        ):
            train(configure(place, models, "trainer.explain=true"), tmp_path / "run")
        assert not (tmp_path / "run" / "bundle").exists()
        shutil.rmtree(tmp_path / "run")


def test_an_ensemble_teaches_as_its_members_do(place: Path, run: Path, tmp_path: Path) -> None:
    store, split = draw_store(8)
    cache = f"dataset.cache_dir={tmp_path / 'cache'}"
    as_one = load_overrides([*FAST, f"model.teacher=[{run}]", cache])
    as_two = load_overrides([*FAST, f"model.teacher={name_both(place)}", cache])
    one, two = (add_soft_targets(config, store, split, "cpu").targets for config in (as_one, as_two))
    np.testing.assert_allclose(one, two, atol=1e-5)
    assert find_teacher_weights(as_one) == {str(run): read_description(str(run)).weights_sha256}
