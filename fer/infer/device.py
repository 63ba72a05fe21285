"""The device and the runtime that classify faces in infer.py: a GPU with PyTorch, or the CPU."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer.bundle.predictor import Predictor
from fer.bundle.runtimes import Runtime
from fer.config.inference import CPU_RUNTIMES, Inference
from fer.core.extras import require_packages
from fer.core.gpu import may_have_gpu
from fer.errors import ModelError, PreconditionError, shorten_error

CPU_BATCH, GPU_BATCH = 8, 256
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class InferencePlan:
    """How faces are classified.

    Attributes:
        runtime: PyTorch, ONNX Runtime or OpenVINO.
        device: PyTorch's name of the device.
        half: Whether in half precision.
        batch_size: Faces at a time.
    """

    runtime: Runtime
    device: str
    half: bool
    batch_size: int


def plan_inference(config: Inference) -> InferencePlan:
    """Choose device and runtime.

    Args:
        config: Section `inference`.

    Raises:
        PreconditionError: A GPU is asked for, and this machine has none.
        UserError: OpenVINO is asked for, and not installed.
    """
    if config.runtime == "openvino":
        require_packages("openvino", purpose="inference.runtime=openvino")
    # Importing PyTorch to ask for a GPU takes seconds.
    if config.device == "cpu" or config.runtime in CPU_RUNTIMES or not has_gpu():
        if config.device == "gpu":
            raise PreconditionError(
                "inference.device=gpu: this machine has none that PyTorch can use; use inference.device=auto or cpu"
            )
        return _plan_cpu(config)
    return InferencePlan("torch", "cuda", config.precision == "16", config.batch_size or GPU_BATCH)


def _plan_cpu(config: Inference) -> InferencePlan:
    runtime: Runtime = "onnx" if config.runtime == "auto" else config.runtime
    return InferencePlan(runtime, "cpu", False, config.batch_size or CPU_BATCH)


def has_gpu() -> bool:
    """Whether PyTorch can use a GPU of this machine."""
    if not may_have_gpu():
        return False
    import torch

    return torch.cuda.is_available()


def load_predictor(bundle: str, config: Inference, threads: int) -> tuple[Predictor, InferencePlan]:
    """Load the model on the device that is chosen; where a GPU fails, `inference.device=auto` takes the CPU.

    Args:
        bundle: Directory of the bundle.
        config: Section `inference`.
        threads: CPU threads.

    Returns:
        The predictor, and how it classifies.

    Raises:
        PreconditionError: A GPU is asked for, and this machine has none.
        ModelError: The model cannot be loaded, or not be computed on the GPU that is asked for.
    """
    plan = plan_inference(config)
    if plan.device == "cuda":
        try:
            return _load_on_gpu(bundle, plan, threads), plan
        except RuntimeError as error:
            # Too little memory, or a GPU that this build of PyTorch has no kernels for.
            sentence = f"inference.device={config.device}: the GPU cannot classify ({shorten_error(error)})"
            if config.device == "gpu":
                raise ModelError(f"{sentence}; use inference.device=cpu, or a smaller inference.batch_size") from None
            log.warning("%s; the CPU does instead", sentence)
            plan = _plan_cpu(config)
    elif config.precision == "16":
        log.warning("inference.precision=16: this machine has no GPU, so that faces are classified in full precision")
    elif config.device == "auto":
        log.info("inference.device=auto: the CPU classifies, by %s", plan.runtime)
    return Predictor.load(bundle, plan.device, plan.runtime, threads), plan


def _load_on_gpu(bundle: str, plan: InferencePlan, threads: int) -> Predictor:
    """Load the model, and try one full batch, before hours of work depend on it. Raises RuntimeError."""
    predictor = Predictor.load(bundle, plan.device, plan.runtime, threads, plan.half)
    side = predictor.description.faces.side
    predictor.predict([np.zeros((side, side), np.uint8)] * plan.batch_size, plan.batch_size)
    log.info(
        "Classifying on %s, %d faces at a time%s",
        *(get_device_name(plan.device), plan.batch_size, ", in half precision" if plan.half else ""),
    )
    return predictor


def get_device_name(device: str) -> str:
    """``cpu``, or the name of the GPU."""
    if device == "cpu":
        return device
    import torch

    return torch.cuda.get_device_name()


def describe_plan(plan: InferencePlan) -> dict[str, Any]:
    """What provenance.json says: runtime, device, precision and batch size."""
    return {
        "runtime": plan.runtime,
        "device": get_device_name(plan.device),
        "precision": "16" if plan.half else "32",
        "batch_size": plan.batch_size,
    }
