"""The device that a training runs on."""

import torch

from fer.config import Config
from fer.errors import UserError
from fer.train.preconditions import refuse_before_start


def resolve_device(config: Config) -> str:
    """Resolve ``trainer.accelerator`` to a device of this machine.

    Args:
        config: The configuration.

    Returns:
        ``cpu``, ``cuda`` or ``mps``.

    Raises:
        UserError: This machine has no such device, too few of them, or cannot compute in the precision.
    """
    requested = config.trainer.accelerator
    available = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = {"auto": available, "gpu": "cuda"}.get(requested, requested)
    if device != "cpu" and device != available:
        raise UserError(f"trainer.accelerator={requested}: this machine has none; use trainer.accelerator=cpu or auto")
    if device == "cuda" and config.trainer.devices > torch.cuda.device_count():
        raise UserError(
            f"trainer.devices={config.trainer.devices}: this machine has {torch.cuda.device_count()} GPUs; use so "
            "many, or trainer.accelerator=cpu"
        )
    if device == "mps" and config.trainer.world_size > 1:
        raise UserError("trainer.accelerator=mps has one device; use trainer.devices=1, or trainer.accelerator=cpu")
    if device == "cpu" and config.trainer.precision == "16":
        raise UserError("trainer.precision=16 needs a GPU, and this machine has none; use 32 or bf16")
    return device


def resolve_precision(config: Config) -> Config:
    """Return the configuration with the fastest precision of its device in place of ``auto``.

    Args:
        config: The configuration.

    Raises:
        PreconditionError: This machine has no such device.
    """
    if config.trainer.precision != "auto":
        return config
    with refuse_before_start():
        device = resolve_device(config)
    precision = choose_precision(device)
    return config.model_copy(update={"trainer": config.trainer.model_copy(update={"precision": precision})})


def choose_precision(device: str) -> str:
    """Choose the fastest precision of ``cpu``, ``cuda`` or ``mps`` on this machine.

    A CPU is faster in bfloat16 where it multiplies matrices of it (AMX).
    """
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "16"
    return "bf16" if device == "cpu" and torch.cpu.get_capabilities().get("amx_bf16", False) else "32"
