"""Settings of a training that contradict each other or have no effect: told at its start, for each is allowed."""

import re
from collections.abc import Mapping
from typing import Any

from fer.config import Config
from fer.config.dataset import Augment
from fer.config.embedding_head import Head
from fer.config.model import Model
from fer.config.optimizer import LENGTHS, OWN_SCHEDULES, Optimizer, Schedule
from fer.config.temporal import CLIP_MODEL_KINDS, Temporal
from fer.config.trainer import Trainer
from fer.core.system import resolve_thread_count

# The values of conf/: a key that has another one was set on purpose.
DEFAULT_FOCAL_GAMMA, DEFAULT_FINAL_RATES, DEFAULT_FRACTIONS = 2, (0.001, 0.01), (0.8, 0.1, 0.1)
DEFAULT_WARMUPS = (0.2, 0.05, 0)
DEFAULT_DISTILL_WEIGHT, DEFAULT_DISTILL_TEMPERATURE, DEFAULT_AFFECT_WEIGHT = 0.5, 1, 1
# A last learning rate, as a fraction of the largest, below which weights come to rest.
SMALL_RATE = 0.1
# The argument that is the last learning rate of schedulers that fall to it over the length of the training.
LAST_RATES = {
    "CosineAnnealingLR": "eta_min",
    **dict.fromkeys(("CosineLRScheduler", "PolyLRScheduler", "TanhLRScheduler", "WSDLRScheduler"), "lr_min"),
}
# Keys of `model.temporal` that are the head's and the encoder's, which convolutions through time do not have.
HEAD_KEYS = ("head", "hidden", "layers", "drop_rate", "freeze_encoder")
PATCH = re.compile(r"_patch(\d+)(?:_|$)")


def find_contradictions(config: Config) -> list[str]:
    """Find what a training ignores or does otherwise than its settings suggest.

    Args:
        config: A configuration that trains.

    Returns:
        A sentence each, which names the keys and the remedy.
    """
    found = [
        *_find_in_model(config.model, config.trainer.max_epochs),
        *_find_in_clips(config.model),
        *_find_in_heads(config.model),
        *_find_in_clip_rates(config),
        *_find_in_schedule(config.optimizer.schedule),
        *_find_in_augmentation(config.dataset.augment),
        *_find_in_trainer(config.trainer),
        *_find_in_averaging(config.trainer, config.optimizer),
    ]
    if config.model.loss.logit_adjustment and config.evaluation.logit_adjustment:
        found.append(
            "model.loss.logit_adjustment and evaluation.logit_adjustment add up: rare classes are raised twice; use one"
        )
    if config.dataset.split == "official" and config.dataset.fractions != DEFAULT_FRACTIONS:
        found.append(
            "dataset.fractions has no effect with dataset.split=official, but for sources without parts; use "
            "dataset.split=stratified"
        )
    return found


def _find_in_model(model: Model, max_epochs: int) -> list[str]:
    found = []
    head = f"model.head_epochs={model.head_epochs}"
    if model.head_epochs >= max_epochs:
        found.append(
            f"{head}: the training ends after trainer.max_epochs={max_epochs}, so nothing but the classifier ever "
            "trains; use fewer"
        )
    if model.head_epochs and model.weights == "none":
        found.append(
            f"{head}: the classifier trains on a frozen body of random weights (model.weights=none); start from "
            "weights (model.weights=pretrained), or use model.head_epochs=0"
        )
    if model.weights_sha256 is not None and model.weights == "none":
        found.append("model.weights_sha256 has nothing to check with model.weights=none; name the file")
    if model.loss.kind != "focal" and model.loss.focal_gamma != DEFAULT_FOCAL_GAMMA:
        found.append(
            f"model.loss.focal_gamma={model.loss.focal_gamma:g} has no effect with model.loss.kind={model.loss.kind}; "
            "use model.loss.kind=focal"
        )
    for key, value, default in (
        ("distill_weight", model.loss.distill_weight, DEFAULT_DISTILL_WEIGHT),
        ("distill_temperature", model.loss.distill_temperature, DEFAULT_DISTILL_TEMPERATURE),
    ):
        if not model.teacher and value != default:
            found.append(f"model.loss.{key}={value:g} has no effect without model.teacher; name a teacher")
    if not model.affect and model.loss.affect_weight != DEFAULT_AFFECT_WEIGHT:
        found.append(
            f"model.loss.affect_weight={model.loss.affect_weight:g} has no effect without model.affect=true; use both"
        )
    if match := PATCH.search(model.name):
        found += _describe_cut(model, int(match[1]))
    return found


