"""The network of a bundle in PyTorch."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch

from fer.bundle.io import Bundle, require_face_network
from fer.models.clip_network import ClipNetwork
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
        self.network = require_face_network(_place(bundle, device, threads), "classifying single faces")
        self.half = half

    def compute_outputs(self, native: np.ndarray, batch_size: int) -> np.ndarray:
        """Return outputs (N, outputs) float32 of native faces (N, side, side, C) uint8, logits first."""
        device = self.network.mean.device.type
        with _choose_precision(device, self.half):
            return predict_outputs(self.network, native, np.arange(len(native)), batch_size)


class TorchClipNetwork:
    """A bundle's ClipNetwork on any device of PyTorch.

    Args:
        bundle: The loaded bundle.
        device: PyTorch's name of the device.
        threads: CPU threads; where given, they are set for the whole process.
        half: Compute in half precision where that is accurate enough; on a GPU.
    """

    def __init__(self, bundle: Bundle, device: str = "cpu", threads: int | None = None, half: bool = False) -> None:
        network = _place(bundle, device, threads).network
        assert isinstance(network, ClipNetwork), "the bundle is one of clips"
        self.network, self.half = network, half

    @torch.inference_mode()
    def encode(self, native: np.ndarray, batch_size: int) -> np.ndarray:
        """Return features (M, D) float32 of native faces (M, side, side, C) uint8, each by itself."""
        device = self.network.mean.device
        features = np.empty((len(native), self.network.features), np.float32)
        with _choose_precision(device.type, self.half):
            for start in range(0, len(native), batch_size):
                part = slice(start, start + batch_size)
                frames = torch.from_numpy(np.ascontiguousarray(native[part])).to(device)
                features[part] = self.network.encode(frames).float().cpu().numpy()
        return features

    @torch.inference_mode()
    def judge(self, features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return logits (N, outputs) float32 of windows: features (N, T, D), and which frames are there (N, T)."""
        device = self.network.mean.device
        with _choose_precision(device.type, self.half):
            outputs = self.network.judge(torch.from_numpy(features).to(device), torch.from_numpy(mask).to(device))
        logits: np.ndarray = outputs.float().cpu().numpy()
        return logits


def _place(bundle: Bundle, device: str, threads: int | None) -> Bundle:
    """Bring a network to its device, in evaluation mode."""
    if threads is not None:
        torch.set_num_threads(threads)
    bundle.network.to(torch.device(device)).eval()
    return bundle


@contextmanager
def _choose_precision(device: str, half: bool) -> Iterator[None]:
    with torch.autocast(device, torch.float16, enabled=half), _without_tf32(device):
        yield


def _without_tf32(device: str) -> AbstractContextManager[None]:
    """Full precision is what it says: cuDNN rounds float32 to ten bits by default."""
    if device != "cuda":
        return nullcontext()
    cudnn = torch.backends.cudnn
    flags: AbstractContextManager[None] = cudnn.flags(
        cudnn.enabled, cudnn.benchmark, cudnn.benchmark_limit, cudnn.deterministic, allow_tf32=False
    )
    return flags
