"""A training learns from teachers' answers, which are computed once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from scipy.special import softmax
from torch.utils.data import DataLoader

from fer.bundle.io import FaceFormat, build_description, load_bundle, save_bundle
from fer.bundle.predictor import Predictor
from fer.config import Config
from fer.config.compose import load_overrides
from fer.data.augmentation import Augmentation
from fer.data.datamodule import Split
from fer.data.image_store import ImageStore
from fer.emotions import CONTEMPT, EMOTIONS
from fer.errors import ConfigError, UserError
from fer.models.network import FaceNetwork, predict_logits
from fer.runs.run_directory import Run, load_run_config, read_provenance
from fer.train import distillation
from fer.train.distillation import (
    add_soft_targets,
    find_teacher_weights,
    record_teachers,
)
from fer.train.logit_adjustment import compute_class_prior
from fer.train.model_keys import pin_models
from fer.train.module import FaceClassifierModule
from fer.train.pipeline import train
from tests.helpers.networks import SMALL, batch_of, faces, lively, settings
from tests.helpers.programs import FAST

pytestmark = pytest.mark.slow

FACTS = {"metrics": {"val": None, "test": None}, "data_fingerprint": "f" * 64, "config_sha256": "c" * 64}


def save_teacher(folder: Path, network: FaceNetwork, classes: tuple[str, ...] = EMOTIONS) -> str:
    save_bundle(folder, network, build_description(network, classes, FaceFormat(48, False), 1.5, FACTS))
    return str(folder)


@pytest.fixture
def teachers(network: FaceNetwork, tmp_path: Path) -> tuple[str, str]:
    """Two models that answer differently."""
    other = lively(FaceNetwork(SMALL, 7, 48, 0.0))
    torch.nn.init.zeros_(other.body.get_submodule("classifier").weight)
    return save_teacher(tmp_path / "one", network), save_teacher(tmp_path / "other", other)


def configure(tmp_path: Path, *teachers: str) -> Config:
    return load_overrides([*FAST, f"model.teacher=[{','.join(teachers)}]", f"dataset.cache_dir={tmp_path / 'cache'}"])


def draw_store(count: int) -> tuple[ImageStore, Split]:
    store = ImageStore(faces(count, 48, 1), pd.DataFrame(), "f" * 64, 48, False)
    rows = np.arange(1, count, 2)
    targets = np.eye(7, dtype=np.float32)[rows % 7]
    return store, Split(rows, targets, np.ones(len(rows), np.float32))


def test_answers_are_the_mean_over_teachers_and_mirror_images(tmp_path: Path, teachers: tuple[str, str]) -> None:
    store, split = draw_store(20)
    result = add_soft_targets(configure(tmp_path, *teachers), store, split, "cpu")
    assert result.targets.shape == (10, 14)
    assert result.targets.dtype == np.float32
    np.testing.assert_array_equal(result.targets[:, :7], split.targets)
    expected = []
    for teacher in teachers:
        # Before calibration, which was fitted on validation images.
        network, every = load_bundle(teacher).network, np.arange(len(split.rows))
        for images in (store.images[split.rows], store.images[split.rows][:, :, ::-1].copy()):
            expected.append(softmax(predict_logits(network, images, every), axis=1))
    np.testing.assert_allclose(result.targets[:, 7:], np.mean(expected, axis=0), atol=1e-4)


def test_answers_are_computed_once_for_the_same_images_and_teachers(
    tmp_path: Path, teachers: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    compute = distillation.compute_soft_targets

    def count(images: np.ndarray, *others: Any) -> np.ndarray:
        asked.append(len(images))
        return compute(images, *others)

    monkeypatch.setattr(distillation, "compute_soft_targets", count)
    store, split = draw_store(20)
    first = add_soft_targets(configure(tmp_path, teachers[0]), store, split, "cpu")
    again = add_soft_targets(configure(tmp_path, teachers[0]), store, split, "cpu")
    np.testing.assert_array_equal(first.targets, again.targets)
    assert asked == [10]
    add_soft_targets(configure(tmp_path, *teachers), store, split, "cpu")
    part = Split(split.rows[:4], split.targets[:4], split.weights[:4])
    few = add_soft_targets(configure(tmp_path, teachers[0]), store, part, "cpu")
    assert asked == [10, 10, 4]
    np.testing.assert_allclose(few.targets, first.targets[:4], atol=1e-5)


def test_without_teachers_nothing_is_added(tmp_path: Path) -> None:
    store, split = draw_store(6)
    assert add_soft_targets(load_overrides(list(FAST)), store, split, "cpu") is split


def test_uris_are_pinned_and_their_weights_known(
    tmp_path: Path, teachers: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = pin_models(configure(tmp_path, "one"))
    assert config.model.teacher == (str(tmp_path / "one"),)
    weights = find_teacher_weights(config)
    assert list(weights) == [teachers[0]]
    assert len(weights[teachers[0]]) == 64


def test_a_resumed_run_tells_a_teacher_that_has_changed(
    tmp_path: Path, teachers: tuple[str, str], make_network: Callable[[], FaceNetwork], caplog: pytest.LogCaptureFixture
) -> None:
    config = pin_models(configure(tmp_path, teachers[0]))
    run = Run(tmp_path / "run", config)
    record_teachers(run, config)
    began = run.provenance["teachers"]
    assert began == find_teacher_weights(config)
    record_teachers(run, config)
    assert not caplog.records
    changed = make_network()
    torch.nn.init.ones_(changed.body.get_submodule("classifier").weight)
    save_teacher(Path(teachers[0]), changed)
    record_teachers(run, config)
    assert f"model.teacher={teachers[0]} has other weights than it began with" in caplog.text
    assert run.provenance["teachers"] == began
    run.finish("finished")


def test_what_is_no_teacher_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^model\.teacher=/nowhere: there is no such directory"):
        find_teacher_weights(configure(tmp_path, "/nowhere"))
    with pytest.raises(ConfigError, match=r"^model\.teacher=models:/x: registered models are named"):
        pin_models(configure(tmp_path, '"models:/x"'))
    eight = save_teacher(tmp_path / "eight", lively(FaceNetwork(SMALL, 8, 48, 0.0)), (*EMOTIONS, CONTEMPT))
    with pytest.raises(UserError, match=r"has 8 classes, but dataset\.classes=7"):
        find_teacher_weights(configure(tmp_path, eight))


def test_mixing_mixes_labels_and_answers_alike() -> None:
    augmentation = Augmentation(**{**load_overrides([]).dataset.augment.model_dump(), "mixup": 0.5, "cutmix": 0.5})
    images = torch.from_numpy(faces(12, 48, 1))
    labels, answers = torch.eye(7)[torch.arange(12) % 7], torch.rand(12, 7)
    pixels, both = augmentation(images, torch.cat((labels, answers), 1), 32, (0, 0, 0))
    alone, mixed_labels = augmentation(images, labels, 32, (0, 0, 0))
    _, mixed_answers = augmentation(images, answers, 32, (0, 0, 0))
    assert torch.equal(pixels, alone)
    assert (mixed_labels != labels).any()
    torch.testing.assert_close(both, torch.cat((mixed_labels, mixed_answers), 1))


def test_the_loss_weighs_labels_and_answers() -> None:
    module = FaceClassifierModule(
        lively(FaceNetwork(SMALL, 7, 48, 0.0)), settings(distill_weight=0.3, distill_temperature=2.0)
    )
    logits, labels = torch.randn(5, 7), torch.eye(7)[:5]
    answers = torch.softmax(torch.randn(5, 7), 1)
    weights = torch.tensor([1.0, 2.0, 0.0, 1.0, 4.0])
    hard = F.cross_entropy(logits, labels, reduction="none")
    powers = answers.sqrt()
    soft = 4 * F.cross_entropy(logits / 2, powers / powers.sum(1, keepdim=True), reduction="none")
    expected = ((0.7 * hard + 0.3 * soft) * weights).sum() / weights.sum()
    found = module.compute_loss(logits, {"targets": torch.cat((labels, answers), 1), "weights": weights})
    torch.testing.assert_close(found, expected)
    alone = module.compute_loss(logits, {"targets": labels, "weights": weights})
    torch.testing.assert_close(alone, (hard * weights).sum() / weights.sum())


def test_logit_adjustment_adds_the_prior_in_the_loss_alone(make_network: Callable[[], FaceNetwork]) -> None:
    prior = (0.5, 0.25, 0.1, 0.05, 0.05, 0.05, 0.0)
    module = FaceClassifierModule(make_network(), settings(logit_adjustment=0.5), class_prior=prior)
    logits, targets = torch.randn(6, 7), torch.eye(7)[:6]
    expected = F.cross_entropy(logits + 0.5 * torch.tensor(prior).clamp(min=1e-4).log(), targets)
    found = module.compute_loss(logits, {"targets": targets, "weights": torch.ones(6)})
    torch.testing.assert_close(found, expected)
    images = torch.from_numpy(faces(3, 48))
    module.eval()
    with torch.no_grad():
        assert torch.equal(module(images), module.network(images))


def test_the_prior_is_that_of_the_targets() -> None:
    targets = np.array([[1, 0, 0], [0.5, 0.5, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    assert compute_class_prior(Split(np.arange(4), targets, np.ones(4))) == (0.625, 0.375, 0.0)


def test_a_student_comes_near_its_teacher(make_network: Callable[[], FaceNetwork]) -> None:
    """Labels say nothing here; what is learnt comes from the answers alone."""
    batch = batch_of(14)
    labels = torch.full((14, 7), 1 / 7)
    answers = torch.softmax(4 * torch.eye(7)[torch.arange(14) % 7], 1)
    losses = {}
    for weight in (0.0, 1.0):
        torch.manual_seed(0)
        module = FaceClassifierModule(make_network(), settings(distill_weight=weight, lr=3e-3))
        loader: DataLoader[Any] = DataLoader(
            [{**batch, "targets": torch.cat((labels, answers), 1)}] * 40,  # type: ignore[arg-type]
            batch_size=None,
        )
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, loader)
        module.eval()
        with torch.no_grad():
            losses[weight] = F.cross_entropy(module(batch["images"]), answers).item()
    entropy = -(answers * answers.log()).sum(1).mean().item()
    assert losses[1.0] - entropy < 0.5 * (losses[0.0] - entropy)


@pytest.mark.usefixtures("without_report")
def test_a_run_names_its_teachers(tmp_path: Path, network: FaceNetwork) -> None:
    teacher = save_teacher(tmp_path / "teacher", network)
    options = ["trainer.max_epochs=1", "dataset.augment.mixup=0.2", "model.flip=true"]
    config = load_overrides([*FAST, *options, f"model.teacher=[{teacher}]", f"dataset.cache_dir={tmp_path / 'cache'}"])
    train(config, tmp_path / "run")
    assert load_run_config(tmp_path / "run").model.teacher == (teacher,)
    assert read_provenance(tmp_path / "run")["teachers"] == find_teacher_weights(config)
    assert len(list((tmp_path / "cache" / "teachers").glob("*.npy"))) == 1
    # The bundle answers alike to a face and its mirror image.
    predictor = Predictor.load(str(tmp_path / "run"))
    pictures = list(faces(5, 48, 1))
    np.testing.assert_allclose(
        predictor.predict(pictures), predictor.predict([picture[:, ::-1] for picture in pictures]), atol=1e-5
    )
