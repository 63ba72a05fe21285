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
# Bundles that are more than one network that answers to one face: the key of bundle.yaml, and what they are called.
OTHER_KINDS = {"temporal": "a temporal model", "members": "an ensemble"}


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
    """Check that a bundle is a network that answers to a face by itself. Raises ModelError."""
    for key, kind in OTHER_KINDS.items():
        if description.content.get(key):
            raise ModelError(
                f"{description.folder}: is {kind}, and only models of single faces are exported; name one of these"
            )


def build_graph(bundle: Bundle) -> ExportGraph:
    """Return the graph of a bundle: uint8 faces in their native form to calibrated probabilities.

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
        facts=_collect_facts(description),
    )


def _collect_facts(description: BundleDescription) -> dict[str, str]:
    side, channels = description.faces.side, 3 if description.faces.colour else 1
    colour = "RGB" if description.faces.colour else "gray"
    return {
        "classes": json.dumps(description.classes),
        "input": f"{INPUT}: (N, {side}, {side}, {channels}) uint8, {colour}, one face an image, 0 to 255",
        "output": f"{PROBABILITIES}: (N, {len(description.classes)}) float32, calibrated, in the order of the classes"
        + (f"; {AFFECT_OUTPUT}: (N, 2) float32, valence and arousal from -1 to 1" if description.affect else ""),
        "architecture": description.architecture,
        "bundle_sha256": description.sha256,
        "weights_sha256": description.weights_sha256,
        "made_by": f"fer-experiments {get_version()}",
    }


class AnsweringNetwork(nn.Module):
    """A bundle's network that gives what its predictor does, by operations that every format has.

    Args:
        network: The bundle's network.
        calibration: How its logits become probabilities.
    """

    scale: Tensor
    bias: Tensor

    def __init__(self, network: FaceNetwork, calibration: Calibration) -> None:
        super().__init__()
        self.network = network
        count = network.classes
        self.register_buffer("scale", torch.tensor(calibration.scale or (1 / calibration.temperature,) * count))
        self.register_buffer("bias", torch.tensor(calibration.bias or (0.0,) * count))

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
        probabilities = (outputs[:, : network.classes] * self.scale + self.bias).softmax(1)
        return (probabilities, outputs[:, network.classes :].tanh()) if network.affect else probabilities
