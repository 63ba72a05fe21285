"""The plugins of a training: built from their options, tried before there is a run, and recorded with it."""

import inspect
import io
import logging
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor
from typing_extensions import override

from fer.config import Config
from fer.config.plugins import PluginUse, describe_plugins, find_used_plugins, list_plugin_changes
from fer.core.plugins import describe_plugin_error, load_plugin
from fer.data.augmentation import Augmentation, PixelChange, apply_pixel_changes
from fer.errors import UserError
from fer.models.losses import PluginLoss
from fer.runs.run_directory import Run

TRIAL_IMAGES, TRIAL_SHARD = 4, slice(2, 4)
# Parts of a checkpoint that are Lightning's and large.
WEIGHTS = ("state_dict", "optimizer_states")
log = logging.getLogger(__name__)


def check_plugins(config: Config) -> None:
    """Build and try each plugin of a configuration once.

    Raises:
        UserError: One is not installed, cannot be imported, does not take its options, or does not keep its contract.
    """
    for use in find_used_plugins(config):
        match use.plugin.kind:
            case "loss":
                _try_loss(use, config.dataset.classes)
            case "augmentation":
                _try_augmentation(use, config.model.image_size)
            case "tracker":
                _check_tracker(use)
    build_callbacks(config)


def load_loss(config: Config) -> PluginLoss | None:
    """Load the loss of a plugin, with its options; None for one that is built in. Raises UserError."""
    uses = _find("loss", config)
    return _bind_loss(uses[0]) if uses else None


def build_callbacks(config: Config) -> list[Callback]:
    """Build the callbacks of plugins, in the order of the configuration, and what guards their state.

    Raises:
        UserError: One cannot be built, is no callback of pytorch_lightning, or shares its state's name with another.
    """
    callbacks: dict[str, Callback] = {}
    for use in _find("callback", config):
        callback = _build(use)
        if not isinstance(callback, Callback):
            raise UserError(f"{use.key}: {use.plugin} gives no pytorch_lightning.Callback, but {_name(callback)}")
        if is_overridden("state_dict", callback) or is_overridden("on_save_checkpoint", callback):
            for key, other in callbacks.items():
                if other.state_key == callback.state_key:
                    raise UserError(
                        f"{use.key} and {key} keep their state under one name; give their class a state_key that "
                        "depends on its options"
                    )
        callbacks[use.key] = callback
    return [*callbacks.values(), _PlainState(list(callbacks))] if callbacks else []


def build_augmentation(config: Config, **changed: float) -> Augmentation:
    """Build the augmentation of a configuration, with those of its plugins.

    It changes nothing for overfitting, and where a classifier is fitted on features of images as they are.

    Args:
        config: The configuration.
        changed: Strengths that replace those of ``dataset.augment``.

    Raises:
        UserError: A plugin cannot be built.
    """
    as_they_are = config.model.kind == "embedding_head" and config.model.head.copies == 0
    if config.trainer.overfit_batches is not None or as_they_are:
        strengths: Any = dict.fromkeys(set(config.dataset.augment.model_dump()) - {"plugins"}, 0.0)
        return Augmentation(**strengths)
    plugins = {use.plugin.name: _build_augmentation(use) for use in _find("augmentation", config)}
    return Augmentation(**{**config.dataset.augment.model_dump(), **changed, "plugins": plugins})


def record_plugins(run: Run, config: Config) -> None:
    """Write package, version and entry point of each plugin into the provenance, which keeps those of the start."""
    used = describe_plugins(config)
    recorded = run.provenance.get("plugins")
    for line in list_plugin_changes(recorded, used):
        log.warning("The run goes on with another version: %s", line)
    if used and recorded is None:
        run.update_provenance(plugins=used)


