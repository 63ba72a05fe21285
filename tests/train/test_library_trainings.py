"""Trainings under schedules of PyTorch and timm: their rates, and that a resumed one is the unbroken one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from fer.errors import ModelError
from fer.models.network import FaceNetwork
from fer.train.library_schedules import LibrarySchedule
from fer.train.module import FaceClassifierModule
from tests.helpers.networks import batch_of, settings

pytestmark = pytest.mark.filterwarnings(
    *("ignore:.*LeafSpec.*", "ignore:Found .* in eval mode", "ignore:.*num_workers", "ignore:Checkpoint directory"),
    "ignore:The dirpath has changed",
)
Make = Callable[[], FaceNetwork]
LR = 0.01


class Rates(pl.Callback):
    """The learning rate of each step."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_before_optimizer_step(self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: Any) -> None:
        self.rates.append(optimizer.param_groups[0]["lr"])


def fit(
    module: FaceClassifierModule, folder: Path, checkpoint: Path | None = None, accumulate: int = 1, epochs: int = 4
) -> list[float]:
    """Train epochs of three batches, with a checkpoint of each epoch; the rate of each step."""
    watch = Rates()
    loader: DataLoader[Any] = DataLoader([batch_of(4), batch_of(7), batch_of(2)], batch_size=None)  # type: ignore[arg-type]
    keep = ModelCheckpoint(folder, "{epoch}", monitor=None, save_top_k=-1, save_on_train_epoch_end=True)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        accumulate_grad_batches=accumulate,
        callbacks=[watch, keep],
        num_sanity_val_steps=0,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader, loader, ckpt_path=checkpoint, weights_only=True)
    return watch.rates


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "interval", "options"),
    [
        ("CosineAnnealingWarmRestarts", "epoch", {"T_0": 2}),
        ("ReduceLROnPlateau", "epoch", {"patience": 0, "threshold": 10.0}),
        ("OneCycleLR", "step", {}),
        ("CosineLRScheduler", "epoch", {"warmup_t": 1}),
        ("TanhLRScheduler", "step", {}),
        ("PlateauLRScheduler", "epoch", {"patience_t": 1, "threshold": 10.0}),
    ],
)
def test_a_resumed_training_is_the_unbroken_one(
    kind: str, interval: str, options: dict[str, Any], make_network: Make, tmp_path: Path
) -> None:
    chosen = LibrarySchedule(kind, options, interval, LR, "val_accuracy")
    start = make_network().state_dict()

    def begin() -> FaceClassifierModule:
        network = make_network()
        network.load_state_dict(start)
        return FaceClassifierModule(network, settings(lr=LR), library_schedule=chosen)

    whole = begin()
    rates = fit(whole, tmp_path)
    assert len(set(rates[::3])) > 1
    if interval == "epoch":
        assert [rates[0], rates[3], rates[6], rates[9]] == rates[2::3]
    resumed = begin()
    assert fit(resumed, tmp_path / "again", tmp_path / "epoch=1.ckpt") == rates[6:]
    assert all(torch.equal(value, resumed.state_dict()[key]) for key, value in whole.state_dict().items())


@pytest.mark.slow
def test_rates_are_those_of_the_library_alone(make_network: Make, tmp_path: Path) -> None:
    def train_with(kind: str, interval: str, accumulate: int = 1, **options: Any) -> list[float]:
        chosen = LibrarySchedule(kind, options, interval, LR, "val_accuracy")
        module = FaceClassifierModule(make_network(), settings(lr=LR), library_schedule=chosen)
        return fit(module, tmp_path, accumulate=accumulate)

    assert train_with("StepLR", "epoch", step_size=2) == pytest.approx([0.01] * 6 + [0.001] * 6)
    assert train_with("ExponentialLR", "step", gamma=0.5) == pytest.approx([0.01 * 0.5**n for n in range(12)])
    # Three batches are two steps.
    added = train_with("StepLRScheduler", "step", accumulate=2, decay_t=3, decay_rate=0.1)
    assert added == pytest.approx([0.01] * 3 + [0.001] * 3 + [0.0001] * 2)
    optimizer = torch.optim.SGD(torch.nn.Linear(2, 2).parameters(), lr=LR)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 4)
    expected = []
    for _ in range(4):
        expected += [optimizer.param_groups[0]["lr"]] * 3
        optimizer.step()
        cosine.step()
    assert train_with("CosineAnnealingLR", "epoch") == pytest.approx(expected)


def test_too_few_steps_are_said_before_the_training(make_network: Make, tmp_path: Path) -> None:
    chosen = LibrarySchedule("OneCycleLR", {"total_steps": 11}, "step", LR, "val_accuracy")
    with pytest.raises(ModelError, match="OneCycleLR: fails after step 12 of 12 with"):
        fit(FaceClassifierModule(make_network(), settings(lr=LR), library_schedule=chosen), tmp_path)
