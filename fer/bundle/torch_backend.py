"""The network of a bundle in PyTorch."""

from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch

from fer.bundle.io import Bundle
from fer.models.network import predict_outputs


class TorchNetwork:
    """A bundle's FaceNetwork on any device of PyTorch.

    Args:
        bundle: The loaded bundle.
        device: PyTorch's name of the device.
        threads: CPU threads; where given, they are set for the whole process.
        half: Compute in half precision where that is accurate enough; on a GPU.
    """

    def __init__(self, bundle: Bundle, device: str = "cpu", threads: int | None = None, half: bool = False) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self.network = bundle.network.to(torch.device(device)).eval()
        self.half = half

    def compute_outputs(self, native: np.ndarray, batch_size: int) -> np.ndarray:
        """Return outputs (N, outputs) float32 of native faces (N, side, side, C) uint8, logits first."""
        device = self.network.mean.device.type
        with torch.autocast(device, torch.float16, enabled=self.half), _without_tf32(device):
            return predict_outputs(self.network, native, np.arange(len(native)), batch_size)


def _without_tf32(device: str) -> AbstractContextManager[None]:
    """Full precision is what it says: cuDNN rounds float32 to ten bits by default."""
    if device != "cuda":
        return nullcontext()
    cudnn = torch.backends.cudnn
    flags: AbstractContextManager[None] = cudnn.flags(
        cudnn.enabled, cudnn.benchmark, cudnn.benchmark_limit, cudnn.deterministic, allow_tf32=False
    )
    return flags