class _PlainState(Callback):
    """Refuses what plugins put into a checkpoint that could not be read again: checkpoints run no code."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = keys

    @override
    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        buffer = io.BytesIO()
        try:
            torch.save({name: part for name, part in checkpoint.items() if name not in WEIGHTS}, buffer)
            buffer.seek(0)
            torch.load(buffer, weights_only=True)
        except Exception as error:
            raise UserError(
                f"{' or '.join(self.keys)}: keeps what no checkpoint holds; let its state_dict give numbers, texts, "
                f"lists, dictionaries and tensors ({describe_plugin_error(error)})"
            ) from None


def _find(kind: str, config: Config) -> list[PluginUse]:
    return [use for use in find_used_plugins(config) if use.plugin.kind == kind]


def _build(use: PluginUse) -> Any:
    """Call a plugin with its options. Raises UserError."""
    factory = load_plugin(use.plugin, use.key)
    return _attempt(use, lambda: factory(**deepcopy(dict(use.options))), "cannot be built")


def _attempt(use: PluginUse, action: Callable[[], Any], failure: str) -> Any:
    """Call what a plugin has given. Raises UserError for whatever it raises."""
    try:
        return action()
    except UserError as error:
        raise UserError(f"{use.key}: {error}") from None
    except Exception as error:
        log.debug("%s: %s", use.key, use.plugin, exc_info=True)
        raise UserError(
            f"{use.key}: {use.plugin} {failure} with the options {dict(use.options)} ({describe_plugin_error(error)})"
        ) from None


def _bind_loss(use: PluginUse) -> PluginLoss:
    function, options = load_plugin(use.plugin, use.key), deepcopy(dict(use.options))
    # A module would become a part of the network's state.
    return lambda logits, targets: function(logits, targets, **options)


def _try_loss(use: PluginUse, classes: int) -> None:
    """Compute a small batch's loss. Raises UserError."""
    loss = _bind_loss(use)
    logits = torch.linspace(-1, 1, TRIAL_IMAGES * classes).view(TRIAL_IMAGES, classes).requires_grad_()
    targets = torch.eye(classes)[:TRIAL_IMAGES]
    values = _attempt(use, lambda: loss(logits, targets), "cannot be computed")
    if not isinstance(values, Tensor) or values.shape != (TRIAL_IMAGES,) or not values.requires_grad:
        raise UserError(
            f"{use.key}: {use.plugin} must give a loss (N,) of each image, with its gradient, but gives {_name(values)}"
        )


def _build_augmentation(use: PluginUse) -> PixelChange:
    change: PixelChange = _build(use)
    if not callable(change):
        raise UserError(f"{use.key}: {use.plugin} gives no function of pixels and generators, but {_name(change)}")
    return change


def _try_augmentation(use: PluginUse, side: int) -> None:
    """Change gray and colour images, and some of them again without the others. Raises UserError."""
    change = {use.plugin.name: _build_augmentation(use)}
    rows = np.arange(TRIAL_IMAGES)
    for channels in (1, 3):
        # From dark to bright: no figure of the whole batch is one of the shard.
        ramp = torch.linspace(0, 1, TRIAL_IMAGES * channels * side * side) ** 2
        pixels = ramp.view(TRIAL_IMAGES, channels, side, side)

        def apply(part: slice, pixels: Tensor = pixels) -> Tensor:
            return apply_pixel_changes(change, pixels[part].clone(), rows[part], (0, 0, 0))

        whole = _attempt(use, lambda: apply(slice(None)), f"fails on images of {channels} channels")
        shard = _attempt(use, lambda: apply(TRIAL_SHARD), f"fails on images of {channels} channels")
        if not torch.allclose(whole[TRIAL_SHARD], shard, atol=1e-4):
            raise UserError(
                f"{use.key}: {use.plugin} changes an image otherwise where others of the batch are missing; it must "
                "depend on the image and its own generator alone"
            )


def _check_tracker(use: PluginUse) -> None:
    """Check that a tracker takes its options; to build one would begin a run. Raises UserError."""
    tracker = load_plugin(use.plugin, use.key)
    try:
        signature = inspect.signature(tracker)
    except ValueError:
        # Not every class of an extension has one.
        return
    _attempt(use, lambda: signature.bind(None, **use.options), "cannot be built")


def _name(value: Any) -> str:
    """What a value is, for a message."""
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)}{'' if value.requires_grad else ' without gradient'}"
    return f"{type(value).__module__}.{type(value).__qualname__}"
