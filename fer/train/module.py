"""The training of a face network, as a Lightning module."""

from typing import Any

import pytorch_lightning as pl
import torch
from timm.optim import param_groups_weight_decay
from timm.utils import ModelEmaV3, distribute_bn
from torch import Tensor

from fer.data.augmentation import Share
from fer.metrics.classification import confusion_matrix, figures
from fer.models.freezing import any_frozen, freeze_but, trainable_names
from fer.models.losses import loss_of
from fer.models.network import FaceNetwork
from fer.train.distributed import gather_rows, sum_over_ranks, world_size
from fer.train.schedules import rate_factor


class Classifier(pl.LightningModule):
    """Trains ``network``; validation judges its moving average where ``ema_decay`` is above 0.

    Where several processes train together, each gets a share of every batch, and all have the same figures.
    ``settings`` is a plain dict of numbers and strings (kept as hyper-parameters, so checkpoints load without
    running code): loss_kind, label_smoothing, focal_gamma, lr, weight_decay, schedule_kind, warmup, final, ema_decay,
    head_epochs, unfreeze_per_epoch, fused.
    """

    train_sums: Tensor

    def __init__(self, network: FaceNetwork, settings: dict[str, Any]) -> None:
        super().__init__()
        self.save_hyperparameters({"settings": settings})
        self.network = network
        self.settings = settings
        self.average = (
            ModelEmaV3(network, decay=settings["ema_decay"], use_warmup=True) if settings["ema_decay"] else None
        )
        if self.average is not None:
            # It follows; several processes would wait for its gradients.
            self.average.requires_grad_(False)
        # Sums stay on the device: reading one back each step would make a GPU wait.
        self.register_buffer("train_sums", torch.zeros(3), persistent=False)
        self.seen: list[tuple[Tensor, Tensor, Tensor]] = []
        self.seen_shares: list[Share] = []
        self.validated: dict[str, float] = {}

    @property
    def judged(self) -> FaceNetwork:
        """The network that is validated, and that leaves the run."""
        return self.network if self.average is None else self.average.module

    def forward(self, images: Tensor) -> Tensor:
        return self.judged(images)

    def loss(self, logits: Tensor, batch: dict[str, Any]) -> Tensor:
        chosen = self.settings
        return loss_of(
            logits,
            batch["targets"],
            batch["weights"],
            chosen["loss_kind"],
            chosen["label_smoothing"],
            chosen["focal_gamma"],
        )

    def on_train_epoch_start(self) -> None:
        self.train_sums.zero_()
        head_epochs, per_epoch = self.settings["head_epochs"], self.settings["unfreeze_per_epoch"]
        if any_frozen(head_epochs, per_epoch):
            free = trainable_names(self.network, self.current_epoch, head_epochs, per_epoch)
            freeze_but(self.network.body, free)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        processes = world_size()
        logits = self.network(batch["images"])
        loss = self.loss(logits, batch)
        if processes > 1:
            # Its part of the whole batch's loss; Lightning's strategy averages the gradients of all parts.
            loss = loss * (batch["weights"].sum() / batch["whole_weight"])
        with torch.no_grad():
            start, stop, whole = batch["share"]
            right = (logits.argmax(1) == batch["targets"].argmax(1))[: stop - start].sum()
            count = torch.full_like(right, stop - start)
            self.train_sums += torch.stack((loss.detach() * whole, right, count)).to(self.train_sums)
        return loss * processes if processes > 1 else loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.average is not None:
            self.average.update(self.network, step=self.global_step)

    def on_validation_epoch_start(self) -> None:
        if world_size() > 1:
            # Each process has normalised its own part of the batches: what is validated is one network.
            distribute_bn(self, world_size(), reduce=True)

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        logits = self.judged(batch["images"])
        self.seen.append((logits, batch["targets"], batch["weights"]))
        self.seen_shares.append(batch["share"])

    def on_validation_epoch_end(self) -> None:
        logits, targets, weights = (gather_rows(column, self.seen_shares) for column in zip(*self.seen, strict=True))
        self.seen.clear()
        self.seen_shares.clear()
        # Callbacks read the sums when the epoch ends, before the module's own hook.
        sum_over_ranks(self.train_sums)
        loss = self.loss(logits, {"targets": targets, "weights": weights})
        labels, predicted = targets.argmax(1).cpu().numpy(), logits.argmax(1).cpu().numpy()
        values = figures(confusion_matrix(labels, predicted, targets.shape[1]))
        self.validated = {
            "val_loss": float(loss),
            **{f"val_{name}": float(values[name]) for name in ("accuracy", "balanced_accuracy", "macro_f1")},
        }
        self.log_dict(self.validated)

    def configure_optimizers(self) -> Any:
        chosen = self.settings
        groups = param_groups_weight_decay(self.network, chosen["weight_decay"])
        optimizer = torch.optim.AdamW(groups, lr=chosen["lr"], fused=chosen["fused"] or None)
        steps = int(self.trainer.estimated_stepping_batches)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: rate_factor(chosen["schedule_kind"], step, steps, chosen["warmup"], chosen["final"]),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
