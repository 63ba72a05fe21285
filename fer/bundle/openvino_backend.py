"""The network of a bundle in OpenVINO, which reads the same exported file as ONNX Runtime."""

import numpy as np
from typing_extensions import override

from fer.bundle.exported_network import ExportedNetwork
from fer.bundle.onnx_trial import INPUT, OUTPUT
from fer.core.openvino_import import import_openvino


class OpenVinoNetwork(ExportedNetwork):
    """A bundle's exported network in OpenVINO, on the CPU."""

    runtime = "openvino"

    @override
    def start_session(self, model: bytes) -> None:
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
        if self.threads is not None:
            # Without hyper-threading it takes no more threads than there are cores, whatever was asked for.
            properties |= {"INFERENCE_NUM_THREADS": self.threads, "ENABLE_HYPER_THREADING": True}
        core = openvino.Core()
        self._compiled = core.compile_model(core.read_model(model, b""), "CPU", properties)

    @override
    def compute_batch(self, faces: np.ndarray) -> np.ndarray:
        # A request of its own for each batch: one request cannot be used by two threads.
        outputs: np.ndarray = self._compiled.create_infer_request().infer({INPUT: faces})[OUTPUT]
        return outputs
