"""From a bundle to an ONNX file that knows its bundle and what PyTorch answers."""

import io
import json
import warnings
from typing import Any, cast

import numpy as np
import onnx
import torch
import torch.nn.functional as F

from fer.bundle.io import load_bundle
from fer.bundle.metadata import BundleDescription
from fer.bundle.onnx_trial import BUNDLE_KEY, PROBABILITIES_KEY, generate_trial_images
from fer.errors import ModelError, shorten_error
from fer.metrics.calibration import compute_probabilities
from fer.models.network import FaceNetwork, predict_logits

# 17 is the first with layer normalisation as one operation.
OPSET_VERSION = 17


def export_onnx(description: BundleDescription) -> bytes:
    """A bundle's network as an ONNX file whose metadata hold its hash and PyTorch's answers. Raises ModelError.

    `faces` (N, side, side, C) uint8 go in, `logits` (N, classes) come out.
    """
    bundle = load_bundle(str(description.folder))
    trial = generate_trial_images(description)
    model = onnx.load_from_string(trace_to_onnx(bundle.network, trial))
    answers = compute_probabilities(
        predict_logits(bundle.network, trial, np.arange(len(trial))), description.temperature
    )
    onnx.helper.set_model_props(
        model, {BUNDLE_KEY: description.sha256, PROBABILITIES_KEY: json.dumps(answers.tolist())}
    )
    return bytes(model.SerializeToString(deterministic=True))


def trace_to_onnx(network: FaceNetwork, trial: np.ndarray) -> bytes:
    """The network as ONNX, as PyTorch writes it. Raises ModelError."""
    faces = torch.from_numpy(trial)
    file = io.BytesIO()
    resize = "aten::_upsample_bilinear2d_aa"
    torch.onnx.register_custom_op_symbolic(resize, _build_resize_symbolic(network, trial.shape[1]), OPSET_VERSION)
    try:
        with warnings.catch_warnings():
            # The exporter by tracing is called old, and traced shapes are fixed: here only the batch may vary.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                (faces,),
                cast(Any, file),
                input_names=["faces"],
                output_names=["logits"],
                dynamic_axes={"faces": {0: "batch"}, "logits": {0: "batch"}},
                opset_version=OPSET_VERSION,
                dynamo=False,
            )
    except Exception as error:
        # What an architecture does that ONNX has no words for ends in errors of many kinds.
        raise ModelError(
            f"inference.runtime=onnx: {network.name} cannot be exported ({shorten_error(error)}); "
            "use inference.runtime=torch"
        ) from None
    finally:
        torch.onnx.unregister_custom_op_symbolic(resize, OPSET_VERSION)
    return file.getvalue()


def _build_resize_symbolic(network: FaceNetwork, side: int) -> Any:
    """How the exporter writes the network's antialiased resize, for which ONNX has no operation that equals PyTorch's.

    Bilinear resizing is linear along each axis, so it is a matrix, and PyTorch itself gives the matrix: the resized
    identity.
    """
    identity = torch.eye(side)[None, None]
    size = (network.image_size, side)
    matrix = F.interpolate(identity, size, mode="bilinear", antialias=True)[0, 0]

    def as_matrices(graph: Any, images: Any, *_: Any) -> Any:
        rows = graph.op("Constant", value_t=matrix)
        columns = graph.op("Constant", value_t=matrix.T.contiguous())
        return graph.op("MatMul", graph.op("MatMul", rows, images), columns)

    return as_matrices
