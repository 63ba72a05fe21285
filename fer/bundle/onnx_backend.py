"""The network of a bundle in ONNX Runtime, which judges faces several times faster than PyTorch on a CPU."""

import json
import logging
from pathlib import Path

import numpy as np
import onnxruntime

from fer.bundle.metadata import BundleDescription
from fer.bundle.onnx_trial import BUNDLE_KEY, PROBABILITIES_KEY, generate_trial_images
from fer.core.io import atomic_write
from fer.errors import ModelError, shorten_error
from fer.metrics.calibration import compute_probabilities

NETWORK_FILE = "network.onnx"
# How far a probability may be from PyTorch's, and on how many pictures that is checked at every start.
TOLERANCE = 1e-4
log = logging.getLogger(__name__)
# Its packages report their use to their maker by default.
onnxruntime.disable_telemetry_events()


class OnnxNetwork:
    """A bundle's FaceNetwork, preprocessing included, that ONNX Runtime computes on the CPU."""

    def __init__(self, description: BundleDescription, cache: Path, threads: int | None = None) -> None:
        """Load the network from ``cache``, a directory; export it where it is not there, or no longer fits.

        ``threads`` compute one batch, by default as many as ONNX Runtime chooses. Raises ModelError where the
        architecture cannot be exported, or answers otherwise than in PyTorch.
        """
        self.description = description
        self.threads = threads or 0
        path = cache / NETWORK_FILE
        if not self._load_if_valid(path):
            # Only the export needs PyTorch.
            from fer.bundle.onnx_export import export_onnx

            model = export_onnx(description)
            try:
                self.session = self._start_session(model)
                max_difference = self._compute_max_difference()
            except Exception as error:
                raise ModelError(
                    f"inference.runtime=onnx: {description.architecture} cannot be computed ({shorten_error(error)}); "
                    "use inference.runtime=torch"
                ) from None
            if not max_difference <= TOLERANCE:
                raise ModelError(
                    f"inference.runtime=onnx: {description.architecture} gives probabilities that differ by "
                    f"{max_difference:.2g} from PyTorch's; use inference.runtime=torch"
                )
            _write_cached_model(model, path)

    def _load_if_valid(self, path: Path) -> bool:
        """Whether the file at ``path`` is there, was made from this bundle and answers as PyTorch did."""
        if not path.is_file():
            return False
        try:
            self.session = self._start_session(path.read_bytes())
            if (
                self._read_metadata()[BUNDLE_KEY] == self.description.sha256
                and self._compute_max_difference() <= TOLERANCE
            ):
                return True
        except Exception as error:
            # ONNX Runtime's errors have no common class; whatever is wrong, exporting again mends it.
            log.debug("%s: %s", path, shorten_error(error))
        log.info("%s does not fit the bundle and is exported again", path)
        return False

    def _start_session(self, model: bytes) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.use_deterministic_compute = True
        # Threads that wait for work would otherwise keep the cores from decoding and detection.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Warnings of the graph's optimisation mean nothing to who only wants faces judged.
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def _read_metadata(self) -> dict[str, str]:
        return dict(self.session.get_modelmeta().custom_metadata_map)

    def _compute_max_difference(self) -> float:
        """Largest absolute difference of a probability from PyTorch's, on the trial pictures."""
        trial = generate_trial_images(self.description)
        result = compute_probabilities(self.compute_logits(trial, len(trial)), self.description.temperature)
        return float(np.abs(result - np.array(json.loads(self._read_metadata()[PROBABILITIES_KEY]))).max())

    def compute_logits(self, native: np.ndarray, batch_size: int) -> np.ndarray:
        """Logits (N, classes) float32 of native faces (N, side, side, C) uint8."""
        batches = [
            self.session.run(None, {"faces": np.ascontiguousarray(native[start : start + batch_size])})[0]
            for start in range(0, len(native), batch_size)
        ]
        return np.concatenate(batches) if batches else np.empty((0, len(self.description.classes)), np.float32)


def _write_cached_model(model: bytes, path: Path) -> None:
    """Write the exported network for the next time; where that is not possible, the next time exports again."""
    try:
        with atomic_write(path) as tmp_path:
            tmp_path.write_bytes(model)
    except OSError as error:
        log.info("%s: not kept (%s); the next start exports the network again", path, error.strerror)
