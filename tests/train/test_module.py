"""The training of a network under Lightning: steps, averages, frozen epochs, figures."""

import copy
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from fer.metrics.classification import compute_confusion_matrix, compute_metrics
from fer.models.losses import compute_weighted_loss
from fer.models.network import FaceNetwork
from fer.train.module import FaceClassifierModule
from fer.train.schedules import compute_lr_factor
from tests.helpers.networks import batch_of, settings

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*", "ignore:Found .* in eval mode", "ignore:.*num_workers")
Make = Callable[[], FaceNetwork]


class Watch(pl.Callback):
    """Notes the learning rate and a copy of all weights after each step, and the weights at the end of each epoch."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.weights: list[dict[str, torch.Tensor]] = []
        self.epochs: list[dict[str, torch.Tensor]] = []
        self.sums: list[list[float]] = []

    def on_before_optimizer_step(self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: Any) -> None:
        self.rates.append(optimizer.param_groups[0]["lr"])

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, *_: Any) -> None:
        self.weights.append({key: value.clone() for key, value in module.network.state_dict().items()})

    def on_train_epoch_end(self, trainer: pl.Trainer, module: Any) -> None:
        self.epochs.append({key: value.clone() for key, value in module.network.body.state_dict().items()})
        self.sums.append(module.train_sums.tolist())


def fit(module: FaceClassifierModule, batches: list[dict[str, Any]], epochs: int = 1, *callbacks: pl.Callback) -> Watch:
    watch = Watch()
    loader: DataLoader[Any] = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=[watch, *callbacks],
        num_sanity_val_steps=0,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(module, loader, loader)
    return watch


@pytest.mark.parametrize("name", ["mobilenetv2_035", "test_vit"])
def test_norms_and_biases_and_only_they_are_not_decayed(name: str) -> None:
    network = FaceNetwork(name, 7, 32, 0.0)
    module = FaceClassifierModule(network, settings(weight_decay=0.3))
    fit(module, [batch_of(4)])
    groups = {group["weight_decay"]: group["params"] for group in module.trainer.optimizers[0].param_groups}
    assert set(groups) == {0.0, 0.3}
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d | nn.LayerNorm | nn.GroupNorm)]
    undecayed = {id(parameter) for part in norms for parameter in part.parameters()}
    undecayed |= {id(parameter) for key, parameter in network.named_parameters() if key.endswith(".bias")}
    if name == "test_vit":
        undecayed |= {id(parameter) for key, parameter in network.named_parameters() if key.endswith(".gamma")}
    assert {id(parameter) for parameter in groups[0.0]} == undecayed
    assert {id(parameter) for parameter in groups[0.3]} == {id(p) for p in network.parameters()} - undecayed


def test_a_step_lowers_the_loss_on_its_batch(make_network: Make) -> None:
    module = FaceClassifierModule(make_network(), settings(lr=3e-4))
    batch = batch_of(16)

    def loss() -> float:
        module.network.train()
        with torch.no_grad():
            return module.training_step(batch, 0).item()

    before = loss()
    fit(module, [batch])
    after = loss()
    assert after < before - 0.05
    fit(module, [batch] * 10)
    assert loss() < after - 0.2


def test_the_rate_follows_the_schedule_over_all_steps(make_network: Make) -> None:
    chosen = settings(lr=0.02, schedule_kind="one_cycle", warmup=0.25, final=0.01)
    watch = fit(FaceClassifierModule(make_network(), chosen), [batch_of(4)] * 4, epochs=2)
    assert watch.rates == pytest.approx(
        [0.02 * compute_lr_factor("one_cycle", step, 8, 0.25, 0.01) for step in range(8)]
    )
    assert watch.rates[2] == pytest.approx(0.02)
    assert watch.rates[7] == pytest.approx(0.0002)


def test_the_moving_average_follows_the_weights(make_network: Make) -> None:
    """The decay warms up as 1 - (1 + step)^(-2/3), from 0 at the first step to at most ema_decay."""
    module = FaceClassifierModule(make_network(), settings(ema_decay=0.6))
    assert module.eval_network is not module.network
    watch = fit(module, [batch_of(4), batch_of(8)], epochs=3)
    key = "body.blocks.3.0.conv_pw.weight"
    expected = watch.weights[0][key]
    for step, weights in enumerate(watch.weights[1:], start=1):
        decay = min(0.6, 1 - (1 + step) ** (-2 / 3))
        expected = decay * expected + (1 - decay) * weights[key]
    torch.testing.assert_close(module.eval_network.state_dict()[key], expected)
    assert not torch.allclose(expected, watch.weights[-1][key], atol=1e-5)
    assert not torch.allclose(expected, watch.weights[0][key], atol=1e-5)


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_validation_judges_the_average_where_there_is_one(make_network: Make, decay: float) -> None:
    module = FaceClassifierModule(make_network(), settings(ema_decay=decay, label_smoothing=0.1))
    batches = [batch_of(12), batch_of(5)]
    batches[1]["weights"] = torch.full((5,), 3.0)
    fit(module, batches)
    judged = module.eval_network.eval()
    assert (judged is module.network) == (decay == 0.0)
    with torch.no_grad():
        logits = torch.cat([judged(batch["images"]) for batch in batches])
    targets, weights = (torch.cat([batch[key] for batch in batches]) for key in ("targets", "weights"))
    values = compute_metrics(compute_confusion_matrix(targets.argmax(1).numpy(), logits.argmax(1).numpy(), 7))
    objective = compute_weighted_loss(logits, targets, weights, "cross_entropy", 0.1, 2.0)
    loss = -(targets * logits.log_softmax(1)).sum(1).mean()
    assert module.val_metrics == {
        "val_loss": pytest.approx(loss.item(), rel=1e-4),
        "val_accuracy": pytest.approx(float(values["accuracy"])),
        "val_balanced_accuracy": pytest.approx(float(values["balanced_accuracy"])),
        "val_macro_f1": pytest.approx(float(values["macro_f1"])),
        "val_objective": pytest.approx(objective.item(), rel=1e-4),
    }
    assert {key: float(value) for key, value in module.trainer.callback_metrics.items()} == {
        key: pytest.approx(value) for key, value in module.val_metrics.items()
    }


@pytest.mark.parametrize("other", [{"label_smoothing": 0.3}, {"loss_kind": "focal", "focal_gamma": 4.0}])
def test_the_validation_loss_does_not_depend_on_what_training_minimises(
    make_network: Make, other: dict[str, object]
) -> None:
    network = make_network()
    found = []
    # No step changes anything, so that the same network is validated.
    for changes in ({}, other):
        module = FaceClassifierModule(copy.deepcopy(network), settings(lr=1e-30, weight_decay=0.0, **changes))
        fit(module, [batch_of(12)])
        found.append(module.val_metrics)
    assert found[0]["val_loss"] == pytest.approx(found[1]["val_loss"], rel=1e-3)
    assert found[0]["val_objective"] != pytest.approx(found[1]["val_objective"], rel=1e-2)


def test_training_sums_are_of_one_epoch_and_per_image(make_network: Make) -> None:
    module = FaceClassifierModule(make_network(), settings(lr=1e-9))
    batches = [batch_of(12), batch_of(4)]
    watch = fit(module, batches, epochs=2)
    module.network.train()
    with torch.no_grad():
        logits = [module.network(batch["images"]) for batch in batches]
        losses = [module.compute_loss(found, batch).item() for found, batch in zip(logits, batches, strict=True)]
    total = 12 * losses[0] + 4 * losses[1]
    right = sum(
        int((found.argmax(1) == batch["targets"].argmax(1)).sum()) for found, batch in zip(logits, batches, strict=True)
    )
    for sums in watch.sums:
        assert sums == [pytest.approx(total, rel=1e-4), right, 16]


def test_frozen_epochs_leave_the_body_and_its_statistics_alone(make_network: Make) -> None:
    network = make_network()
    start = {key: value.clone() for key, value in network.body.state_dict().items()}
    module = FaceClassifierModule(network, settings(head_epochs=1, unfreeze_per_epoch=0, lr=1e-2))
    first, second = fit(module, [batch_of(8)] * 2, epochs=2).epochs

    def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
        return {key for key in before if not torch.equal(before[key], after[key])}

    assert changed(start, first) == {"classifier.weight", "classifier.bias"}
    assert changed(first, second) == set(start)


@pytest.mark.parametrize("per_epoch", [1, 3])
def test_groups_train_from_their_epoch_on(make_network: Make, per_epoch: int) -> None:
    module = FaceClassifierModule(make_network(), settings(unfreeze_per_epoch=per_epoch, lr=1e-2))
    first, second = fit(module, [batch_of(8)], epochs=2).epochs
    moved = {
        key.split(".")[1] for key in first if key.startswith("blocks") and not torch.equal(first[key], second[key])
    }
    assert moved == ({"5", "6"} if per_epoch == 1 else {"1", "2", "3", "4", "5", "6"})


def test_settings_are_kept_as_plain_hyper_parameters(make_network: Make) -> None:
    module = FaceClassifierModule(make_network(), settings(lr=0.004))
    assert dict(module.hparams) == {"settings": asdict(settings(lr=0.004))}
    assert {type(value) for value in module.hparams["settings"].values()} <= {str, int, float, bool, dict}


def test_the_module_answers_with_the_judged_network(make_network: Make) -> None:
    module = FaceClassifierModule(make_network(), settings(ema_decay=0.5)).eval()
    with torch.no_grad():
        module.network.body.classifier.bias.add_(1.0)  # type: ignore[union-attr, operator]
        images = batch_of(3)["images"]
        torch.testing.assert_close(module(images), module.network(images) - 1.0)
