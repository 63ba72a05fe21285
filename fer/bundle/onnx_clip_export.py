"""From a bundle of clips to two ONNX files: what is computed of each frame, and what joins a window's frames."""

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from fer.bundle.io import load_bundle
from fer.bundle.metadata import ENCODER_FILE, HEAD_FILE, BundleDescription
from fer.bundle.onnx_export import add_metadata, trace_part
from fer.bundle.onnx_trial import FEATURES, INPUT, MASK, OUTPUT, generate_trial_images, generate_trial_windows
from fer.models.clip_network import ClipNetwork, predict_clip_outputs


def export_clip_onnx(description: BundleDescription, runtime: str = "onnx") -> dict[str, bytes]:
    """Export a bundle's network of clips, preprocessing included, to ONNX.

    The first graph takes `faces` (M, side, side, C) uint8 and gives `features` (M, D) float32. The second takes
    `features` (N, T, D) and `mask` (N, T) bool, which frames are there, and gives `logits` (N, classes). Both take any
    number at a time.

    Args:
        description: The bundle.
        runtime: What is to compute it, for the message of an error.

    Returns:
        The content of the files by name. Their metadata hold the hash of the bundle and PyTorch's probabilities of the
        trial windows.

    Raises:
        ModelError: The architecture cannot be exported.
    """
    network = cast(ClipNetwork, load_bundle(str(description.folder)).network)
    images = generate_trial_images(description)
    frames, mask = generate_trial_windows(network.format.length)
    logits = predict_clip_outputs(network, images, frames, mask)
    with torch.inference_mode():
        features = network.encode(torch.from_numpy(images))[torch.from_numpy(frames)]
    encoder = trace_part(_Encoder(network), network, {INPUT: torch.from_numpy(images)}, FEATURES, runtime)
    windows = {FEATURES: features.clone(), MASK: torch.from_numpy(mask)}
    head = trace_part(_Head(network), network, windows, OUTPUT, runtime)
    models = {ENCODER_FILE: encoder, HEAD_FILE: head}
    return {name: add_metadata(model, description, np.asarray(logits)) for name, model in models.items()}


class _Encoder(nn.Module):
    """The first step of a network of clips."""

    def __init__(self, network: ClipNetwork) -> None:
        super().__init__()
        self.network = network

    @override
    def forward(self, faces: Tensor) -> Tensor:
        return self.network.encode(faces)


class _Head(nn.Module):
    """The second step of a network of clips."""

    def __init__(self, network: ClipNetwork) -> None:
        super().__init__()
        self.network = network

    @override
    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        return self.network.judge(features, mask)
