"""NVIDIA GPUs of this machine, read through the driver's own library (NVML)."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# What a driver of GPUs makes: NVIDIA's, NVIDIA's inside of WSL, AMD's.
GPU_NODES = ("nvidia[0-9]*", "dxg", "kfd")
MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Gpu:
    """A GPU at this moment; None where the driver does not tell."""

    index: int
    uuid: str
    utilization_percent: float | None
    memory_used_mib: float | None


def list_gpus() -> list[Gpu]:
    """List all GPUs, whether this process may use them or not; empty without a driver that answers."""
    # Few processes ask, and every program imports this module.
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        return [_read_gpu(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def _read_gpu(index: int) -> Gpu:
    import pynvml

    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    return Gpu(
        index=index,
        uuid=pynvml.nvmlDeviceGetUUID(handle),
        utilization_percent=_read_optional(lambda: pynvml.nvmlDeviceGetUtilizationRates(handle).gpu),
        memory_used_mib=_read_optional(
            # Version 2 leaves out what the driver reserves for itself, as nvidia-smi does.
            lambda: pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2).used // MEBIBYTE
        ),
    )


def _read_optional(read: Callable[[], float]) -> float | None:
    """Read a value that some GPUs do not tell."""
    import pynvml

    try:
        return read()
    except pynvml.NVMLError:
        return None


def get_cuda_visible_devices() -> list[str] | None:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; None where it may use all."""
    devices = os.environ.get("CUDA_VISIBLE_DEVICES")
    return None if devices is None else [name for name in devices.split(",") if name]


def may_have_gpu() -> bool:
    """Whether this process may find a GPU, as far as is known without PyTorch: on Linux its driver shows files."""
    if sys.platform != "linux":
        return True
    return get_cuda_visible_devices() != [] and any(any(Path("/dev").glob(name)) for name in GPU_NODES)