def _find_in_clips(model: Model) -> list[str]:
    """Keys of the head where there is none, and a frozen encoder that never learnt anything."""
    chosen = {name: value for name, value in model.temporal if value != Temporal.model_fields[name].default}
    if model.kind != "temporal":
        ignored = [name for name in chosen if name in HEAD_KEYS] if model.kind == "video3d" else chosen
        return [
            f"model.temporal.{name}={chosen[name]} has no effect with model.kind={model.kind}; use model=temporal"
            for name in ignored
        ]
    found = []
    if model.temporal.head == "mean" and "layers" in chosen:
        found.append("model.temporal.layers has no effect with model.temporal.head=mean; use another head")
    if model.temporal.freeze_encoder and model.encoder is None and model.weights == "none":
        found.append(
            "model.temporal.freeze_encoder=true keeps an encoder of random weights; start it from a model "
            "(model.encoder=pretrained) or from weights, or use model.temporal.freeze_encoder=false"
        )
    return found


def _find_in_heads(model: Model) -> list[str]:
    """Keys of classical classifiers where there is none, a random encoder, and losses that none of them has."""
    if model.kind != "embedding_head":
        chosen = {name: value for name, value in model.head if value != Head.model_fields[name].default}
        return [
            f"model.head.{name} has no effect with model.kind={model.kind}; use model=embedding_head" for name in chosen
        ]
    found = []
    if model.encoder is None and model.weights == "none":
        found.append(
            "model.kind=embedding_head keeps an encoder of random weights; start it from a model "
            "(model.encoder=pretrained) or from weights (model.weights=pretrained)"
        )
    if model.loss.kind != "cross_entropy" or model.loss.logit_adjustment:
        found.append(
            "model.loss has no effect with model.kind=embedding_head, whose classifier has a loss of its own; against "
            "unequal classes use dataset.balance=class_weights or evaluation.logit_adjustment"
        )
    return found


def _find_in_clip_rates(config: Config) -> list[str]:
    """Clips of fewer frames than windows ask for: points of every window would stay empty."""
    if config.model.kind not in CLIP_MODEL_KINDS:
        return []
    step_s = config.model.temporal.step_s
    rates = {
        "dataset.clips.fps" if source.kind == "clips" else f"dataset.sources.{name}.fps": (
            config.dataset.clips.fps if source.kind == "clips" else source.fps
        )
        for name, source in config.dataset.sources.items()
        if source.kind in ("clips", "synthetic_clips")
    }
    return [
        f"{key}={fps:g} gives a frame every {1 / fps:.3g} s, and model.temporal.step_s={step_s:g} asks for more, so "
        f"that windows have points without a frame; use {key}={1 / step_s:g}, or model.temporal.step_s={1 / fps:g}"
        for key, fps in rates.items()
        if fps * step_s < 1 - 1e-6
    ]


def _describe_cut(model: Model, patch: int) -> list[str]:
    """What a transformer of patches leaves out of its pictures."""
    size = model.image_size
    if (cut := size % patch) == 0 or size < patch:
        return []
    return [
        f"model.image_size={size}: {model.name} sees whole patches of {patch} pixels, so the right and the bottom "
        f"{cut} pixels of every image are cut off; use {size - cut + patch}"
    ]


