"""Classical classifiers on embeddings: the same answers as scikit-learn's, trainings, bundles, and what is refused."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from fer import Predictor
from fer.bundle.io import FaceFormat, load_bundle
from fer.bundle.reference_samples import compute_disagreement, read_samples
from fer.config import Config
from fer.config.compose import load_overrides
from fer.config.contradictions import find_contradictions
from fer.config.embedding_head import Head
from fer.core.io import compute_sha256
from fer.errors import DataError, ModelError
from fer.explain.attributions import GRAD_CAM, Explainer
from fer.explain.sanity import check_sanity
from fer.models.head_format import HEAD_KINDS, HeadKind
from fer.models.network import FaceNetwork
from fer.sweep.job import read_metric
from fer.train import embedding_cache
from fer.train.embedding_cache import EmbeddingCache
from fer.train.head_conversion import ABSENT, convert_estimator
from fer.train.head_estimators import fit_estimator
from fer.train.module_factory import build_encoder
from fer.train.pipeline import resume, train
from tests.helpers.composing import refusal
from tests.helpers.networks import lively, one_thread
from tests.helpers.programs import metrics_of
from tests.helpers.served_runs import run_of

pytestmark = pytest.mark.slow

TINY = "test_resnet"
FAST = {"mlp": {"hidden": 8, "max_iter": 5}, "gradient_boosting": {"rounds": 4, "min_samples_leaf": 3}}


def draw_features(classes: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of overlapping groups, targets of which some are divided, and weights."""
    random = np.random.default_rng(0)
    labels = np.arange(140) % classes
    features = (random.normal(0, 2, (classes, 12))[labels] + random.normal(0, 1, (140, 12))).astype(np.float32)
    targets = np.eye(classes, dtype=np.float32)[labels]
    targets[::5] = 0.6 * targets[::5] + 0.4 * np.roll(targets[::5], 1, axis=1)
    return features, targets, random.uniform(0.5, 2, 140).astype(np.float32)


@pytest.mark.parametrize("kind", HEAD_KINDS)
def test_the_arrays_answer_as_scikit_learn_does(kind: HeadKind) -> None:
    features, targets, weights = draw_features()
    estimator = fit_estimator(Head(kind=kind, **FAST), features, targets, weights, 0, 1)
    head = convert_estimator(kind, estimator, 7)
    others = np.concatenate([features, 6 * np.random.default_rng(1).normal(0, 1, (500, 12)).astype(np.float32)])
    with torch.inference_mode():
        answers = head(torch.from_numpy(others)).double().softmax(1).numpy()
    np.testing.assert_allclose(answers, estimator.predict_proba(others), atol=1e-6)
    assert np.ptp(answers, axis=0).min() > 0.05


def test_a_face_on_a_threshold_goes_where_scikit_learn_sends_it() -> None:
    # Thresholds are float64, and lie between two float32 that follow each other where features do.
    near = np.float32(1.0)
    steps = np.array([near, np.nextafter(near, np.float32(2))], np.float32)
    features = np.repeat(steps, 70)[:, None] * np.ones((1, 3), np.float32)
    targets = np.eye(3, dtype=np.float32)[np.r_[np.zeros(70, int), 1 + np.arange(70) % 2]]
    head = Head(kind="gradient_boosting", gradient_boosting={"rounds": 3, "min_samples_leaf": 2})
    estimator = fit_estimator(head, features, targets, np.ones(140, np.float32), 0, 1)
    with torch.inference_mode():
        answers = convert_estimator("gradient_boosting", estimator, 3)(torch.from_numpy(features)).softmax(1).numpy()
    np.testing.assert_allclose(answers, estimator.predict_proba(features), atol=1e-6)
    assert abs(answers[0] - answers[-1]).max() > 0.1


@pytest.mark.parametrize("kind", HEAD_KINDS)
def test_a_class_without_images_is_never_answered(kind: HeadKind) -> None:
    features, targets, weights = draw_features(6)
    targets = np.insert(targets, 2, 0, axis=1)
    head = convert_estimator(kind, fit_estimator(Head(kind=kind, **FAST), features, targets, weights, 0, 1), 7)
    with torch.inference_mode():
        answers = head(torch.from_numpy(features))
    assert answers.shape == (140, 7) and (answers[:, 2] <= ABSENT).all()
    assert answers.softmax(1)[:, 2].max() < 1e-9


