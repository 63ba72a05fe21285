"""The network of a bundle in ONNX Runtime, several times faster than PyTorch on a CPU."""

import numpy as np
import onnxruntime
from typing_extensions import override

from fer.bundle.exported_network import ExportedNetwork
from fer.bundle.onnx_trial import INPUT

# Official builds report their use to Microsoft by default.
onnxruntime.disable_telemetry_events()


class OnnxNetwork(ExportedNetwork):
    """A bundle's exported network in ONNX Runtime."""

    runtime = "onnx"

    @override
    def start_session(self, model: bytes) -> None:
        options = onnxruntime.SessionOptions()
        # 0 lets it choose.
        options.intra_op_num_threads = self.threads or 0
        options.use_deterministic_compute = True
        # Spinning threads would otherwise take the cores from decoding and detection.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Warnings of the graph's optimisation mean nothing to a user.
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    @override
    def compute_batch(self, faces: np.ndarray) -> np.ndarray:
        outputs: np.ndarray = self._session.run(None, {INPUT: faces})[0]
        return outputs
