"""The stage embed of train.py: its files, its page, resuming and repeating it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fer.bundle.io import FaceFormat, load_bundle
from fer.bundle.predictor import Predictor
from fer.compare.runs import find_runs
from fer.config import Config
from fer.config.compose import load_overrides
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.explain import projection
from fer.explain.projection import choose_points, project_embeddings
from fer.models.network import FaceNetwork
from fer.runs.run_directory import Run, load_run_config
from fer.train import pipeline
from fer.train.pipeline import resume, train
from tests.helpers.composing import refusal
from tests.helpers.networks import lively
from tests.helpers.programs import metrics_of, provenance_of
from tests.helpers.served_runs import run_of

pytestmark = pytest.mark.slow

FILES = ("embeddings.npy", "embeddings.parquet", "embeddings.json", "embeddings.html", "metrics.json")

DATA = (
    *("trainer=cpu", "trainer.threads=1", "dataset.sources.synthetic.count=140"),
    "dataset.sources.synthetic.size=48",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("embed")
    run_of(folder / "model", lively(FaceNetwork("test_resnet", 7, 64, 0.0)), FaceFormat(48, False))
    return folder


def cache_of(place: Path) -> str:
    return f"dataset.cache_dir={place / 'cache'}"


def configure(place: Path) -> Config:
    return load_overrides(["trainer.stages=[embed]", f"model_uri={place / 'model'}", *DATA, cache_of(place)])


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    train(configure(place), place / "run")
    return place / "run"


def test_every_image_has_a_row_in_both_files(run: Path, place: Path) -> None:
    embeddings = np.load(run / "embeddings.npy")
    index = pd.read_parquet(run / "embeddings.parquet")
    manifest = pd.read_parquet(run / "manifest.parquet")
    assert embeddings.dtype == np.float32
    assert embeddings.shape == (len(manifest), load_bundle(str(place / "model")).network.body.num_features)
    assert index.columns.tolist() == [
        *("sample_id", "source", "path", "split", "label", "predicted"),
        *(f"p_{name}" for name in EMOTIONS),
        "image",
    ]
    for column in ("sample_id", "source", "path", "split", "label"):
        assert index[column].tolist() == manifest[column].tolist()
    assert set(index["split"]) == {"train", "val", "test"}


def test_embeddings_are_the_features_before_the_classifier(run: Path, place: Path) -> None:
    bundle = load_bundle(str(place / "model"))
    index, embeddings = pd.read_parquet(run / "embeddings.parquet"), np.load(run / "embeddings.npy")
    classifier = bundle.network.body.get_classifier()  # type: ignore[operator]
    with torch.no_grad():
        logits = classifier(torch.from_numpy(embeddings)) / bundle.description.temperature
    probabilities = index[[f"p_{name}" for name in EMOTIONS]].to_numpy()
    np.testing.assert_allclose(torch.softmax(logits, 1).numpy(), probabilities, atol=1e-5)
    # The images that the index points to give these probabilities when they are classified as any other.
    images = np.load(json.loads((run / "embeddings.json").read_text())["images"], mmap_mode="r")
    rows = index["image"].to_numpy()[:5]
    expected = Predictor.load(str(place / "model")).predict([np.asarray(images[row]) for row in rows])
    np.testing.assert_allclose(probabilities[:5], expected, atol=1e-4)
    assert index["predicted"].tolist() == [EMOTIONS[column] for column in probabilities.argmax(1)]


def test_the_page_shows_each_face_and_needs_nothing_else(run: Path) -> None:
    page = (run / "embeddings.html").read_text(encoding="utf-8")
    index = pd.read_parquet(run / "embeddings.parquet")
    assert page.count("<circle cx=") == len(index)
    assert page.count('class="wrong"') == (index["label"] != index["predicted"]).sum()
    assert index["sample_id"][0] in page
    assert "data:image/jpeg;base64," in page
    assert "Points left out" not in page
    assert len(page) < 4_000_000


def test_it_is_the_same_again_and_goes_on_in_place(run: Path, place: Path) -> None:
    again = place / "again"
    # As train.py --config-dir RUN --config-name run does, and fer.replay.
    train(load_run_config(run), again)
    for name in FILES:
        assert (again / name).read_bytes() == (run / name).read_bytes(), name
    assert metrics_of(again)["embeddings"]["images"] == len(np.load(run / "embeddings.npy"))

    broken = place / "broken"
    killed = Run(broken, load_run_config(run), "train.py")
    killed.finish("interrupted")
    (broken / "embeddings.npy").write_bytes(b"half of it")
    resume(broken)
    assert provenance_of(broken)["status"] == "finished"
    assert metrics_of(broken) == metrics_of(run)
    assert (broken / "embeddings.parquet").read_bytes() == (run / "embeddings.parquet").read_bytes()


def test_a_model_of_other_classes_is_refused(place: Path) -> None:
    config = configure(place)
    config = config.model_copy(update={"dataset": config.dataset.model_copy(update={"classes": 8})})
    with pytest.raises(UserError, match="has 7 classes; set dataset.classes=7"):
        train(config, place / "refused")


def test_a_machine_without_gpu_says_so(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config = configure(place)
    config = config.model_copy(update={"trainer": config.trainer.model_copy(update={"accelerator": "gpu"})})
    with pytest.raises(UserError, match="trainer.accelerator=gpu: this machine has none"):
        train(config, place / "gpu")
    assert not (place / "gpu").exists()


def test_the_stage_needs_a_model_and_stands_alone() -> None:
    assert "trainer.stages=[embed] needs model_uri" in refusal("trainer.stages=[embed]", "model=temporal")
    assert "allowed are [fit, test], [fit], [test] and [embed]" in refusal("trainer.stages=[fit,embed]")


def test_a_network_of_timm_embeds_without_a_training(run: Path, place: Path, tmp_path: Path) -> None:
    small = ("trainer.stages=[embed]", "model.name=test_resnet", "model.image_size=64", *DATA, cache_of(place))
    train(load_overrides(small), tmp_path / "run")
    embeddings, index = np.load(tmp_path / "run" / "embeddings.npy"), pd.read_parquet(tmp_path / "run" / FILES[1])
    assert index.columns.tolist() == ["sample_id", "source", "path", "split", "label", "image"]
    assert len(embeddings) == len(index) == metrics_of(tmp_path / "run")["embeddings"]["images"]
    assert metrics_of(tmp_path / "run")["weights_sha256"] is None
    page = (tmp_path / "run" / "embeddings.html").read_text(encoding="utf-8")
    assert page.count("<circle cx=") == len(index)
    assert 'id="by-mistake"' not in page and "get their label from the model" not in page
    # The same seed draws the same weights; those of a run are its bundle's features.
    train(load_run_config(tmp_path / "run"), tmp_path / "again")
    assert (tmp_path / "again" / "embeddings.npy").read_bytes() == (tmp_path / "run" / "embeddings.npy").read_bytes()
    train(load_overrides([*small, "model=embedding_head", f"model.encoder={place / 'model'}"]), tmp_path / "encoder")
    np.testing.assert_allclose(np.load(tmp_path / "encoder" / "embeddings.npy"), np.load(run / FILES[0]), atol=1e-4)


def test_many_points_are_sampled_visibly(run: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "MAX_POINTS", 30)
    folder = place / "few"
    shutil.rmtree(folder, ignore_errors=True)
    train(configure(place), folder)
    page = (folder / "embeddings.html").read_text(encoding="utf-8")
    assert page.count("<circle cx=") == 30
    assert f"30 of {len(np.load(run / 'embeddings.npy'))}" in page


def test_points_keep_neighbourhoods_and_stay_within_the_map() -> None:
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(3), 20)
    embeddings = (10 * np.eye(3)[groups] + random.normal(0, 0.1, (60, 3))).astype(np.float32)
    points = project_embeddings(embeddings, 0)
    assert points.min() == 0
    assert points.max() == 1
    distances = np.linalg.norm(points[:, None] - points[None], axis=2) + 9 * np.eye(60)
    assert (groups[distances.argmin(1)] == groups).all()
    np.testing.assert_array_equal(project_embeddings(embeddings, 0), points)
    assert project_embeddings(np.ones((9, 4), np.float32), 0).tolist() == [[0.5, 0.5]] * 9
    assert choose_points(5, 0).tolist() == [0, 1, 2, 3, 4]
    assert len(set(choose_points(5000, 1))) == projection.MAX_POINTS


def test_other_stages_do_not_embed(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setattr(pipeline, "embed_data", lambda *_: pytest.fail("embeds"))
    config = configure(place)
    config = config.model_copy(update={"trainer": config.trainer.model_copy(update={"stages": ("test",)})})
    train(config, place / "tested")
    assert (place / "tested" / "report.html").is_file()


def test_a_comparison_of_runs_leaves_it_out(run: Path) -> None:
    found, skipped = find_runs([run.parent])
    assert run not in [compared.directory for compared in found]
    assert any("is a run of trainer.stages=[embed], which has nothing to compare" in line for line in skipped)
