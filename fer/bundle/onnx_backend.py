"""The network of a bundle in ONNX Runtime, which judges faces several times faster than PyTorch on a CPU."""

import json
import logging
from pathlib import Path

import numpy as np
import onnxruntime

from fer.bundle.metadata import Description
from fer.bundle.onnx_trial import ANSWERS, BUNDLE, trial_pictures
from fer.core.io import written_beside
from fer.errors import ModelError, first_line
from fer.metrics.calibration import probabilities

FILE = "network.onnx"
# How far a probability may be from PyTorch's, and on how many pictures that is checked at every start.
TOLERANCE = 1e-4
log = logging.getLogger(__name__)
# Its packages report their use to their maker by default.
onnxruntime.disable_telemetry_events()


class OnnxNetwork:
    """A bundle's FaceNetwork, preprocessing included, that ONNX Runtime computes on the CPU."""

    def __init__(self, description: Description, cache: Path, threads: int | None = None) -> None:
        """Load the network from ``cache``, a directory; export it where it is not there, or no longer fits.

        ``threads`` compute one batch, by default as many as ONNX Runtime chooses. Raises ModelError where the
        architecture cannot be exported, or answers otherwise than in PyTorch.
        """
        self.description = description
        self.threads = threads or 0
        path = cache / FILE
        if not self.loads(path):
            # Only the export needs PyTorch.
            from fer.bundle.onnx_export import exported

            model = exported(description)
            try:
                self.session = self.started(model)
                found = self.difference()
            except Exception as error:
                raise ModelError(
                    f"inference.runtime=onnx: {description.architecture} cannot be computed ({first_line(error)}); "
                    "use inference.runtime=torch"
                ) from None
            if not found <= TOLERANCE:
                raise ModelError(
                    f"inference.runtime=onnx: {description.architecture} gives probabilities that differ by "
                    f"{found:.2g} from PyTorch's; use inference.runtime=torch"
                )
            keep(model, path)

    def loads(self, path: Path) -> bool:
        """Whether the file at ``path`` is there, was made from this bundle and answers as PyTorch did."""
        if not path.is_file():
            return False
        try:
            self.session = self.started(path.read_bytes())
            if self.metadata()[BUNDLE] == self.description.sha256 and self.difference() <= TOLERANCE:
                return True
        except Exception as error:
            # ONNX Runtime's errors have no common class; whatever is wrong, exporting again mends it.
            log.debug("%s: %s", path, first_line(error))
        log.info("%s does not fit the bundle and is exported again", path)
        return False

    def started(self, model: bytes) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.use_deterministic_compute = True
        # Threads that wait for work would otherwise keep the cores from decoding and detection.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Warnings of the graph's optimisation mean nothing to who only wants faces judged.
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def metadata(self) -> dict[str, str]:
        return dict(self.session.get_modelmeta().custom_metadata_map)

    def difference(self) -> float:
        """Largest absolute difference of a probability from PyTorch's, on the trial pictures."""
        trial = trial_pictures(self.description)
        found = probabilities(self.logits(trial, len(trial)), self.description.temperature)
        return float(np.abs(found - np.array(json.loads(self.metadata()[ANSWERS]))).max())

    def logits(self, native: np.ndarray, batch_size: int) -> np.ndarray:
        """Logits (N, classes) float32 of native faces (N, side, side, C) uint8."""
        found = [
            self.session.run(None, {"faces": np.ascontiguousarray(native[start : start + batch_size])})[0]
            for start in range(0, len(native), batch_size)
        ]
        return np.concatenate(found) if found else np.empty((0, len(self.description.classes)), np.float32)


def keep(model: bytes, path: Path) -> None:
    """Write the exported network for the next time; where that is not possible, the next time exports again."""
    try:
        with written_beside(path) as beside:
            beside.write_bytes(model)
    except OSError as error:
        log.info("%s: not kept (%s); the next start exports the network again", path, error.strerror)
