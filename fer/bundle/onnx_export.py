"""From a bundle to an ONNX file whose metadata name the bundle and what PyTorch answers."""

import io
import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from typing_extensions import override

from fer.bundle.io import load_bundle, require_face_network
from fer.bundle.metadata import BundleDescription
from fer.bundle.onnx_trial import BUNDLE_KEY, INPUT, OPSET_VERSION, OUTPUT, PROBABILITIES_KEY, generate_trial_images
from fer.errors import ModelError, shorten_error
from fer.models.network import FaceNetwork, predict_logits
from fer.models.preparation import PreparedNetwork


def export_onnx(description: BundleDescription, runtime: str = "onnx") -> bytes:
    """Export a bundle's network, preprocessing included, to ONNX.

    The input `faces` is (N, side, side, C) uint8, the output `logits` (N, outputs) float32, of which the first are the
    classes' and the others, where there are any, valence and arousal before the hyperbolic tangent.

    Args:
        description: The bundle.
        runtime: What is to compute it, for the message of an error.

    Returns:
        The content of an ONNX file. Its metadata hold the hash of the bundle and PyTorch's probabilities of the trial
        images.

    Raises:
        ModelError: The architecture cannot be exported.
    """
    network = require_face_network(load_bundle(str(description.folder)), "this export")
    trial = generate_trial_images(description)
    logits = predict_logits(network, trial, np.arange(len(trial)))
    return add_metadata(trace_to_onnx(network, trial, runtime), description, logits)


def add_metadata(model: bytes, description: BundleDescription, logits: np.ndarray) -> bytes:
    """Return an exported network with the hash of its bundle and PyTorch's probabilities, of these logits."""
    content = onnx.load_from_string(model)
    answers = description.calibration.compute_probabilities(logits)
    onnx.helper.set_model_props(
        content, {BUNDLE_KEY: description.sha256, PROBABILITIES_KEY: json.dumps(answers.tolist())}
    )
    return bytes(content.SerializeToString(deterministic=True))


def trace_to_onnx(network: FaceNetwork, trial: np.ndarray, runtime: str = "onnx") -> bytes:
    """Return the network as PyTorch exports it, traced with ``trial`` (N, side, side, C) uint8. Raises ModelError."""
    module = _AllOutputs(network) if network.affect else network
    return trace_part(module, network, {INPUT: torch.from_numpy(trial)}, OUTPUT, runtime)


def trace_part(
    module: nn.Module, network: PreparedNetwork, inputs: Mapping[str, Tensor], output: str, runtime: str
) -> bytes:
    """Return a network, or a part of it, as PyTorch exports it, of any number of inputs at a time.

    Args:
        module: What to export.
        network: What it is, or is a part of.
        inputs: What it is traced with, by the names that its inputs get; a first of faces is (N, side, side, C).
        output: The name that its output gets.
        runtime: What is to compute it, for the message of an error.

    Raises:
        ModelError: It cannot be exported.
    """
    try:
        return trace_module(module, inputs, [output], (next(iter(inputs.values())).shape[1], network.image_size))
    except Exception as error:
        # Operations that ONNX does not have end in errors of many kinds.
        raise ModelError(
            f"inference.runtime={runtime}: {network.name} cannot be exported ({shorten_error(error)}); "
            "use inference.runtime=torch"
        ) from None


def trace_module(
    module: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str], resize: tuple[int, int]
) -> bytes:
    """Return the ONNX file of a module, of whose inputs and outputs the first dimension is the batch.

    Args:
        module: Takes the inputs in their order.
        inputs: An example of each, by its name in the file.
        outputs: Names of what the module returns.
        resize: Height and width of the images before and after the module's antialiased resize, pixels.

    Raises:
        Exception: It has an operation that ONNX does not have; of which kind is PyTorch's to choose.
    """
    file = io.BytesIO()
    operation = "aten::_upsample_bilinear2d_aa"
    torch.onnx.register_custom_op_symbolic(operation, _build_resize_symbolic(*resize), OPSET_VERSION)
    try:
        with warnings.catch_warnings():
            # It warns that this exporter is deprecated and that traced shapes are fixed: only the batch varies here.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module,
                tuple(inputs.values()),
                cast(Any, file),
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_axes={name: {0: "batch"} for name in (*inputs, *outputs)},
                opset_version=OPSET_VERSION,
                dynamo=False,
            )
    finally:
        torch.onnx.unregister_custom_op_symbolic(operation, OPSET_VERSION)
    return file.getvalue()


class _AllOutputs(nn.Module):
    """A network whose forward pass gives valence and arousal, too."""

    def __init__(self, network: FaceNetwork) -> None:
        super().__init__()
        self.network = network

    @override
    def forward(self, images: Tensor) -> Tensor:
        return self.network.compute_outputs(images)


def _build_resize_symbolic(side: int, size: int) -> Any:
    """Return the symbolic function of the network's antialiased resize, for which ONNX has no equal operation.

    Bilinear resizing is linear along each axis, so it is a matrix, and PyTorch itself gives that matrix: the resized
    identity.
    """
    identity = torch.eye(side)[None, None]
    matrix = interpolate(identity, (size, side), mode="bilinear", antialias=True)[0, 0]

    def as_matrices(graph: Any, images: Any, *_: Any) -> Any:
        rows = graph.op("Constant", value_t=matrix)
        columns = graph.op("Constant", value_t=matrix.T.contiguous())
        return graph.op("MatMul", graph.op("MatMul", rows, images), columns)

    return as_matrices
