"""The check of the two exported graphs of a model of clips, which may come from anybody."""

import math
from dataclasses import dataclass

from onnx import TensorProto

from fer.bundle.metadata import WEIGHTS_FILE, BundleDescription
from fer.bundle.onnx_graph import MAX_BATCH, CheckedGraph, GraphForm, check_arithmetic
from fer.bundle.onnx_trial import FEATURES, INPUT, MASK, OUTPUT
from fer.models.weights_header import parse_header

# Numbers of a frame's state for each of its head's width, and numbers that cost as much as a pixel does.
NUMBERS_PER_WIDTH, NUMBERS_PER_PIXEL = 16, 64
# Windows that convolutions through space and time see at once: each is as large as many faces.
MAX_VIDEO_BATCH = 4
# No architecture gives more features of a frame.
MAX_FEATURES = 8192


@dataclass(frozen=True)
class CheckedClipGraphs:
    """What is known of two graphs that may be loaded, and what fits between them: so many features of a frame."""

    encoder: CheckedGraph
    head: CheckedGraph
    features: int


def count_features(description: BundleDescription) -> int:
    """Return the features of a frame of a bundle, by the header of its weights. Raises OSError and ValueError."""
    windows = description.temporal
    assert windows is not None, "the bundle is one of clips"
    if windows.kind == "video3d":
        return 3 * description.image_size**2
    shapes = parse_header(description.folder / WEIGHTS_FILE)
    return (0, *shapes.get("head.inputs.norm.weight", ()))[-1]


def check_clip_graphs(encoder: bytes, head: bytes, features: int, description: BundleDescription) -> CheckedClipGraphs:
    """Check the exported network of a bundle of clips.

    Args:
        encoder: The ONNX file from faces to features.
        head: The ONNX file from windows of features to logits.
        features: Features of a frame, as the files are said to have.
        description: The bundle that they are said to be of.

    Raises:
        ValueError: One holds what no export of this program does, or costs more than a network of this size may.
    """
    windows, faces, size = description.temporal, description.faces, description.image_size
    assert windows is not None, "the bundle is one of clips"
    is_video = windows.kind == "video3d"
    if not is_video and not 0 < features <= MAX_FEATURES:
        raise ValueError(f"it has {features:,} features of a frame")
    pixels = max(faces.side, size) ** 2
    face = (faces.side, faces.side, 3 if faces.colour else 1)
    encoder_form = GraphForm({INPUT: (TensorProto.UINT8, face)}, FEATURES, (features,), pixels, MAX_BATCH)
    state = features + NUMBERS_PER_WIDTH * windows.hidden
    head_form = GraphForm(
        {
            FEATURES: (TensorProto.FLOAT, (windows.length, features)),
            MASK: (TensorProto.BOOL, (windows.length,)),
        },
        OUTPUT,
        (len(description.classes),),
        windows.length * (size**2 if is_video else math.ceil(state / NUMBERS_PER_PIXEL)),
        MAX_VIDEO_BATCH if is_video else MAX_BATCH,
    )
    return CheckedClipGraphs(check_arithmetic(encoder, encoder_form), check_arithmetic(head, head_form), features)
