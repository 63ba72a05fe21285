"""Trainings on clips: repeated and resumed to the bit, started from an encoder, judged, and what is refused."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
import yaml

from fer import Predictor
from fer.bundle.io import FaceFormat, build_description, load_bundle, save_bundle
from fer.bundle.predictor import ClipPredictor
from fer.bundle.reference_samples import compute_disagreement, read_samples
from fer.config import Config
from fer.config.compose import load_overrides
from fer.errors import ModelError, UserError
from fer.models.network import FaceNetwork
from fer.models.temporal_network import TemporalNetwork
from fer.train.callbacks import MetricsHistory
from fer.train.clip_outputs import compute_batch_outputs, spread_over_frames
from fer.train.encoder import load_encoder
from fer.train.module import FaceClassifierModule
from fer.train.module_factory import build_module, build_network
from fer.train.pipeline import resume, train
from tests.helpers.clip_networks import CLASSES, TINY, build_clip_network, draw_windows, save_clip_bundle
from tests.helpers.networks import settings
from tests.helpers.programs import metrics_of
from tests.helpers.served_runs import FACTS

pytestmark = pytest.mark.slow

DATA = (
    *("dataset=synthetic_clips_small", "dataset.sources.synthetic_clips.count=35"),
    *("dataset.sources.synthetic_clips.subjects=5", "dataset.sources.synthetic_clips.seconds=1"),
    "dataset.batch_size=8",
)
SMALL = (
    *("trainer=cpu", "trainer.threads=1", "trainer.max_epochs=2", "model.image_size=32"),
    *(f"model.name={TINY}", "model.temporal.length=6", "model.temporal.hidden=16"),
)
UNFROZEN = ("model=temporal", *DATA, *SMALL, "model.encoder=null", "model.temporal.freeze_encoder=false")


def save_encoder(folder: Path, name: str = TINY) -> str:
    """A model of single gray faces, of other classes, with a normalisation of its own."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = FaceNetwork(name, 2, 32, 0.0)
    network.set_normalisation((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    save_bundle(folder, network, build_description(network, ("no", "yes"), FaceFormat(20, False), 1.0, FACTS))
    return str(folder)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def encoder(work: Path) -> str:
    return save_encoder(work / "encoder")


@pytest.fixture(scope="module")
def configure(work: Path, encoder: str) -> Callable[..., Config]:
    cache = f"dataset.cache_dir={work / 'cache'}"
    return lambda *overrides: load_overrides([*UNFROZEN, cache, f"model.encoder={encoder}", *overrides])


@pytest.fixture(scope="module")
def run(work: Path, configure: Callable[..., Config]) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fer.train.results.write_report", lambda *_, **__: None)
        train(configure(), work / "run")
    return work / "run"


@pytest.mark.usefixtures("without_report")
def test_a_resumed_run_is_an_unbroken_one(
    run: Path, configure: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = MetricsHistory.on_train_epoch_start

    def crash(self: MetricsHistory, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        started(self, trainer, module)
        if trainer.current_epoch == 1:
            raise RuntimeError("the machine crashed")

    with monkeypatch.context() as patch:
        patch.setattr(MetricsHistory, "on_train_epoch_start", crash)
        with pytest.raises(RuntimeError, match="crashed"):
            train(configure(), tmp_path / "broken")
    resume(tmp_path / "broken")
    assert metrics_of(run) == metrics_of(tmp_path / "broken")
    histories = [
        pd.read_csv(folder / "history.csv").drop(columns=["seconds", "images_per_second"])
        for folder in (run, tmp_path / "broken")
    ]
    pd.testing.assert_frame_equal(*histories)


def test_the_run_says_what_it_was_made_of(run: Path, encoder: str) -> None:
    saved = yaml.safe_load((run / "run.yaml").read_text())
    assert saved["model"]["encoder"] == encoder
    bundle = load_bundle(str(run))
    assert isinstance(bundle.network, TemporalNetwork)
    assert bundle.description.temporal is not None and bundle.description.temporal.gray
    assert bundle.description.mean == pytest.approx((0.1, 0.2, 0.3))
    assert "windows of 6 frames, 0.125 s apart (0.625 s)" in (run / "bundle" / "model_card.md").read_text()
    predictions = pd.read_parquet(run / "predictions_test.parquet")
    assert len(predictions) == metrics_of(run)["test"]["samples"] == 7
    assert (run / "bundle" / "baseline.json").is_file()


def test_the_samples_are_clips_that_every_copy_answers(run: Path, tmp_path: Path) -> None:
    samples = read_samples(run / "bundle")
    assert samples is not None and samples.images.shape == (2, 6, 96, 96, 3)
    shutil.copytree(run / "bundle", tmp_path / "copy")
    exported = Predictor.load(str(tmp_path / "copy"), runtime="onnx", threads=1)
    assert isinstance(exported, ClipPredictor)
    assert compute_disagreement(exported, samples) < 1e-5


@pytest.mark.usefixtures("without_report")
def test_a_model_of_clips_is_judged_again_alike(run: Path, configure: Callable[..., Config], tmp_path: Path) -> None:
    train(configure("trainer.stages=[test]", f"model_uri={run}", "model.encoder=null"), tmp_path / "again")
    before, after = metrics_of(run), metrics_of(tmp_path / "again")
    assert before["test"]["confusion_matrix"] == after["test"]["confusion_matrix"]
    assert before["test"]["log_loss"] == pytest.approx(after["test"]["log_loss"], rel=1e-5)


@pytest.mark.usefixtures("without_report")
def test_what_looks_at_other_data_is_refused(run: Path, configure: Callable[..., Config], tmp_path: Path) -> None:
    images = ["dataset=synthetic", "dataset.sources.synthetic.count=70", f"dataset.cache_dir={tmp_path}"]
    with pytest.raises(UserError, match="the model looks at clips, and the data are images"):
        train(load_overrides([*images, "trainer.stages=[test]", f"model_uri={run}"]), tmp_path / "images")
    with pytest.raises(UserError, match="the model looks at single faces, and the data are clips"):
        train(configure("trainer.stages=[test]", "model_uri=pretrained", "model.encoder=null"), tmp_path / "clips")
    judged = ("trainer.stages=[test]", f"model_uri={run}", "model.encoder=null", "evaluation.slices=true")
    with pytest.raises(UserError, match="evaluation.slices=true: is for models of single faces"):
        train(configure(*judged), tmp_path / "slices")
    with pytest.raises(ModelError, match=r"is a model of clips, and trainer.stages=\[embed\]"):
        train(configure("trainer.stages=[embed]", f"model_uri={run}", "model.encoder=null"), tmp_path / "embed")


@pytest.mark.parametrize("setting", ["trainer.explain=true", "evaluation.robustness=true"])
def test_stages_for_single_faces_are_refused_before_there_is_a_run(
    setting: str, configure: Callable[..., Config], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=f"{setting}: is for models of single faces"):
        train(configure(setting), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_encoder_is_a_models_body_without_its_classifier(encoder: str, configure: Callable[..., Config]) -> None:
    config = configure("model.temporal.freeze_encoder=true")
    module, digest = build_module(config, 7, "cpu")
    source = load_bundle(encoder)
    assert digest == source.description.weights_sha256
    network = module.network
    assert isinstance(network, TemporalNetwork) and network.format.gray
    state = {name: value for name, value in source.network.body.state_dict().items() if not name.startswith("fc.")}
    loaded = network.body.encoder.state_dict()
    assert state.keys() == loaded.keys()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())
    trained = {id(weight) for group in module.build_optimizer().param_groups for weight in group["params"]}
    assert not trained & {id(weight) for weight in network.body.encoder.parameters()}
    # What a training ends with has the normalisation and the colour from its checkpoint.
    again = build_network(config, 7)
    again.load_state_dict(network.state_dict())
    clips, mask = draw_windows()
    with torch.no_grad():
        assert torch.equal(again.eval()(clips, mask), network.eval()(clips, mask))


def test_an_encoder_that_does_not_fit_is_one_sentence(
    configure: Callable[..., Config], tmp_path: Path, encoder: str
) -> None:
    other = save_encoder(tmp_path / "other", "test_efficientnet")
    clips = save_clip_bundle(tmp_path / "clips", build_clip_network())
    for uri, words in (
        (other, "is test_efficientnet, and model.name=test_resnet; use model.name=test_efficientnet"),
        (str(clips), "is a model of clips; name one of single faces"),
        (str(tmp_path / "none"), "there is no such directory"),
    ):
        config = configure(f"model.encoder={uri}")
        network = build_network(config, 7)
        assert isinstance(network, TemporalNetwork)
        with pytest.raises(UserError) as refused:
            load_encoder(config, network)
        assert str(refused.value).startswith(f"model.encoder={uri}: {words}")


def make_batch() -> dict[str, Any]:
    clips, mask = draw_windows()
    targets = torch.eye(len(CLASSES))[[0, 1, 2]]
    return {"images": clips, "mask": mask, "targets": targets, "weights": torch.tensor([1.0, 2.0, 0.5])}


def test_a_loss_a_frame_is_the_mean_over_frames_that_are_there() -> None:
    batch, network = make_batch(), build_clip_network()
    module = FaceClassifierModule(network, settings(per_frame=True))
    outputs, judged = compute_batch_outputs(network, batch, per_frame=True)
    assert outputs.shape == (3, 3) and judged.shape == (3, 6, 3)
    losses = [
        np.mean(
            [torch.nn.functional.cross_entropy(judged[row, place], batch["targets"][row]).item() for place in there]
        )
        for row, there in enumerate(mask.nonzero()[0] for mask in batch["mask"].numpy())
    ]
    weights = batch["weights"].numpy()
    assert module.compute_loss(judged, batch).item() == pytest.approx(np.average(losses, weights=weights), rel=1e-5)
    spread = spread_over_frames(judged, batch)[1]["weights"].view(3, 6)
    torch.testing.assert_close(spread.sum(1), batch["weights"])
    assert not spread[~batch["mask"]].any()


def test_a_loss_a_clip_is_that_of_its_answer() -> None:
    batch, network = make_batch(), build_clip_network()
    outputs, judged = compute_batch_outputs(network, batch)
    assert judged is outputs
    torch.testing.assert_close(outputs, network(batch["images"], batch["mask"]))


@pytest.mark.usefixtures("without_report")
def test_convolutions_through_time_train_too(work: Path, tmp_path: Path) -> None:
    cache = f"dataset.cache_dir={work / 'cache'}"
    few = ("model.name=mc3_18", "trainer.max_epochs=1", "trainer.limit_batches=1", "dataset.batch_size=2")
    train(load_overrides(["model=video3d", *DATA, *SMALL, *few, cache]), tmp_path / "run")
    assert load_bundle(str(tmp_path / "run")).description.content["temporal"] == {
        **{"kind": "video3d", "length": 6, "step_s": 0.125, "position": "causal"}
    }
