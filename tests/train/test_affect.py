"""A network that also learns valence and arousal, from the ratings to the emotion table."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from fer.bundle.predictor import Predictor
from fer.config.compose import load_overrides
from fer.config.contradictions import find_contradictions
from fer.emotions import EMOTIONS
from fer.errors import DataError
from fer.infer.pipeline import infer
from fer.infer.transform.shards import Request, read_answers
from fer.metrics.affect import compute_concordance, summarize_affect
from fer.models.losses import compute_affect_loss
from fer.serving.sagemaker_handlers import input_fn, predict_fn
from fer.synthetic import draw_dataset_face
from fer.train.pipeline import train
from tests.helpers.programs import FAST_ANY_DATA

pytestmark = pytest.mark.slow

RATINGS = {
    **{"anger": (-0.6, 0.7), "disgust": (-0.7, 0.3), "fear": (-0.6, 0.8), "happiness": (0.9, 0.4)},
    **{"neutral": (0.0, -0.6), "sadness": (-0.7, -0.5), "surprise": (0.3, 0.9)},
}


def draw_rated_folder(folder: Path, count: int, rated: bool = True) -> Path:
    """Draw faces in class folders; all but every fifth is rated."""
    rows = []
    for number in range(count):
        face = draw_dataset_face(7, number, 48)
        path = folder / face.emotion / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), face.image[..., ::-1])
        if rated and number % 5:
            rows.append((path.relative_to(folder).as_posix(), *RATINGS[face.emotion]))
    with (folder / "groups.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "valence", "arousal"), *rows])
    return folder


def configure(folder: Path, *overrides: str, epochs: int = 1) -> list[str]:
    return [
        *FAST_ANY_DATA,
        "dataset=folder",
        f"dataset.sources.folder.root={folder}",
        f"dataset.cache_dir={folder.parent / 'cache'}",
        "dataset.split=stratified",
        "dataset.fractions=[0.7,0.3,0]",
        "model.affect=true",
        f"trainer.max_epochs={epochs}",
        *overrides,
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("affect")
    folder = draw_rated_folder(directory / "faces", 105)
    # A batch that is learnt by heart shows it without a long training. Batch norm would lag behind.
    network = ("model.name=test_convnext", "model.drop_rate=0", "optimizer.lr=3e-3", "trainer.overfit_batches=1")
    train(load_overrides(configure(folder, *network, epochs=20)), directory / "run")
    return directory / "run"


def test_concordance_is_lins() -> None:
    truth, predicted = np.array([0.1, 0.4, -0.3, 0.8]), np.array([0.2, 0.1, -0.5, 0.7])
    covariance = np.cov(truth, predicted, bias=True)
    expected = 2 * covariance[0, 1] / (covariance[0, 0] + covariance[1, 1] + (truth.mean() - predicted.mean()) ** 2)
    assert compute_concordance(truth, predicted)[0] == pytest.approx(expected)
    assert compute_concordance(truth, truth)[0] == pytest.approx(1)
    assert compute_concordance(truth, np.full(4, 0.25))[0] == 0
    twice = compute_concordance(truth, predicted, np.array([[2.0, 0, 1, 1]]))[0]
    rows = [0, 0, 2, 3]
    assert twice == pytest.approx(compute_concordance(truth[rows], predicted[rows])[0])


def test_images_without_a_rating_count_for_nothing() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.uniform(-1, 1, (50, 2)), rng.uniform(-1, 1, (50, 2))
    truth[::2, 0] = np.nan
    summary = summarize_affect(truth, predicted)
    assert summary["valence"]["samples"] == 25 and summary["arousal"]["samples"] == 50
    assert summary["valence"]["ccc"]["value"] == pytest.approx(
        compute_concordance(truth[1::2, 0], predicted[1::2, 0])[0]
    )
    assert summary["arousal"]["rmse"]["value"] == pytest.approx(np.sqrt(((truth - predicted)[:, 1] ** 2).mean()))
    assert summary["arousal"]["ccc"]["low"] < summary["arousal"]["ccc"]["value"] < summary["arousal"]["ccc"]["high"]
    assert summarize_affect(np.full((5, 2), np.nan), np.zeros((5, 2))) == {}


def test_the_loss_is_one_minus_concordance() -> None:
    rng = np.random.default_rng(1)
    outputs, truth = rng.normal(size=(20, 2)), rng.uniform(-1, 1, (20, 2))
    truth[:8, 1] = np.nan
    weights = np.r_[np.zeros(2), np.ones(18)]
    loss = compute_affect_loss(*(torch.tensor(values, dtype=torch.float64) for values in (outputs, truth, weights)))
    parts = [
        compute_concordance(truth[start:, column], np.tanh(outputs[start:, column]))[0]
        for column, start in ((0, 2), (1, 8))
    ]
    assert float(loss) == pytest.approx(1 - np.mean(parts), abs=1e-6)


def test_the_gradient_is_finite_whatever_is_rated() -> None:
    for truth in (
        torch.full((6, 2), torch.nan),
        torch.zeros(6, 2),
        torch.tensor([[0.5, torch.nan]] + [[torch.nan] * 2] * 5),
    ):
        outputs = torch.zeros(6, 2, requires_grad=True)
        loss = compute_affect_loss(outputs, truth, torch.ones(6))
        loss.backward()
        assert torch.isfinite(loss) and outputs.grad is not None and torch.isfinite(outputs.grad).all()


def test_valence_is_learnt_and_told(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    affect = metrics["val"]["affect"]
    assert affect["valence"]["samples"] < metrics["val"]["samples"], "some are not rated"
    predictions = pd.read_parquet(run / "predictions_val.parquet")
    manifest = pd.read_parquet(run / "manifest.parquet").set_index("sample_id")
    truth = manifest.loc[predictions["sample_id"], "valence"].to_numpy()
    known = np.isfinite(truth)
    expected = compute_concordance(truth[known], predictions["valence"].to_numpy(float)[known])[0]
    assert affect["valence"]["ccc"]["value"] == pytest.approx(expected, abs=1e-5)
    learnt = pd.read_csv(run / "history.csv")["val_ccc"]
    assert learnt.iloc[0] < 0.3 and learnt.iloc[-1] > 0.8
    assert "Valence and arousal, validation" in (run / "report.html").read_text()


def test_both_runtimes_and_the_server_answer_alike(run: Path, tmp_path: Path) -> None:
    face = draw_dataset_face(8, 3, 48).image
    answers = {runtime: Predictor.load(str(run), runtime=runtime) for runtime in ("torch", "onnx")}
    columns = (*EMOTIONS, "valence", "arousal")
    assert answers["onnx"].columns == columns
    values = answers["onnx"].predict_all([face])[0]
    np.testing.assert_allclose(answers["torch"].predict_all([face])[0], values, atol=1e-4)
    np.testing.assert_array_equal(answers["onnx"].predict([face])[0], values[:7])
    assert values[:7].sum() == pytest.approx(1) and (np.abs(values[7:]) < 1).all()
    png = cv2.imencode(".png", face[..., ::-1])[1].tobytes()
    line = predict_fn(input_fn(png, "image/png"), answers["onnx"])
    answer = json.loads(line)
    assert [answer["valence"], answer["arousal"]] == pytest.approx(values[7:].tolist(), abs=1e-5)
    request = Request(tmp_path / "0.jpg", ("0",))
    request.output_path.write_text(line)
    read = read_answers(request, columns)
    assert read is not None
    np.testing.assert_allclose(read["0"], values, atol=1e-5)
    request.output_path.write_text(line.replace('"valence"', '"valenz"'))
    assert read_answers(request, columns) is None


def test_the_emotion_table_has_valence(run: Path, tmp_path: Path) -> None:
    faces = tmp_path / "faces"
    faces.mkdir()
    for number in range(3):
        cv2.imwrite(str(faces / f"{number}.png"), draw_dataset_face(9, number, 64).image[..., ::-1])
    overrides = ["extraction=none", f"extraction.input={faces}", f"model_uri={run}"]
    infer(load_overrides(overrides, "infer"), tmp_path / "out")
    table = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    assert table[["valence", "arousal", "smoothed_valence", "smoothed_arousal"]].notna().all(axis=None)
    assert table["valence"].between(-1, 1).all()


def test_without_ratings_it_says_what_is_missing(tmp_path: Path) -> None:
    folder = draw_rated_folder(tmp_path / "faces", 70, rated=False)
    with pytest.raises(DataError, match=r"model\.affect=true: fewer than 2 training images have a value of valence"):
        train(load_overrides(configure(folder)), tmp_path / "run")


def test_a_rating_out_of_bounds_is_refused(tmp_path: Path) -> None:
    folder = draw_rated_folder(tmp_path / "faces", 70)
    text = (folder / "groups.csv").read_text()
    (folder / "groups.csv").write_text(text.replace(",0.9,", ",9,", 1))
    with pytest.raises(DataError, match=r"column valence holds numbers from -1 to 1, not '9'"):
        train(load_overrides(configure(folder)), tmp_path / "run")


def test_a_weight_without_effect_is_told() -> None:
    config = load_overrides(["model.loss.affect_weight=2"])
    assert "model.loss.affect_weight=2 has no effect without model.affect=true; use both" in find_contradictions(config)
