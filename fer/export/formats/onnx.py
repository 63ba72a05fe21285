"""ONNX, and its 8-bit form by ONNX Runtime."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from typing_extensions import override

from fer.bundle.onnx_export import trace_module
from fer.export.formats.base import QuantizedFormat, Runner
from fer.export.graph import ExportGraph
from fer.export.inputs import ModelInputs

# Examples at a time when ranges are found: their activations are in memory together.
BATCH_SIZE = 32
# Official builds report their use to Microsoft by default.
onnxruntime.disable_telemetry_events()


class OnnxFormat(QuantizedFormat):
    """One file with the facts as its metadata."""

    title, runtime, suffixes, quantizer = "ONNX", "ONNX Runtime", (".onnx",), "ONNX Runtime"

    @override
    def write(self, graph: ExportGraph, path: Path) -> None:
        path.write_bytes(build_onnx(graph))

    @override
    def quantize(self, graph: ExportGraph, path: Path, examples: ModelInputs) -> None:
        # It takes a second to import.
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

        model = onnx.load_from_string(build_onnx(graph))
        with _ignore_advice():
            quantize_static(
                model,
                path,
                _build_reader(examples),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                # Processors without VNNI add pairs of products in 16 bits: of weights of 7 bits none is cut off.
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=[node.name for node in model.graph.node if graph.quantized not in node.name],
            )
        model = onnx.load(path)
        onnx.helper.set_model_props(model, dict(graph.facts))
        path.write_bytes(model.SerializeToString(deterministic=True))

    @override
    def open(self, path: Path, threads: int) -> Runner:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Warnings of the graph's optimisation mean nothing to a user.
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return lambda inputs: session.run(None, dict(inputs))


def build_onnx(graph: ExportGraph) -> bytes:
    """Return the ONNX file of a graph, the same for the same graph."""
    model = onnx.load_from_string(trace_module(graph.module, graph.inputs, graph.outputs, graph.resize))
    onnx.helper.set_model_props(model, dict(graph.facts))
    return bytes(model.SerializeToString(deterministic=True))


@contextmanager
def _ignore_advice() -> Iterator[None]:
    """It advises, for every model, a preparation that is not needed for one whose shapes are known."""
    root = logging.getLogger()
    root.addFilter(_is_error)
    try:
        yield
    finally:
        root.removeFilter(_is_error)


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


def _build_reader(examples: ModelInputs) -> Any:
    """What ONNX Runtime takes the examples from, batch by batch."""
    from onnxruntime.quantization import CalibrationDataReader

    batches = examples.iter_batches(BATCH_SIZE)

    class Reader(CalibrationDataReader):
        @override
        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(batches, None)

    return Reader()
