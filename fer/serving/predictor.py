"""The predictor: pictures of faces in, probabilities out."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch

from fer.images import to_native
from fer.model.bundle import Bundle, load_bundle
from fer.model.calibration import probabilities
from fer.model.network import predict_logits


class Predictor:
    """Judges pictures of single faces with the network of a bundle.

    Every picture is first brought to the colour and the native resolution of the training faces, which the bundle
    states, and then prepared exactly as in training.
    """

    def __init__(self, bundle: Bundle, device: str = "cpu") -> None:
        self.bundle = bundle
        self.network = bundle.network.to(torch.device(device)).eval()

    @classmethod
    def load(cls, model_uri: str, device: str = "cpu") -> Self:
        """Load a bundle from its directory or that of its run. Raises ModelError."""
        return cls(load_bundle(str(model_uri)), device)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the columns of ``predict``."""
        return self.bundle.classes

    def predict(self, images: Sequence[np.ndarray], batch_size: int = 128) -> np.ndarray:
        """Probabilities (N, classes) float32, rows summing to 1, of N pictures (H, W) or (H, W, 3) uint8 RGB.

        The sizes of the pictures may differ. Raises ValueError for an array of another shape or type.
        """
        faces = self.bundle.faces
        native = np.empty((len(images), faces.side, faces.side, 3 if faces.colour else 1), np.uint8)
        for place, image in enumerate(images):
            native[place] = to_native(checked(image, place), faces.side, faces.colour)
        logits = predict_logits(self.network, native, np.arange(len(native)), batch_size)
        return probabilities(logits, self.bundle.temperature)


def checked(image: np.ndarray, place: int) -> np.ndarray:
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
            f"picture {place}: expected (H, W) or (H, W, 3) uint8, not {array.shape} {array.dtype}; "
            "convert it (RGB, 0 to 255) beforehand"
        )
    return np.ascontiguousarray(array)