def test_votes_are_weights() -> None:
    features, targets, weights = draw_features()
    head = Head(kind="logistic")
    divided = fit_estimator(head, features, targets, weights, 0, 1)
    rows, labels = np.nonzero(targets)
    apart = np.eye(7, dtype=np.float32)[labels]
    repeated = fit_estimator(head, features[rows], apart, targets[rows, labels] * weights[rows], 0, 1)
    np.testing.assert_allclose(divided.predict_proba(features), repeated.predict_proba(features), atol=1e-6)
    majority = fit_estimator(head, features, np.eye(7)[targets.argmax(1)], weights, 0, 1)
    assert abs(divided.predict_proba(features) - majority.predict_proba(features)).max() > 0.01


def test_too_few_classes_or_images_are_refused() -> None:
    features, targets, weights = draw_features(2)
    with pytest.raises(DataError, match="needs images of 3 classes, not 2"):
        fit_estimator(Head(), features, targets, weights, 0, 1)
    features, targets, weights = draw_features()
    targets = np.eye(7)[np.r_[np.arange(7), np.zeros(133, int)]]
    with pytest.raises(DataError, match="kind=svm needs 3 training images of each class"):
        fit_estimator(Head(kind="svm"), features, targets, weights, 0, 1)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heads")
    run_of(folder / "encoder", lively(FaceNetwork(TINY, 7, 48, 0.0)), FaceFormat(48, False))
    return folder


@pytest.fixture(scope="module")
def configure(work: Path) -> Callable[..., Config]:
    small = (
        *("model=embedding_head", f"model.name={TINY}", f"model.encoder={work / 'encoder'}", "model.image_size=48"),
        *("trainer=cpu", "trainer.threads=1", f"dataset.cache_dir={work / 'cache'}"),
        *("dataset.sources.synthetic.count=140", "dataset.sources.synthetic.size=48"),
        *("model.head.mlp.max_iter=5", "model.head.gradient_boosting.rounds=3"),
        "model.head.gradient_boosting.min_samples_leaf=3",
    )
    return lambda *overrides: load_overrides([*small, *overrides])


@pytest.fixture(scope="module")
def run(work: Path, configure: Callable[..., Config]) -> Path:
    with one_thread():
        train(configure("dataset.sources.synthetic.label_rule=probability"), work / "run")
    return work / "run"


def test_a_run_is_as_any_other(run: Path) -> None:
    metrics, bundle = metrics_of(run), load_bundle(str(run))
    history = pd.read_csv(run / "history.csv")
    assert len(history) == 1 and metrics["best_epoch"] == 1
    assert read_metric(run, "val_accuracy") == pytest.approx(metrics["val"]["accuracy"]["value"])
    assert metrics["embeddings"]["images"] == (pd.read_parquet(run / "manifest.parquet")["split"] == "train").sum()
    assert bundle.description.content["format"] == 1
    assert bundle.description.content["head"] == {"kind": "logistic", "features": metrics["embeddings"]["dimensions"]}
    assert metrics["weights_sha256"] == compute_sha256(run / "bundle" / "weights.safetensors")
    assert "a classifier (logistic) was fitted by scikit-learn" in (run / "bundle" / "model_card.md").read_text()
    assert (run / "bundle" / "baseline.json").is_file()


def test_its_page_shows_no_epochs(run: Path) -> None:
    page = (run / "report.html").read_text()
    assert "the classifier was fitted in one step" in page and "so there are no curves" in page
    assert "best epoch" not in page and "Learning rate" not in page and "after augmentation" not in page
    assert metrics_of(run)["epochs"] == 1 and '"epochs": 1,' in (run / "metrics.json").read_text()


@pytest.mark.usefixtures("without_report")
def test_the_bundle_alone_gives_the_figures_of_its_run(
    run: Path, configure: Callable[..., Config], tmp_path: Path
) -> None:
    train(configure("trainer.stages=[test]", f"model_uri={run}"), tmp_path / "again")
    before, after = metrics_of(run), metrics_of(tmp_path / "again")
    assert before["val"] == after["val"] and before["test"] == after["test"]