def _find_in_schedule(schedule: Schedule) -> list[str]:
    kind = f"no effect with optimizer.schedule.kind={schedule.kind}"
    if schedule.kind not in OWN_SCHEDULES:
        keys = (("warmup", schedule.warmup, DEFAULT_WARMUPS), ("final", schedule.final, DEFAULT_FINAL_RATES))
        return [
            f"optimizer.schedule.{key}={value:g} has {kind}; use optimizer.schedule.options, or one_cycle or cosine"
            for key, value, defaults in keys
            if value not in defaults
        ]
    found = []
    if schedule.kind == "constant" and schedule.final not in DEFAULT_FINAL_RATES:
        found.append(f"optimizer.schedule.final={schedule.final:g} has {kind}; use one_cycle or cosine")
    if schedule.options:
        found.append(
            f"optimizer.schedule.options has {kind}; use optimizer.schedule.warmup and optimizer.schedule.final, or a "
            "scheduler of PyTorch or timm"
        )
    if schedule.interval != "epoch":
        found.append(
            f"optimizer.schedule.interval={schedule.interval} has {kind}, which changes the rate in every step anyway"
        )
    return found


def _find_in_augmentation(augment: Augment) -> list[str]:
    mixing = {"mixup": augment.mixup, "cutmix": augment.cutmix}
    if augment.mix_probability > 0:
        return []
    return [
        f"dataset.augment.{name}={alpha:g} has no effect with dataset.augment.mix_probability=0; use one above 0, or "
        f"dataset.augment.{name}=0"
        for name, alpha in mixing.items()
        if alpha > 0
    ]


def _find_in_trainer(trainer: Trainer) -> list[str]:
    cores = resolve_thread_count(None)
    found = []
    if trainer.accelerator == "cpu" and trainer.devices > cores:
        found.append(
            f"trainer.devices={trainer.devices}: more processes than the {cores} cores that this machine gives, so "
            f"they wait for each other; use at most {cores}"
        )
    if trainer.threads is not None and trainer.threads > cores:
        found.append(f"trainer.threads={trainer.threads}: this machine gives {cores} cores; more threads are slower")
    return found


def _find_in_averaging(trainer: Trainer, optimizer: Optimizer) -> list[str]:
    """Validations without a new average, a single averaged epoch, and epochs that a small rate makes alike."""
    if trainer.swa_start is None:
        return []
    found = []
    if trainer.validations > 1:
        found.append(
            f"trainer.validations={trainer.validations}: the average of trainer.swa_start changes at the end of each "
            "epoch alone, so that other validations repeat its figures, and count for trainer.early_stopping.patience; "
            "use trainer.validations=1"
        )
    # Where the last epoch but one begins no average.
    if trainer.swa_start >= (before_last := (trainer.max_epochs - 1) / trainer.max_epochs):
        remedy = f"a smaller trainer.swa_start, below {before_last:g}" if before_last else "a larger trainer.max_epochs"
        found.append(
            f"trainer.swa_start={trainer.swa_start:g} with trainer.max_epochs={trainer.max_epochs} averages one epoch "
            f"alone; use {remedy}"
        )
    last_rate = _find_last_rate(optimizer, trainer.max_epochs)
    if last_rate is not None and last_rate < SMALL_RATE:
        found.append(
            f"trainer.swa_start={trainer.swa_start:g} averages epochs in which optimizer.schedule.kind="
            f"{optimizer.schedule.kind} lets the learning rate fall to {last_rate:g} of its largest, so that their "
            "weights differ less and less; use optimizer.schedule.kind=constant"
        )
    return found


def _find_last_rate(optimizer: Optimizer, max_epochs: int) -> float | None:
    """The last learning rate as a fraction of the largest, where a schedule falls over the length of the training."""
    schedule, options = optimizer.schedule, optimizer.schedule.options
    if schedule.kind in ("one_cycle", "cosine"):
        return schedule.final
    given = [options[name] for name in (*LENGTHS, "epochs") if name in options]
    if given and (schedule.interval == "step" or given != [max_epochs]):
        return None
    if schedule.kind == "OneCycleLR":
        divisor = _get_number(options, "div_factor", 25) * _get_number(options, "final_div_factor", 1e4)
        return 1 / divisor if divisor > 0 else None
    if schedule.kind not in LAST_RATES:
        return None
    return _get_number(options, LAST_RATES[schedule.kind], 0) / optimizer.lr


def _get_number(options: Mapping[str, Any], name: str, default: float) -> float:
    """An option; what is no number is refused where the scheduler is built."""
    value = options.get(name, default)
    return value if isinstance(value, int | float) else default
