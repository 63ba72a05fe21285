"""The network of a bundle in ONNX Runtime, several times faster than PyTorch on a CPU."""

from collections.abc import Mapping

import numpy as np

from fer.bundle.exported_clip_network import ExportedClipNetwork
from fer.bundle.exported_model import Session
from fer.bundle.exported_network import ExportedNetwork
from fer.core.onnx_session import start_onnx_session


def _start_session(model: bytes, threads: int | None) -> Session:
    session = start_onnx_session(model, threads)

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
