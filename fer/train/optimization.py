"""Loss, optimizer and schedule of a training, as plain values that checkpoints keep."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class OptimizationConfig:
    """Loss, optimizer and schedule of a training.

    Attributes:
        loss_kind: One of ``fer.models.losses.LOSSES``, or the name of a plugin's loss.
        label_smoothing: Fraction of each target that is spread evenly over the classes.
        focal_gamma: Exponent of the focal loss.
        lr: Largest learning rate.
        weight_decay: Decay of weights other than norms and biases.
        schedule_kind: One of ``fer.train.schedules.SCHEDULES``, or what ``library_schedule`` describes.
        warmup: Fraction of the steps in which the learning rate rises.
        final: Learning rate at the last step, as a fraction of ``lr``.
        ema_decay: Decay of the moving average of the weights; 0 is none.
        head_epochs: First epochs in which only the classifier trains.
        unfreeze_per_epoch: Parameter groups that are unfrozen in each epoch after them; 0 unfreezes all at once.
        fused: Whether the optimizer's step is one kernel.
        optimizer: timm's name of the optimizer.
        options: Its further arguments.
        logit_adjustment: Times the logarithm of the classes' prior, what is added to logits in the loss.
        distill_weight: Weight of the teachers' answers in the loss, where there are any.
        distill_temperature: Temperature at which student and teachers are compared.
        affect_weight: What the loss of valence and arousal counts, beside 1 for the emotions.
        per_frame: Whether a clip has a loss for each of its frames that is there, instead of one.
    """

    loss_kind: str
    label_smoothing: float
    focal_gamma: float
    lr: float
    weight_decay: float
    schedule_kind: str
    warmup: float
    final: float
    ema_decay: float
    head_epochs: int
    unfreeze_per_epoch: int
    fused: bool
    optimizer: str = "adamw"
    options: Mapping[str, Any] = field(default_factory=dict)
    logit_adjustment: float = 0.0
    distill_weight: float = 0.5
    distill_temperature: float = 1.0
    affect_weight: float = 1.0
    per_frame: bool = False
