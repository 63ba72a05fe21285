"""The training of a face network as a Lightning module."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast

import pytorch_lightning as pl
import torch
from timm.utils import distribute_bn
from torch import Tensor
from typing_extensions import override

from fer.data.augmentation import ShardSlice
from fer.metrics.classification import compute_confusion_matrix, compute_metrics
from fer.models.clip_network import ClipNetwork
from fer.models.freezing import freeze_except, has_frozen_parameters, select_trainable_names
from fer.models.losses import (
    PluginLoss,
    average_losses,
    compute_affect_loss,
    compute_distillation_loss,
    compute_weighted_loss,
)
from fer.models.network import FaceNetwork
from fer.train.averaging import EpochAverage, MovingAverage
from fer.train.clip_outputs import compute_batch_outputs, spread_over_frames
from fer.train.distributed import all_gather_rows, all_reduce_sum, get_world_size
from fer.train.library_schedules import LibrarySchedule
from fer.train.logit_adjustment import compute_logit_offsets
from fer.train.optimization import OptimizationConfig
from fer.train.optimizers import build_optimizer
from fer.train.schedules import compute_lr_factor
from fer.train.validation_points import is_epoch_end

# The mean concordance of valence and arousal on validation, where a network learns them.
AFFECT_METRIC = "val_ccc"


class FaceClassifierModule(pl.LightningModule):
    """Trains a network; its average is what is validated where ``ema_decay`` is above 0, or ``swa_epoch`` given.

    Where several processes train together, each gets its slice of every batch, and all have the same metrics.

    Args:
        network: The network to train.
        config: Loss, optimizer and schedule; checkpoints keep them as plain values.
        plugin_loss: The loss of a plugin, where it is none of the built-in ones.
        library_schedule: The schedule where it is one of PyTorch or timm.
        class_prior: (classes,) fractions of the classes in the training data, for ``logit_adjustment``.
        swa_epoch: The first epoch, from 0, at whose end weights are averaged equally; None averages none so.
    """

    train_sums: Tensor
    logit_offsets: Tensor

    def __init__(
        self,
        network: FaceNetwork | ClipNetwork,
        config: OptimizationConfig,
        *,
        plugin_loss: PluginLoss | None = None,
        library_schedule: LibrarySchedule | None = None,
        class_prior: tuple[float, ...] | None = None,
        swa_epoch: int | None = None,
    ) -> None:
        super().__init__()
        # Plain numbers and strings, so that a checkpoint loads without running code.
        chosen = {} if library_schedule is None else {"library_schedule": asdict(library_schedule)}
        self.save_hyperparameters({"settings": asdict(config), **chosen})
        self.network = network
        self.config = config
        self.plugin_loss = plugin_loss
        self.library_schedule = library_schedule
        self.average: MovingAverage | EpochAverage | None = None
        if config.ema_decay:
            self.average = MovingAverage(network, config.ema_decay)
        elif swa_epoch is not None:
            self.average = EpochAverage(network, swa_epoch)
        if self.average is not None:
            # It gets no gradients, for which several processes would wait.
            self.average.requires_grad_(False)
        offsets = compute_logit_offsets(class_prior or (1.0,), config.logit_adjustment)
        self.register_buffer("logit_offsets", torch.tensor(offsets, dtype=torch.float32), persistent=False)
        # Sums stay on the device: reading one back each step would make a GPU wait.
        self.register_buffer("train_sums", torch.zeros(3), persistent=False)
        # The same of all processes together, up to the last validation.
        self.epoch_sums = torch.zeros(3)
        self.val_outputs: list[tuple[Tensor, Tensor, Tensor]] = []
        self.val_shards: list[ShardSlice] = []
        self.val_metrics: dict[str, float] = {}
        self.averaged_step = 0
        # Of a run that was begun before 0.3, whose best epochs were chosen so.
        self.val_loss_is_objective = False

    @property
    def eval_network(self) -> FaceNetwork | ClipNetwork:
        """The network that is validated and exported: the average where there is one."""
        return self.network if self.average is None else cast(FaceNetwork | ClipNetwork, self.average.module)

    @property
    def unit(self) -> str:
        """What a sample is called."""
        return "clips" if isinstance(self.network, ClipNetwork) else "images"

    @override
    def forward(self, *inputs: Tensor) -> Tensor:
        logits: Tensor = self.eval_network(*inputs)
        return logits

    def compute_loss(self, outputs: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Loss of a batch, weighted by its ``weights`` (N,).

        Args:
            outputs: Those of the network, (N, outputs), or (N, T, outputs) of the frames of clips.
            batch: ``targets``: (N, classes); behind them valence and arousal where the network has them as outputs;
                and last, where there are any, teachers' answers (N, classes).
        """
        cfg, classes = self.config, self.network.classes
        if outputs.ndim == 3:
            outputs, batch = spread_over_frames(outputs, batch)
        loss = self._compute_class_loss(outputs[:, :classes], self._select_class_targets(batch["targets"]), batch)
        if not self.network.affect:
            return loss
        affect = compute_affect_loss(outputs[:, classes:], batch["targets"][:, self._affect_columns], batch["weights"])
        return loss + cfg.affect_weight * affect

    @property
    def _affect_columns(self) -> slice:
        return slice(self.network.classes, self.network.outputs)

    def _select_class_targets(self, targets: Tensor) -> Tensor:
        """The columns of the classes: those of the labels, then those of the teachers."""
        if not self.network.affect:
            return targets
        return torch.cat((targets[:, : self.network.classes], targets[:, self.network.outputs :]), dim=1)

    def _compute_class_loss(self, logits: Tensor, columns: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Loss of the emotions: ``columns`` (N, classes) of the labels, and those of teachers where there are any."""
        cfg, classes = self.config, logits.shape[1]
        if cfg.logit_adjustment:
            logits = logits + self.logit_offsets
        targets, soft_targets = columns[:, :classes], columns[:, classes:]
        loss = compute_weighted_loss(
            logits,
            targets,
            batch["weights"],
            cfg.loss_kind,
            cfg.label_smoothing,
            cfg.focal_gamma,
            self.plugin_loss,
        )
        if not soft_targets.shape[1]:
            return loss
        soft_losses = compute_distillation_loss(logits, soft_targets, cfg.distill_temperature)
        return torch.lerp(loss, average_losses(soft_losses, batch["weights"]), cfg.distill_weight)

    @override
    def on_train_epoch_start(self) -> None:
        self.train_sums.zero_()
        self.averaged_step = self.global_step
        head_epochs, per_epoch = self.config.head_epochs, self.config.unfreeze_per_epoch
        if has_frozen_parameters(head_epochs, per_epoch):
            trainable = select_trainable_names(self.network, self.current_epoch, head_epochs, per_epoch)
            freeze_except(self.network.body, trainable)

    @override
    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        world_size = get_world_size()
        outputs, judged = compute_batch_outputs(self.network, batch, self.config.per_frame)
        loss = self.compute_loss(judged, batch)
        if world_size > 1:
            # This process's term of the whole batch's loss; Lightning's strategy averages the gradients of all.
            loss = loss * (batch["weights"].sum() / batch["whole_weight"])
        with torch.no_grad():
            start, stop, batch_size = batch["shard"]
            classes = self.network.classes
            same = outputs[:, :classes].argmax(1) == batch["targets"][:, :classes].argmax(1)
            correct = same[: stop - start].sum()
            count = torch.full_like(correct, stop - start)
            self.train_sums += torch.stack((loss.detach() * batch_size, correct, count)).to(self.train_sums)
        return loss * world_size if world_size > 1 else loss

    @override
    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        # Of batches whose gradients add up, the last one alone makes a step.
        if isinstance(self.average, MovingAverage) and self.global_step != self.averaged_step:
            self.averaged_step = self.global_step
            self.average.update(self.network, step=self.global_step)

    @override
    def on_validation_epoch_start(self) -> None:
        if get_world_size() > 1:
            # Each process has normalised its own slice of the batches; all validate one network.
            distribute_bn(self, get_world_size(), reduce=True)
        if isinstance(self.average, EpochAverage):
            self.average.update(self.network, self.current_epoch, is_epoch_end(self.trainer))

    @override
    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        outputs, _ = compute_batch_outputs(self.eval_network, batch)
        self.val_outputs.append((outputs, batch["targets"], batch["weights"]))
        self.val_shards.append(batch["shard"])

    @override
    def on_validation_epoch_end(self) -> None:
        outputs, targets, weights = (
            all_gather_rows(column, self.val_shards) for column in zip(*self.val_outputs, strict=True)
        )
        self.val_outputs.clear()
        self.val_shards.clear()
        # Callbacks read the sums when the epoch ends, before the module's own hook; an epoch may go on with its own.
        self.epoch_sums = self.train_sums.clone()
        all_reduce_sum(self.epoch_sums)
        objective = float(self.compute_loss(outputs, {"targets": targets, "weights": weights}))
        affect = (outputs[:, self._affect_columns], targets[:, self._affect_columns], weights)
        logits, targets = outputs[:, : self.network.classes], targets[:, : self.network.classes]
        # Neither smoothing, focusing nor weights: what it is does not depend on how the network was trained.
        loss = float(compute_weighted_loss(logits, targets, torch.ones_like(weights), "cross_entropy", 0.0, 0.0))
        labels, predicted = targets.argmax(1).cpu().numpy(), logits.argmax(1).cpu().numpy()
        values = compute_metrics(compute_confusion_matrix(labels, predicted, targets.shape[1]))
        self.val_metrics = {
            "val_loss": objective if self.val_loss_is_objective else loss,
            **{f"val_{name}": float(values[name]) for name in ("accuracy", "balanced_accuracy", "macro_f1")},
            "val_objective": objective,
            # That of the batch, so a little less exact than metrics.json.
            **({AFFECT_METRIC: 1 - float(compute_affect_loss(*affect))} if self.network.affect else {}),
        }
        self.log_dict(self.val_metrics)

    def build_optimizer(self) -> torch.optim.Optimizer:
        """Build the optimizer of the network. Raises ModelError where it does not take its options."""
        cfg = self.config
        return build_optimizer(self.network, cfg.optimizer, cfg.lr, cfg.weight_decay, cfg.options, cfg.fused)

    @override
    def configure_optimizers(self) -> Any:
        cfg = self.config
        optimizer = self.build_optimizer()
        steps = int(self.trainer.estimated_stepping_batches)
        if (schedule := self.library_schedule) is not None:
            length = schedule.choose_length(self.trainer.max_epochs or 0, steps)
            # Rehearsed with an optimizer of its own, whose rates it changes.
            schedule.check(self.build_optimizer(), length, length)
            library_scheduler = schedule.build(optimizer, length)
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": library_scheduler, "interval": schedule.interval},
            }
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: compute_lr_factor(cfg.schedule_kind, step, steps, cfg.warmup, cfg.final),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    @override
    def on_train_epoch_end(self) -> None:
        # Lightning steps after the checkpoints were written, which would lack this step.
        scheduler: Any = self.lr_schedulers()
        # After a stop within the epoch there is no step of it to take.
        ended = is_epoch_end(self.trainer)
        if ended and self.library_schedule is not None and self.library_schedule.interval == "epoch":
            scheduler.step(self.val_metrics[self.library_schedule.monitor])

    @override
    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        if self.library_schedule is None or self.library_schedule.interval == "step":
            scheduler.step()
