"""The network of a bundle in OpenVINO, which reads the same exported file as ONNX Runtime."""

from collections.abc import Mapping

import numpy as np

from fer.bundle.exported_clip_network import ExportedClipNetwork
from fer.bundle.exported_model import Session
from fer.bundle.exported_network import ExportedNetwork
from fer.core.openvino_import import import_openvino


def _start_session(model: bytes, threads: int | None) -> Session:
    openvino = import_openvino()
    properties = {
        # Otherwise it computes in bfloat16 where the processor can, and quantises what it multiplies.
        "INFERENCE_PRECISION_HINT": "f32",
        "EXECUTION_MODE_HINT": "ACCURACY",
        # All threads on one batch: batches come one after the other.
        "PERFORMANCE_HINT": "LATENCY",
        # Cores are shared with decoding, detection and other programs.
        "ENABLE_CPU_PINNING": False,
    }
    if threads is not None:
        # Without hyper-threading it takes no more threads than there are cores, whatever was asked for.
        properties |= {"INFERENCE_NUM_THREADS": threads, "ENABLE_HYPER_THREADING": True}
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model, b""), "CPU", properties)

    def run(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        # A request of its own for each batch: one request cannot be used by two threads.
        outputs: np.ndarray = compiled.create_infer_request().infer(inputs)[0]
        return outputs

    return run


class OpenVinoNetwork(ExportedNetwork):
    """A bundle's exported network in OpenVINO, on the CPU."""

    runtime = "openvino"
    start_session = staticmethod(_start_session)


class OpenVinoClipNetwork(ExportedClipNetwork):
    """The exported network of a bundle of clips in OpenVINO, on the CPU."""

    runtime = "openvino"
    start_session = staticmethod(_start_session)
