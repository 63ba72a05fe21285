"""Stochastic weight averaging: what is averaged when, and that it is what is validated, kept and shipped."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from safetensors.torch import load_file
from timm.utils import ModelEmaV3
from torch import Tensor

from fer.config.compose import load_overrides
from fer.config.contradictions import find_contradictions
from fer.models.network import FaceNetwork
from fer.train.averaging import EpochAverage, MovingAverage, find_first_averaged_epoch
from fer.train.callbacks import MetricsHistory
from fer.train.module import FaceClassifierModule
from fer.train.pipeline import resume, train
from tests.helpers.composing import refusal
from tests.helpers.networks import batch_of, settings
from tests.helpers.programs import FAST, metrics_of
from tests.train.test_module import fit

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*", "ignore:Found .* in eval mode", "ignore:.*num_workers")
Make = Callable[[], FaceNetwork]
SWA = (
    *(*FAST, "dataset.sources.synthetic.count=70", "trainer.limit_batches=2", "optimizer=adamw_constant"),
    *("trainer.ema_decay=0", "trainer.swa_start=0.5", "trainer.max_epochs=4"),
)


@pytest.mark.parametrize(
    ("start", "epochs", "first"), [(0, 4, 0), (0.5, 4, 2), (0.75, 10, 7), (0.29, 100, 29), (0.99, 3, 2), (0, 1, 0)]
)
def test_the_phase_begins_with_the_first_epoch_that_ends_after_its_start(start: float, epochs: int, first: int) -> None:
    assert find_first_averaged_epoch(start, epochs) == first


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 10, 100])
@pytest.mark.parametrize("start", [0, 0.5, 0.66, 0.67, 0.89, 0.9, 0.99])
def test_an_average_of_one_epoch_is_told(start: float, epochs: int) -> None:
    config = load_overrides(["trainer.ema_decay=0", f"trainer.swa_start={start}", f"trainer.max_epochs={epochs}"])
    alone = find_first_averaged_epoch(start, epochs) == epochs - 1
    assert any("averages one epoch alone" in line for line in find_contradictions(config)) == alone


def test_the_moving_average_is_that_of_timm() -> None:
    network = FaceNetwork("mobilenetv2_050", 7, 32, 0.0).train()
    ours, theirs = MovingAverage(network, 0.9), ModelEmaV3(network, decay=0.9, use_warmup=True)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for step in range(1, 5):
        network(torch.rand(4, 3, 32, 32)).square().mean().backward()
        optimizer.step()
        ours.update(network, step=step)
        theirs.update(network, step=step)
    mine, its = ours.module.state_dict(), theirs.module.state_dict()
    assert mine["body.bn1.num_batches_tracked"] == 4
    assert not torch.equal(mine["body.conv_stem.weight"], network.state_dict()["body.conv_stem.weight"])
    assert all(torch.equal(mine[key], value) for key, value in its.items())


class States(pl.Callback):
    """Notes the states of network and average at the end of each epoch."""

    def __init__(self) -> None:
        self.network: list[dict[str, Tensor]] = []
        self.average: list[dict[str, Tensor]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, FaceClassifierModule)
        self.network.append({key: value.clone() for key, value in module.network.state_dict().items()})
        self.average.append({key: value.clone() for key, value in module.eval_network.state_dict().items()})


def test_the_ends_of_the_phase_are_averaged_equally_with_their_buffers(make_network: Make) -> None:
    module = FaceClassifierModule(make_network(), settings(lr=0.01), swa_epoch=1)
    states = States()
    fit(module, [batch_of(8), batch_of(4)], 4, states)
    for epoch in (0, 1):
        for key, value in states.network[epoch].items():
            torch.testing.assert_close(states.average[epoch][key], value, rtol=0, atol=0)
    for epoch in (2, 3):
        for key, value in states.average[epoch].items():
            ends = [state[key] for state in states.network[1 : epoch + 1]]
            if value.is_floating_point():
                torch.testing.assert_close(value, torch.stack(ends).mean(0), rtol=1e-4, atol=1e-6)
            else:
                # Batch norm's counters of batches.
                assert torch.equal(value, ends[-1]) and key.endswith("num_batches_tracked")
    assert any(not torch.allclose(states.average[3][key], value, atol=1e-4) for key, value in states.network[3].items())


def test_the_average_is_what_is_validated(make_network: Make) -> None:
    module = FaceClassifierModule(make_network(), settings(lr=0.01), swa_epoch=0)
    batch = batch_of(12)
    fit(module, [batch], 3)
    assert isinstance(module.average, EpochAverage) and module.eval_network is module.average.module
    with torch.no_grad():
        losses = [
            torch.nn.functional.cross_entropy(network.eval()(batch["images"]), batch["targets"]).item()
            for network in (module.eval_network, module.network)
        ]
    assert module.val_metrics["val_loss"] == pytest.approx(losses[0], rel=1e-4)
    assert module.val_metrics["val_loss"] != pytest.approx(losses[1], rel=1e-3)


def test_a_phase_that_was_moved_averages_what_it_has(make_network: Make) -> None:
    """A training goes on with fewer epochs, so that its phase had begun before it: one epoch is there, not three."""
    network = make_network()
    average = EpochAverage(network, 1)
    average.n_averaged.fill_(1)
    with torch.no_grad():
        network.body.classifier.bias.add_(1.0)  # type: ignore[union-attr, operator]
    before = average.module.body.classifier.bias.clone()
    average.update(network, 4, True)
    torch.testing.assert_close(average.module.body.classifier.bias, before + 0.5)
    assert int(average.n_averaged) == 2


def test_two_averages_are_refused() -> None:
    assert "use trainer.ema_decay=0, or trainer.swa_start=null" in refusal("trainer.swa_start=0.5")
    assert "trainer.swa_start" in refusal("trainer.swa_start=1.5", "trainer.ema_decay=0")
    assert load_overrides(["trainer.swa_start=0.5", "trainer.ema_decay=0"]).trainer.swa_start == 0.5


@pytest.mark.slow
@pytest.mark.usefixtures("without_report")
def test_a_resumed_run_has_the_average_of_an_unbroken_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_overrides([*SWA])
    train(config, tmp_path / "whole")
    started = MetricsHistory.on_train_epoch_start

    def crash(self: MetricsHistory, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        started(self, trainer, module)
        if trainer.current_epoch == 3:
            raise RuntimeError("the machine crashed")

    with monkeypatch.context() as patch:
        patch.setattr(MetricsHistory, "on_train_epoch_start", crash)
        with pytest.raises(RuntimeError, match="crashed"):
            train(config, tmp_path / "broken")
    resume(tmp_path / "broken")
    whole, broken = (tmp_path / name for name in ("whole", "broken"))
    assert metrics_of(whole)["weights_sha256"] == metrics_of(broken)["weights_sha256"]
    last, resumed = (
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for run in (whole, broken)
    )
    assert last.keys() == resumed.keys() and last["average.n_averaged"] == 2
    assert all(torch.equal(value, resumed[key]) for key, value in last.items())
    histories = [
        pd.read_csv(run / "history.csv").drop(columns=["seconds", "images_per_second"]) for run in (whole, broken)
    ]
    pd.testing.assert_frame_equal(*histories)
    # What is shipped is the average of the best epoch.
    best = torch.load(whole / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    weights = load_file(whole / "bundle" / "weights.safetensors")
    assert all(torch.equal(value, best[f"average.module.body.{key}"]) for key, value in weights.items())
    with pytest.raises(Exception, match="no average of weights as this one"):
        train(load_overrides([*SWA, "trainer.swa_start=null", f"trainer.resume_from={whole}"]), tmp_path / "other")
