"""ONNX Runtime on the CPU, as every room of this program starts it."""

import onnxruntime

# Official builds report their use to Microsoft by default.
onnxruntime.disable_telemetry_events()


def start_onnx_session(model: bytes, threads: int | None) -> onnxruntime.InferenceSession:
    """Load a graph.

    Args:
        model: The ONNX file, of this program's making or checked by it.
        threads: Threads of one run; None leaves them to ONNX Runtime.

    Raises:
        Exception: Of any kind, where it cannot be computed.
    """
    options = onnxruntime.SessionOptions()
    # 0 lets it choose.
    options.intra_op_num_threads = threads or 0
    options.use_deterministic_compute = True
    # Spinning threads would otherwise take the cores from decoding and detection.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Warnings of the graph's optimisation mean nothing to a user.
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
