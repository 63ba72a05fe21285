"""The training of a face network, as a Lightning module."""

from typing import Any

import pytorch_lightning as pl
import torch
from timm.optim import param_groups_weight_decay
from timm.utils import ModelEmaV3, distribute_bn
from torch import Tensor

from fer.data.augmentation import ShardSlice
from fer.metrics.classification import compute_confusion_matrix, compute_metrics
from fer.models.freezing import freeze_except, has_frozen_parameters, select_trainable_names
from fer.models.losses import compute_weighted_loss
from fer.models.network import FaceNetwork
from fer.train.distributed import all_gather_rows, all_reduce_sum, get_world_size
from fer.train.schedules import compute_lr_factor


class FaceClassifierModule(pl.LightningModule):
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
        self.val_outputs: list[tuple[Tensor, Tensor, Tensor]] = []
        self.val_shards: list[ShardSlice] = []
        self.val_metrics: dict[str, float] = {}

    @property
    def eval_network(self) -> FaceNetwork:
        """The network that is validated, and that leaves the run."""
        return self.network if self.average is None else self.average.module

    def forward(self, images: Tensor) -> Tensor:
        return self.eval_network(images)

    def compute_loss(self, logits: Tensor, batch: dict[str, Any]) -> Tensor:
        cfg = self.settings
        return compute_weighted_loss(
            logits,
            batch["targets"],
            batch["weights"],
            cfg["loss_kind"],
            cfg["label_smoothing"],
            cfg["focal_gamma"],
        )

    def on_train_epoch_start(self) -> None:
        self.train_sums.zero_()
        head_epochs, per_epoch = self.settings["head_epochs"], self.settings["unfreeze_per_epoch"]
        if has_frozen_parameters(head_epochs, per_epoch):
            free = select_trainable_names(self.network, self.current_epoch, head_epochs, per_epoch)
            freeze_except(self.network.body, free)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        processes = get_world_size()
        logits = self.network(batch["images"])
        loss = self.compute_loss(logits, batch)
        if processes > 1:
            # Its part of the whole batch's loss; Lightning's strategy averages the gradients of all parts.
            loss = loss * (batch["weights"].sum() / batch["whole_weight"])
        with torch.no_grad():
            start, stop, whole = batch["shard"]
            right = (logits.argmax(1) == batch["targets"].argmax(1))[: stop - start].sum()
            count = torch.full_like(right, stop - start)
            self.train_sums += torch.stack((loss.detach() * whole, right, count)).to(self.train_sums)
        return loss * processes if processes > 1 else loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.average is not None:
            self.average.update(self.network, step=self.global_step)

    def on_validation_epoch_start(self) -> None:
        if get_world_size() > 1:
            # Each process has normalised its own part of the batches: what is validated is one network.
            distribute_bn(self, get_world_size(), reduce=True)

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        logits = self.eval_network(batch["images"])
        self.val_outputs.append((logits, batch["targets"], batch["weights"]))
        self.val_shards.append(batch["shard"])

    def on_validation_epoch_end(self) -> None:
        logits, targets, weights = (
            all_gather_rows(column, self.val_shards) for column in zip(*self.val_outputs, strict=True)
        )
        self.val_outputs.clear()
        self.val_shards.clear()
        # Callbacks read the sums when the epoch ends, before the module's own hook.
        all_reduce_sum(self.train_sums)
        loss = self.compute_loss(logits, {"targets": targets, "weights": weights})
        labels, predicted = targets.argmax(1).cpu().numpy(), logits.argmax(1).cpu().numpy()
        values = compute_metrics(compute_confusion_matrix(labels, predicted, targets.shape[1]))
        self.val_metrics = {
            "val_loss": float(loss),
            **{f"val_{name}": float(values[name]) for name in ("accuracy", "balanced_accuracy", "macro_f1")},
        }
        self.log_dict(self.val_metrics)

    def configure_optimizers(self) -> Any:
        cfg = self.settings
        groups = param_groups_weight_decay(self.network, cfg["weight_decay"])
        optimizer = torch.optim.AdamW(groups, lr=cfg["lr"], fused=cfg["fused"] or None)
        steps = int(self.trainer.estimated_stepping_batches)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: compute_lr_factor(cfg["schedule_kind"], step, steps, cfg["warmup"], cfg["final"]),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
