"""The predictor: pictures of faces in, probabilities out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol, Self

import numpy as np

from fer.bundle.metadata import BundleDescription, read_description
from fer.core.image import to_native
from fer.errors import ModelError
from fer.metrics.calibration import compute_probabilities

Runtime = Literal["torch", "onnx"]


class Network(Protocol):
    """What computes the logits (N, classes) float32 of native faces (N, side, side, C) uint8."""

    def compute_logits(self, native: np.ndarray, batch_size: int) -> np.ndarray: ...


class Predictor:
    """Judges pictures of single faces with the network of a bundle.

    Every picture is first brought to the colour and the native resolution of the training faces, which the bundle
    states, and then prepared exactly as in training.
    """

    def __init__(self, description: BundleDescription, network: Network) -> None:
        self.description = description
        self.network = network

    @classmethod
    def load(cls, model_uri: str, device: str = "cpu", runtime: Runtime = "torch", threads: int | None = None) -> Self:
        """Load a bundle from its directory or that of its run. Raises ModelError.

        ``runtime`` onnx exports the network on first use to `onnx/` in that directory, and needs no PyTorch later.
        ``threads`` compute one batch, by default as many as the runtime chooses; those of PyTorch are the process's.
        """
        # Each runtime is imported only where it is used: PyTorch takes seconds to start.
        if runtime == "torch":
            from fer.bundle.io import load_bundle
            from fer.bundle.torch_backend import TorchNetwork

            bundle = load_bundle(model_uri)
            return cls(bundle.description, TorchNetwork(bundle, device, threads))
        from fer.bundle.onnx_backend import OnnxNetwork

        if device != "cpu":
            raise ModelError(
                f"inference.runtime=onnx: computes on the CPU, not on {device}; use inference.runtime=torch"
            )
        description = read_description(model_uri)
        return cls(description, OnnxNetwork(description, Path(model_uri).expanduser() / "onnx", threads))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the columns of ``predict``."""
        return self.description.classes

    def predict(self, images: Sequence[np.ndarray], batch_size: int = 128, flip: bool = False) -> np.ndarray:
        """Probabilities (N, classes) float32, rows summing to 1, of N pictures (H, W) or (H, W, 3) uint8 RGB.

        The sizes of the pictures may differ. ``flip`` gives the mean of the probabilities of each face and its mirror
        image. Raises ValueError for an array of another shape or type.
        """
        faces = self.description.faces
        native = np.empty((len(images), faces.side, faces.side, 3 if faces.colour else 1), np.uint8)
        for index, image in enumerate(images):
            native[index] = to_native(_validate_image(image, index), faces.side, faces.colour)
        result = self._predict_native(native, batch_size)
        return (result + self._predict_native(native[:, :, ::-1], batch_size)) / 2 if flip else result

    def _predict_native(self, native: np.ndarray, batch_size: int) -> np.ndarray:
        """Probabilities (N, classes) float32 of native faces (N, side, side, C) uint8."""
        return compute_probabilities(self.network.compute_logits(native, batch_size), self.description.temperature)


def _validate_image(image: np.ndarray, index: int) -> np.ndarray:
    """The picture itself, a single channel (H, W, 1) as (H, W); raises ValueError for what is no picture."""
    array = np.asarray(image)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if (
        array.dtype != np.uint8
        or array.ndim not in (2, 3)
        or (array.ndim == 3 and array.shape[2] != 3)
        or not array.size
    ):
        raise ValueError(
            f"picture {index}: expected (H, W) or (H, W, 3) uint8, not {array.shape} {array.dtype}; "
            "convert it (RGB, 0 to 255) beforehand"
        )
    return np.ascontiguousarray(array)