@pytest.mark.usefixtures("without_report")
def test_it_is_the_same_again_with_and_without_kept_embeddings(
    run: Path, configure: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    votes = "dataset.sources.synthetic.label_rule=probability"
    elsewhere = configure(votes, f"dataset.cache_dir={tmp_path / 'cache'}")
    monkeypatch.setattr(embedding_cache, "BLOCK", 128)
    train(elsewhere, tmp_path / "anew")
    assert metrics_of(tmp_path / "anew") == metrics_of(run)
    blocks = sorted((tmp_path / "cache" / "embeddings").glob("*/*.npy"))
    assert [len(np.load(path)) for path in blocks] == [
        len(pd.read_parquet(path.with_suffix(".parquet"))) for path in blocks
    ]
    # A run that was killed goes on with the blocks that are there.
    calls: list[int] = []
    compute = EmbeddingCache._compute
    monkeypatch.setattr(EmbeddingCache, "_compute", lambda *given: calls.append(len(given[1])) or compute(*given))
    blocks[0].unlink()
    monkeypatch.setattr("fer.train.head_fit.fit_estimator", crash)
    with pytest.raises(RuntimeError, match="the machine crashed"):
        train(elsewhere, tmp_path / "broken")
    monkeypatch.undo()
    monkeypatch.setattr("fer.train.results.write_report", lambda *_, **__: None)
    monkeypatch.setattr(embedding_cache, "BLOCK", 128)
    resume(tmp_path / "broken")
    assert metrics_of(tmp_path / "broken") == metrics_of(run)
    assert len(calls) <= 1


def crash(*_: object) -> None:
    raise RuntimeError("the machine crashed")


@pytest.mark.usefixtures("without_report")
@pytest.mark.parametrize("kind", HEAD_KINDS)
def test_every_runtime_answers_alike(kind: HeadKind, configure: Callable[..., Config], tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(configure(f"model.head.kind={kind}", "trainer.stages=[fit]"), run)
    samples = read_samples(run / "bundle")
    assert samples is not None
    for runtime in ("torch", "onnx", "openvino"):
        predictor = Predictor.load(str(run), runtime=runtime, threads=1)
        assert compute_disagreement(predictor, samples) < 1e-5, runtime


@pytest.mark.usefixtures("without_report")
def test_copies_are_changed_images_with_the_same_labels(
    configure: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[tuple[np.ndarray, np.ndarray]] = []

    def keep(head: Head, features: np.ndarray, targets: np.ndarray, *_: object) -> None:
        fitted.append((features, targets))
        crash()

    monkeypatch.setattr("fer.train.head_fit.fit_estimator", keep)
    with pytest.raises(RuntimeError):
        train(configure("model.head.copies=2", "trainer.stages=[fit]"), tmp_path / "run")
    features, targets = (np.split(array, 3) for array in fitted[0])
    assert all(np.array_equal(part, targets[0]) for part in targets)
    assert not any(np.allclose(features[first], features[second]) for first, second in ((0, 1), (0, 2), (1, 2)))
    # They are the same faces.
    correlation = np.corrcoef(features[0].ravel(), features[1].ravel())[0, 1]
    assert correlation > np.corrcoef(features[0].ravel(), features[1][::-1].ravel())[0, 1]


def test_a_damaged_cache_is_one_sentence(configure: Callable[..., Config], tmp_path: Path) -> None:
    config = configure(f"dataset.cache_dir={tmp_path / 'cache'}", "trainer.stages=[fit]")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fer.train.head_fit.fit_estimator", crash)
        with pytest.raises(RuntimeError):
            train(config, tmp_path / "first")
    for path in (tmp_path / "cache" / "embeddings").glob("*/*.npy"):
        path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match=r"\.npy: cannot be read \(.*\); remove this file"):
        train(config, tmp_path / "second")


def change_bundle(run: Path, place: Path, head: dict[str, object] | None = None, **tensors: torch.Tensor) -> str:
    """A copy of a run's bundle of which some entries and tensors are others, and all hashes right."""
    shutil.copytree(run / "bundle", place)
    weights, description = place / "weights.safetensors", place / "bundle.yaml"
    if tensors:
        save_file({**load_file(weights), **{f"head.{name}": tensor for name, tensor in tensors.items()}}, weights)
    content = yaml.safe_load(description.read_text())
    content["head"] |= head or {}
    description.write_text(yaml.safe_dump({**content, "weights_sha256": compute_sha256(weights)}))
    return str(place)


@pytest.mark.usefixtures("without_report")
def test_a_bundle_that_names_what_is_not_there_is_refused(configure: Callable[..., Config], tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(configure("model.head.kind=gradient_boosting", "trainer.stages=[fit]"), run)
    left = load_file(run / "bundle" / "weights.safetensors")["head.left"]
    beyond = left.clone()
    beyond[3] = len(left)
    for number, (head, tensors, words) in enumerate(
        (
            ({}, {"left": beyond}, "head.left names what is not there"),
            ({}, {"feature": torch.full_like(left, -1)}, "head.feature names what is not there"),
            ({}, {"threshold": torch.full(left.shape, torch.nan)}, "head.threshold holds what is no number"),
            ({"rounds": 400}, {}, "they are not those of the head that is described"),
            ({"nodes": 10**9}, {}, "head.nodes must be from 1 to 125"),
            ({"kind": "pickle"}, {}, "head.kind must be one of logistic, svm, mlp, gradient_boosting"),
        )
    ):
        with pytest.raises(ModelError, match=words):
            load_bundle(change_bundle(run, tmp_path / str(number), head, **tensors))
    network = load_bundle(str(run)).network
    assert isinstance(network, FaceNetwork)
    with pytest.raises(ModelError, match="maps follow gradients, and the trees"):
        Explainer(network)


def test_maps_of_a_linear_head_are_drawn_and_checked(run: Path) -> None:
    pytest.importorskip("captum")
    explainer = Explainer(load_bundle(str(run)).network, steps=2, max_steps=2)
    inputs = explainer.prepare(np.random.default_rng(0).integers(0, 256, (2, 48, 48, 1), dtype=np.uint8))
    assert explainer.explain(GRAD_CAM, inputs, [0, 1]).maps.shape == (2, 48, 48)
    check_sanity(explainer, inputs[:1], [0], [GRAD_CAM])


def test_the_encoder_of_a_head_starts_another(run: Path, configure: Callable[..., Config]) -> None:
    first, second = (build_encoder(configure(*chosen))[0] for chosen in ((), (f"model.encoder={run}",)))
    for before, after in zip(first.body.state_dict().values(), second.body.state_dict().values(), strict=True):
        torch.testing.assert_close(before, after, rtol=0, atol=0)


def test_what_no_head_has_is_refused() -> None:
    head = "model=embedding_head"
    assert "model.kind=embedding_head looks at single faces" in refusal(head, "dataset=synthetic_clips")
    assert "flip is for networks of single faces (model.kind=frame), not of a frozen encoder" in refusal(
        head, "model.flip=true"
    )
    assert "nothing but the head is ever fitted" in refusal(head, "model.head_epochs=1")
    assert "is fitted by one process" in refusal(head, "trainer.devices=2")
    assert "trainer.overfit_batches is for trainings in epochs" in refusal(head, "trainer.overfit_batches=1")
    assert "leave it out, and trainer=debug, which sets it; dataset.limit=N" in refusal(head, "trainer=debug")
    assert "trees (model.head.kind=gradient_boosting) have none" in refusal(
        head, "trainer.explain=true", "model.head.kind=gradient_boosting"
    )
    assert "model.head.gradient_boosting.rounds=501" in refusal(head, "model.head.gradient_boosting.rounds=501")


def test_contradictions_are_told() -> None:
    assert any(
        "model.head.copies has no effect" in line
        for line in find_contradictions(load_overrides(["model.head.copies=1"]))
    )
    random = load_overrides(["model=embedding_head", "model.encoder=null", "model.loss.logit_adjustment=1"])
    found = find_contradictions(random)
    assert any("keeps an encoder of random weights" in line for line in found)
    assert any("model.loss has no effect with model.kind=embedding_head" in line for line in found)
    assert find_contradictions(load_overrides(["model=embedding_head"])) == []
