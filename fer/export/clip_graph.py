"""What is exported of a model of clips: windows of faces in, calibrated probabilities out."""

import torch
from torch import Tensor
from typing_extensions import override

from fer.bundle.io import Bundle
from fer.bundle.onnx_trial import MASK, generate_trial_images, generate_trial_windows
from fer.export.graph import PROBABILITIES, CalibratedModule, ExportGraph, collect_facts, describe_faces
from fer.models.clip_network import ClipNetwork

CLIPS = "clips"


def build_clip_graph(bundle: Bundle) -> ExportGraph:
    """Return the graph of a bundle of clips.

    Its inputs are `clips` (N, T, side, side, C) uint8 and `mask` (N, T) bool, which frames are there; its output is
    `probabilities` (N, classes) float32.

    Args:
        bundle: The bundle, on the CPU.
    """
    description = bundle.description
    network, window = bundle.network, description.temporal
    assert isinstance(network, ClipNetwork) and window is not None, "the bundle is one of clips"
    frames, mask = generate_trial_windows(window.length)
    shape, colour = describe_faces(description)
    moment = "the last one" if window.position == "causal" else "the middle one"
    facts = {
        "input": f"{CLIPS}: (N, {window.length}, {shape}) uint8, {colour}, {window.length} faces of one person, "
        f"{window.step_s:g} s apart, 0 to 255; {MASK}: (N, {window.length}) bool, which of them are there; the answer "
        f"is for {moment}",
    }
    return ExportGraph(
        name=description.architecture,
        module=AnsweringWindows(bundle).eval().requires_grad_(False),
        inputs={CLIPS: torch.from_numpy(generate_trial_images(description)[frames]), MASK: torch.from_numpy(mask)},
        outputs=(PROBABILITIES,),
        resize=(description.faces.side, description.image_size),
        # Networks through space and time are one body, the others an encoder of frames and a small head.
        quantized="/body/" if window.kind == "video3d" else "/encoder/",
        facts={**collect_facts(description), **facts},
    )


class AnsweringWindows(CalibratedModule):
    """A network of clips that gives what its predictor does for windows, by operations that every format has.

    Args:
        bundle: Its bundle.
    """

    def __init__(self, bundle: Bundle) -> None:
        assert isinstance(bundle.network, ClipNetwork), "the bundle is one of clips"
        super().__init__(bundle.description.calibration, bundle.network.classes)
        self.network = bundle.network

    @override
    def forward(self, clips: Tensor, mask: Tensor) -> Tensor:
        features = self.network.encode(clips.flatten(0, 1))
        windows = features.reshape(-1, self.network.format.length, self.network.features)
        return self.calibrate(self.network.judge(windows, mask))
