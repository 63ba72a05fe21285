"""The network of a bundle in ONNX Runtime, several times faster than PyTorch on a CPU."""

from collections.abc import Mapping

import numpy as np
import onnxruntime

from fer.bundle.exported_clip_network import ExportedClipNetwork
from fer.bundle.exported_model import Session
from fer.bundle.exported_network import ExportedNetwork

# Official builds report their use to Microsoft by default.
onnxruntime.disable_telemetry_events()


def _start_session(model: bytes, threads: int | None) -> Session:
    options = onnxruntime.SessionOptions()
    # 0 lets it choose.
    options.intra_op_num_threads = threads or 0
    options.use_deterministic_compute = True
    # Spinning threads would otherwise take the cores from decoding and detection.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Warnings of the graph's optimisation mean nothing to a user.
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def run(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        outputs: np.ndarray = session.run(None, inputs)[0]
        return outputs

    return run


class OnnxNetwork(ExportedNetwork):
    """A bundle's exported network in ONNX Runtime."""

    runtime = "onnx"
    start_session = staticmethod(_start_session)


class OnnxClipNetwork(ExportedClipNetwork):
    """The exported network of a bundle of clips in ONNX Runtime."""

    runtime = "onnx"
    start_session = staticmethod(_start_session)
