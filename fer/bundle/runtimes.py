"""What computes a bundle's network: PyTorch, ONNX Runtime or OpenVINO, each loaded only where it is used."""

from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np

from fer.bundle.exported_clip_network import ExportedClipNetwork
from fer.bundle.exported_model import list_caches
from fer.bundle.exported_network import ExportedNetwork
from fer.bundle.metadata import BundleDescription
from fer.core.extras import require_packages
from fer.errors import ModelError

Runtime = Literal["torch", "onnx", "openvino"]


class Network(Protocol):
    """A bundle's network in one of the runtimes."""

    def compute_outputs(self, native: np.ndarray, batch_size: int) -> np.ndarray:
        """Return outputs (N, outputs) float32 of native faces (N, side, side, C) uint8.

        The first are logits of the classes, the others, where there are any, valence and arousal before the hyperbolic
        tangent.
        """
        ...


class ClipBackend(Protocol):
    """The network of a bundle of clips in one of the runtimes, in two steps."""

    def encode(self, native: np.ndarray, batch_size: int) -> np.ndarray:
        """Return features (M, D) float32 of native faces (M, side, side, C) uint8, each by itself."""
        ...

    def judge(self, features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return logits (N, outputs) float32 of windows: features (N, T, D), and which frames are there (N, T)."""
        ...


def _load_torch(
    model_uri: str, description: BundleDescription, device: str, threads: int | None, half: bool
) -> Network | ClipBackend:
    # Each runtime is imported only where it is used: PyTorch takes seconds to import.
    from fer.bundle.io import open_bundle
    from fer.bundle.torch_backend import TorchClipNetwork, TorchNetwork

    kind = TorchNetwork if description.temporal is None else TorchClipNetwork
    return kind(open_bundle(description), device, threads, half)


def _load_onnx(
    model_uri: str, description: BundleDescription, device: str, threads: int | None, half: bool
) -> Network | ClipBackend:
    from fer.bundle.onnx_backend import OnnxClipNetwork, OnnxNetwork

    kind = OnnxNetwork if description.temporal is None else OnnxClipNetwork
    return _load_exported(kind, model_uri, description, device, threads, half)


def _load_openvino(
    model_uri: str, description: BundleDescription, device: str, threads: int | None, half: bool
) -> Network | ClipBackend:
    from fer.bundle.openvino_backend import OpenVinoClipNetwork, OpenVinoNetwork

    require_packages("openvino", purpose="inference.runtime=openvino")
    kind = OpenVinoNetwork if description.temporal is None else OpenVinoClipNetwork
    return _load_exported(kind, model_uri, description, device, threads, half)


def _load_exported(
    kind: type[ExportedNetwork] | type[ExportedClipNetwork],
    model_uri: str,
    description: BundleDescription,
    device: str,
    threads: int | None,
    half: bool,
) -> Network | ClipBackend:
    """Load a bundle into a runtime that computes the exported network. Raises ModelError."""
    if half:
        raise ModelError(f"inference.runtime={kind.runtime}: computes in full precision; use inference.precision=32")
    if device != "cpu":
        raise ModelError(
            f"inference.runtime={kind.runtime}: computes on the CPU, not on {device}; use inference.runtime=torch"
        )
    return kind(description, *list_caches(model_uri, description), threads=threads)


RUNTIMES: dict[Runtime, Callable[[str, BundleDescription, str, int | None, bool], Network | ClipBackend]] = {
    "torch": _load_torch,
    "onnx": _load_onnx,
    "openvino": _load_openvino,
}
