"""Small networks of clips, their bundles, and windows with holes."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fer.bundle.io import FaceFormat, build_description, save_bundle
from fer.models.clip_format import TemporalFormat
from fer.models.clip_network import ClipNetwork
from fer.models.temporal_network import TemporalNetwork
from fer.models.video3d import VideoNetwork
from tests.helpers.served_runs import FACTS

LENGTH, SIZE, STEP_S = 6, 32, 0.125
TINY, CLASSES = "test_resnet", ("happiness", "sadness", "surprise")
WINDOWS: dict[str, Any] = {"length": LENGTH, "step_s": STEP_S, "position": "causal"}


def build_clip_network(head: str = "gru", **changed: Any) -> TemporalNetwork:
    """A temporal network in evaluation mode whose answers are far from equal."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        temporal: Any = {"kind": "temporal", **WINDOWS, "head": head, "hidden": 16, "layers": 2, **changed}
        network = TemporalNetwork(TINY, len(CLASSES), SIZE, 0.0, TemporalFormat(**temporal))
        _enliven(network)
    return network.eval()


def build_video_network() -> VideoNetwork:
    """The same of convolutions through space and time."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = VideoNetwork("mc3_18", len(CLASSES), SIZE, 0.0, TemporalFormat("video3d", **WINDOWS))
        _enliven(network)
    return network.eval()


def _enliven(network: ClipNetwork) -> None:
    for name in network.classifier_names:
        for module in network.body.get_submodule(name).modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.5)


def save_clip_bundle(folder: Path, network: ClipNetwork, native: FaceFormat | None = None) -> Path:
    """``folder``, as a bundle of temperature 1.5."""
    save_bundle(folder, network, build_description(network, CLASSES, native or FaceFormat(24, True), 1.5, FACTS))
    return folder


def draw_windows(count: int = 3, side: int = 24) -> tuple[Tensor, Tensor]:
    """Windows (N, T, side, side, 3) uint8 of noise; the first is whole, each other one has holes, the last too."""
    generator = torch.Generator().manual_seed(0)
    clips = torch.randint(0, 256, (count, LENGTH, side, side, 3), dtype=torch.uint8, generator=generator)
    mask = torch.rand(count, LENGTH, generator=generator) < 0.6
    mask[0], mask[1:, 2], mask[1:, 3] = True, True, False
    return clips, mask


def draw_frames(count: int, side: int = 30) -> list[np.ndarray]:
    """Frames (side, side, 3) uint8 of noise."""
    return list(np.random.default_rng(2).integers(0, 256, (count, side, side, 3), dtype=np.uint8))
