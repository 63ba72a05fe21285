"""The network of a bundle in PyTorch."""

import numpy as np
import torch

from fer.bundle.io import Bundle
from fer.models.network import predict_logits


class TorchNetwork:
    """A bundle's FaceNetwork on any device of PyTorch.

    Args:
        bundle: The loaded bundle.
        device: PyTorch's name of the device.
        threads: CPU threads; where given, they are set for the whole process.
    """

    def __init__(self, bundle: Bundle, device: str = "cpu", threads: int | None = None) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self.network = bundle.network.to(torch.device(device)).eval()

    def compute_logits(self, native: np.ndarray, batch_size: int) -> np.ndarray:
        """Return logits (N, classes) float32 of native faces (N, side, side, C) uint8."""
        return predict_logits(self.network, native, np.arange(len(native)), batch_size)
