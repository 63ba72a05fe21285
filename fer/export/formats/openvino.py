"""OpenVINO's intermediate representation, and its 8-bit form by NNCF; neither reports its use."""

import errno
import os
from pathlib import Path
from typing import Any

from typing_extensions import override

from fer.core.openvino_import import import_openvino
from fer.export.formats.base import QuantizedFormat, Runner
from fer.export.formats.onnx import build_onnx
from fer.export.graph import ExportGraph
from fer.export.inputs import ModelInputs

FACTS = "fer"
# Otherwise it computes in bfloat16 where the processor can: probabilities would differ by a hundredth.
PRECISION = {"INFERENCE_PRECISION_HINT": "f32"}


class OpenVinoFormat(QuantizedFormat):
    """Two files, the graph with the facts and the weights."""

    title, runtime, suffixes, quantizer = "OpenVINO", "OpenVINO", (".xml", ".bin"), "NNCF"

    @override
    def write(self, graph: ExportGraph, path: Path) -> None:
        _save(_read(graph), graph, path)

    @override
    def quantize(self, graph: ExportGraph, path: Path, examples: ModelInputs) -> None:
        model = _read(graph)
        # After OpenVINO, whose reports it would send otherwise.
        import nncf

        items = list(examples.iter_batches(1))
        _save(nncf.quantize(model, nncf.Dataset(items), subset_size=len(items)), graph, path)

    @override
    def open(self, path: Path, threads: int) -> Runner:
        options = {**PRECISION, "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
        compiled = import_openvino().Core().compile_model(path, "CPU", options)
        return lambda inputs: [values.copy() for values in compiled(dict(inputs)).to_tuple()]


def _read(graph: ExportGraph) -> Any:
    """The model of a graph, by way of ONNX: OpenVINO's own converter sends reports."""
    return import_openvino().Core().read_model(build_onnx(graph), b"")


def _save(model: Any, graph: ExportGraph, path: Path) -> None:
    for name, value in graph.facts.items():
        model.set_rt_info(value, [FACTS, name])
    try:
        import_openvino().save_model(model, path, compress_to_fp16=False)
    except RuntimeError as error:
        if "iostream" not in str(error):
            raise
        # All that it says of a file that could not be written.
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from None
