"""What is exported: a bundle's network as a plain PyTorch module, from faces to calibrated probabilities."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from fer.bundle.io import Bundle, require_face_network
from fer.bundle.metadata import BundleDescription
from fer.bundle.onnx_trial import INPUT, generate_trial_images
from fer.core.installation import get_version
from fer.errors import ModelError
from fer.metrics.calibration import Calibration
from fer.models.network import FaceNetwork

PROBABILITIES, AFFECT_OUTPUT = "probabilities", "affect"


@dataclass(frozen=True)
class ExportGraph:
    """A module and what a format needs to know of it.

    Attributes:
        name: What the network is called in messages.
        module: In evaluation mode and without gradients; takes the inputs in their order, returns the outputs.
        inputs: An example of each input, of at least two examples; the first dimension is the batch.
        outputs: Names of the outputs; of one, the module returns a tensor, else a tuple.
        resize: Height and width of the images before and after the module's antialiased resize, pixels.
        quantized: Part of the name of each operation that gets 8 bits: preprocessing and softmax have others.
        facts: What the file says of itself, texts by name.
    """

    name: str
    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: Sequence[str]
    resize: tuple[int, int]
    quantized: str
    facts: Mapping[str, str]


def check_kind(description: BundleDescription) -> None:
    """Check that a bundle is one network. Raises ModelError."""
    if description.members:
        raise ModelError(
            f"{description.folder}: is an ensemble, whose networks each bring a face to a form of their own, which a "
            "file cannot; export its members one by one, or a network that has learnt from it (model.teacher)"
        )


def build_graph(bundle: Bundle) -> ExportGraph:
    """Return the graph of a bundle of single faces: uint8 faces in their native form to calibrated probabilities.

    Its input `faces` is (N, side, side, C) uint8, its output `probabilities` (N, classes) float32, and `affect` (N, 2),
    valence and arousal, where the network has learnt them.

    Args:
        bundle: The bundle, on the CPU.
    """
    description = bundle.description
    trial = torch.from_numpy(generate_trial_images(description))
    return ExportGraph(
        name=description.architecture,
        module=AnsweringNetwork(require_face_network(bundle, "fer export"), description.calibration)
        .eval()
        .requires_grad_(False),
        inputs={INPUT: trial},
        outputs=(PROBABILITIES, AFFECT_OUTPUT) if description.affect else (PROBABILITIES,),
        resize=(description.faces.side, description.image_size),
        quantized="/body/",
        facts=collect_facts(description),
    )


def describe_faces(description: BundleDescription) -> tuple[str, str]:
    """The form of a native face in words: height, width and channels, and its colour."""
    side, channels = description.faces.side, 3 if description.faces.colour else 1
    return f"{side}, {side}, {channels}", "RGB" if description.faces.colour else "gray"


def collect_facts(description: BundleDescription) -> dict[str, str]:
    """Collect what a file of a bundle says of itself, with the input of a model of single faces."""
    shape, colour = describe_faces(description)
    return {
        "classes": json.dumps(description.classes),
        "input": f"{INPUT}: (N, {shape}) uint8, {colour}, one face an image, 0 to 255",
        "output": f"{PROBABILITIES}: (N, {len(description.classes)}) float32, calibrated, in the order of the classes"
        + (f"; {AFFECT_OUTPUT}: (N, 2) float32, valence and arousal from -1 to 1" if description.affect else ""),
        "architecture": description.architecture,
        "bundle_sha256": description.sha256,
        "weights_sha256": description.weights_sha256,
        "made_by": f"fer-experiments {get_version()}",
    }


class CalibratedModule(nn.Module):
    """A module that gives probabilities as a bundle calibrates them.

    Args:
        calibration: How logits become probabilities.
        count: Classes.
    """

    scale: Tensor
    bias: Tensor

    def __init__(self, calibration: Calibration, count: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(calibration.scale or (1 / calibration.temperature,) * count))
        self.register_buffer("bias", torch.tensor(calibration.bias or (0.0,) * count))

    def calibrate(self, logits: Tensor) -> Tensor:
        """Compute probabilities of logits (N, classes)."""
        return (logits * self.scale + self.bias).softmax(1)


class AnsweringNetwork(CalibratedModule):
    """A bundle's network that gives what its predictor does, by operations that every format has.

    Args:
        network: The bundle's network.
        calibration: How its logits become probabilities.
    """

    def __init__(self, network: FaceNetwork, calibration: Calibration) -> None:
        super().__init__(calibration, network.classes)
        self.network = network

    @override
    def forward(self, faces: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        network = self.network
        if faces.shape[3] == 1:
            # OpenVINO mistakes the channels where the normalisation alone makes three of one, and refuses int8.
            faces = torch.cat((faces, faces, faces), 3)
        pixels = network.preprocess(faces)
        if network.flip:
            # In one pass: half the file, and quantisation sees each weight once.
            both = network.body(torch.cat((pixels, pixels.flip(3))))
            outputs = both.reshape(2, -1, network.outputs).mean(0)
        else:
            outputs = network.body(pixels)
        probabilities = self.calibrate(outputs[:, : network.classes])
        return (probabilities, outputs[:, network.classes :].tanh()) if network.affect else probabilities
