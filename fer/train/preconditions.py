"""What a training needs and can be known at once: before PyTorch is imported, and before images are decoded."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fer.config import Config
from fer.config.optimizer import OWN_SCHEDULES
from fer.config.plugins import find_used_plugins
from fer.core.gpu import may_have_gpu
from fer.core.io import compute_sha256
from fer.core.path_map import map_path
from fer.errors import PreconditionError, UserError
from fer.models.weights_header import check_weights_header

if TYPE_CHECKING:
    from fer.data.sources import Source

ACCELERATOR = "trainer.accelerator"


def check_preconditions(config: Config) -> "list[Source]":
    """Check device, weights, model and the layout of the data sets.

    Args:
        config: The configuration of train.py.

    Returns:
        The data sets, so that they are read once.

    Raises:
        PreconditionError: Something is not there or does not fit.
    """
    with refuse_before_start():
        check_device(config)
        if config.model_uri is None:
            check_weights(config)
        # What follows needs pandas and OpenCV, which take a second.
        from fer.registry.resolve import check_model_is_there
        from fer.train.inputs import read_sources
        from fer.train.model_keys import check_models_are_there

        check_models_are_there(config)
        if config.model_uri is not None:
            check_model_is_there(config)
        return read_sources(config)


def check_job(config: Config) -> None:
    """Check what a job of a sweep gives to libraries and plugins; all else is checked with its configuration.

    Raises:
        PreconditionError: An optimizer, a schedule or a plugin does not take its options.
    """
    optimizer, uses_plugins = config.optimizer, bool(find_used_plugins(config))
    library = optimizer.name != "adamw" or optimizer.options or optimizer.schedule.kind not in OWN_SCHEDULES
    if "fit" not in config.trainer.stages or not (library or uses_plugins):
        return
    # These need PyTorch, which takes seconds.
    from torch import nn

    from fer.train.module_factory import check_optimization
    from fer.train.plugins import check_plugins

    with refuse_before_start():
        check_optimization(nn.Linear(2, 2), config)
        if uses_plugins:
            check_plugins(config)


@contextmanager
def refuse_before_start() -> Iterator[None]:
    """Give errors that are found before anything was started the exit code of a wrong configuration."""
    try:
        yield
    except UserError as error:
        raise PreconditionError(str(error)) from None


def check_device(config: Config) -> None:
    """Check that this machine can have the device, as far as is known without PyTorch. Raises UserError."""
    trainer = config.trainer
    if trainer.accelerator == "mps" and sys.platform != "darwin":
        raise UserError(f"{ACCELERATOR}=mps: only Apple's machines have it; use {ACCELERATOR}=cpu or auto")
    if may_have_gpu():
        return
    if trainer.accelerator == "gpu":
        raise UserError(f"{ACCELERATOR}=gpu: this machine has none; use {ACCELERATOR}=cpu or auto")
    if trainer.precision == "16":
        raise UserError("trainer.precision=16 needs a GPU, and this machine has none; use 32 or bf16")


def check_weights(config: Config) -> None:
    """Check the SHA-256 of starting weights on this machine, and that they are those of the network. Raises UserError.

    Of PyTorch's own format nothing is known here; it is read before the data are.
    """
    weights, wanted = config.model.weights, config.model.weights_sha256
    path = Path(map_path(weights))
    if weights in ("none", "pretrained") or not path.is_file():
        return
    if wanted is not None and (digest := compute_sha256(path)) != wanted:
        raise UserError(
            f"model.weights={weights}: has the SHA-256 {digest}, but model.weights_sha256 asks for {wanted}"
        )
    if path.suffix == ".safetensors":
        check_weights_header(path, config.model.name)
