"""The network of a bundle of clips: how it is built from the description; what the weights of any head must be."""

import torch
from torch import nn

from fer.bundle.metadata import BundleDescription
from fer.models.clip_network import ClipNetwork
from fer.models.fitted_heads import create_head
from fer.models.head_format import HeadFormat
from fer.models.temporal_heads import build_head
from fer.models.temporal_network import TemporalNetwork
from fer.models.video3d import VideoNetwork, create_video_body

Shapes = dict[str, tuple[int, ...]]
ENCODER, HEAD, CLASSIFIER = "encoder.", "head.", "classifier.weight"


def build_clip_network(description: BundleDescription) -> ClipNetwork:
    """Build the network that a bundle of clips describes, with random weights. Raises ModelError and ValueError."""
    windows = description.temporal
    assert windows is not None, "the bundle is one of clips"
    shape = (description.architecture, len(description.classes), description.image_size, 0.0)
    network: ClipNetwork = (
        VideoNetwork(*shape, windows) if windows.kind == "video3d" else TemporalNetwork(*shape, windows)
    )
    network.set_normalisation(description.mean, description.std)
    return network


def select_encoder(shapes: Shapes) -> Shapes:
    """Return names and shapes of the weights of the encoder of a network with a head."""
    return {name.removeprefix(ENCODER): shape for name, shape in shapes.items() if name.startswith(ENCODER)}


def fits_description(shapes: Shapes, description: BundleDescription) -> bool:
    """Whether weights are those of the described head, or of the described network of torchvision.

    Args:
        shapes: Those in the file of weights, which is not larger than they say.
        description: What may describe anything.
    """
    windows, classes = description.temporal, len(description.classes)
    assert windows is not None, "the bundle is one of clips"
    # Nothing of it takes memory.
    with torch.device("meta"):
        if windows.kind == "video3d":
            return shapes == _list_shapes(create_video_body(description.architecture, classes, 0.0))
        if windows.head is None or len(width := shapes.get(CLASSIFIER, ())) != 2:
            return False
        features = shapes.get(f"{HEAD}inputs.norm.weight", (0,))[0]
        head = build_head(windows.head, features, windows.hidden, windows.layers, 0.0)
    return _select_head(shapes) == _list_shapes(head) and width == (classes, head.width)


def fits_head(shapes: Shapes, format: HeadFormat, classes: int) -> bool:
    """Whether weights are those of a fitted head, see ``fits_description``."""
    with torch.device("meta"):
        head = create_head(format, classes)
    return _select_head(shapes) == _list_shapes(head)


def _select_head(shapes: Shapes) -> Shapes:
    return {name.removeprefix(HEAD): shape for name, shape in shapes.items() if name.startswith(HEAD)}


def _list_shapes(module: nn.Module) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
