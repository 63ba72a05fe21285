"""infer.py with several models: their mean in the table, by each runtime and by a server; and what is refused."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from fer.bundle.predictor import Predictor
from fer.config import Config
from fer.config.compose import load_overrides
from fer.emotions import EMOTIONS
from fer.errors import ConfigError, UserError
from fer.explain.__main__ import explain
from fer.infer.monitoring import format_retraining_command
from fer.infer.pipeline import infer
from fer.registry.resolve import fetch_model
from tests.helpers.members import draw_answers, save_answers, save_member
from tests.helpers.networks import faces

pytestmark = pytest.mark.slow

COLUMNS = [f"p_{name}" for name in EMOTIONS]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models, and pictures of faces."""
    folder = tmp_path_factory.mktemp("infer")
    for mark in (1, 2):
        run = save_member(folder / f"m{mark}", mark)
        save_answers(run, draw_answers(70, 2.0, mark), None)
        # Exported once; ensembles take it along.
        Predictor.load(str(run), runtime="onnx")
    (folder / "faces").mkdir()
    for number, picture in enumerate(faces(3, 48)):
        cv2.imwrite(str(folder / "faces" / f"{number}.png"), picture[..., ::-1])
    return folder


def list_overrides(place: Path, *others: str) -> list[str]:
    models = f"model_uri=[{place / 'm1'},{place / 'm2'}]"
    return ["extraction=none", f"extraction.input={place / 'faces'}", models, "trainer.threads=1", *others]


def predict(place: Path, config: Config, folder: Path) -> np.ndarray:
    """What the ensemble answers for the pictures in this process."""
    predictor = Predictor.load(str(fetch_model(config, folder).bundle))
    assert predictor.description.temperature != 1
    files = sorted((place / "faces").iterdir())
    return predictor.predict([cv2.imread(str(file))[..., ::-1].copy() for file in files])


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_the_table_has_the_calibrated_mean_of_the_models(place: Path, tmp_path: Path, runtime: str) -> None:
    config = load_overrides(list_overrides(place, f"inference.runtime={runtime}"), "infer")
    assert infer(config, tmp_path / "run") == 0
    table = pd.read_parquet(tmp_path / "run" / "predictions.parquet").sort_values("video")
    np.testing.assert_allclose(table[COLUMNS], predict(place, config, tmp_path / "model"), atol=1e-5)
    # As of a single model: the rule of its bundle.
    assert "uncertain" in table.columns
    assert "m1,…/m2]" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    monitoring = json.loads((tmp_path / "run" / "monitoring.json").read_text())
    assert monitoring["model"].count("/m") == 2


def test_a_batch_transform_answers_with_the_ensembles_package(place: Path, tmp_path: Path) -> None:
    config = load_overrides(list_overrides(place, "inference.route=transform"), "infer")
    assert infer(config, tmp_path / "run") == 0
    table = pd.read_parquet(tmp_path / "run" / "predictions.parquet").sort_values("video")
    np.testing.assert_allclose(table[COLUMNS], predict(place, config, tmp_path / "model"), atol=2e-5)


def test_maps_of_several_networks_are_refused(place: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"extraction.explain=true: model_uri=.* is an ensemble, .*name one of its mem"
    ):
        infer(load_overrides(list_overrides(place, "extraction.explain=true"), "infer"), tmp_path / "run")
    with pytest.raises(UserError, match=rf"maps are of one network; name one of these, such as model_uri={place}/m1"):
        explain([f"model_uri=[{place / 'm1'},{place / 'm2'}]", str(place / "faces")], tmp_path / "why")


def test_sagemaker_classifies_with_a_registered_ensemble(place: Path, tmp_path: Path) -> None:
    cloud = (
        "aws=sagemaker",
        "aws.bucket=models-of-tests",
        "aws.image=123456789012.dkr.ecr.us-east-1.amazonaws.com/f:1",
    )
    config = load_overrides(list_overrides(place, *cloud, "aws.region=us-east-1"), "infer")
    with pytest.raises(
        ConfigError, match=r"model_uri=\[.*m1,.*m2\]: SageMaker classifies with a registered model; reg"
    ):
        infer(config, tmp_path / "run")


def test_each_member_is_retrained_by_its_own_run(tmp_path: Path) -> None:
    commands = []
    for name in ("a", "b"):
        (tmp_path / name / "bundle").mkdir(parents=True)
        (tmp_path / name / "run.yaml").write_text("model_uri: null\n")
        commands.append(f"python train.py --config-dir {tmp_path / name} --config-name run")
    members = [str(tmp_path / "a"), str(tmp_path / "b" / "bundle")]
    assert format_retraining_command(members) == " && ".join(commands)
    # A run that has evaluated the ensemble.
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "run.yaml").write_text(f"model_uri: {json.dumps(members)}\n")
    assert format_retraining_command(str(tmp_path / "both")) == " && ".join(commands)
