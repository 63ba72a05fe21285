"""The network of a bundle in ONNX Runtime, several times faster than PyTorch on a CPU."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from fer.bundle.locate import is_shipped, locate_model
from fer.bundle.metadata import NETWORK_FILE, ONNX_DIR, BundleDescription
from fer.bundle.onnx_trial import BUNDLE_KEY, INPUT, PROBABILITIES_KEY, generate_trial_images
from fer.core.bounded_stream import format_size
from fer.core.documents import parse_json
from fer.core.installation import get_version
from fer.core.io import atomic_write, read_at_most
from fer.core.user_cache import get_user_cache_dir
from fer.errors import ModelError, shorten_error

# How far a probability may be from PyTorch's; it is checked with the trial images at every start.
TOLERANCE = 1e-4
log = logging.getLogger(__name__)
# Official builds report their use to Microsoft by default.
onnxruntime.disable_telemetry_events()


class OnnxNetwork:
    """A bundle's FaceNetwork, preprocessing included, computed by ONNX Runtime on the CPU.

    Args:
        description: The bundle.
        cache: Directories that may hold the exported network, the preferred one first; where it is missing or no longer
            fits, it is exported again into the first one that can be written.
        threads: CPU threads for one batch, by default as many as ONNX Runtime chooses.

    Raises:
        ModelError: The architecture cannot be exported, or answers differently than in PyTorch.
    """

    def __init__(self, description: BundleDescription, *cache: Path, threads: int | None = None) -> None:
        self.description = description
        self.threads = threads or 0
        self.max_batch: int | None = None
        paths = [directory / NETWORK_FILE for directory in cache]
        if not any(self._load_if_valid(path) for path in paths):
            write_cached_models({NETWORK_FILE: self._export()}, cache)

    def _export(self) -> bytes:
        """Export the network, load it and compare it with PyTorch. Raises ModelError."""
        # Only the export needs PyTorch.
        from fer.bundle.onnx_export import export_onnx

        architecture = self.description.architecture
        model = export_onnx(self.description)
        try:
            self.session = start_session(model, self.threads)
            max_difference = self._compute_max_difference()
        except Exception as error:
            raise ModelError(
                f"inference.runtime=onnx: {architecture} cannot be computed ({shorten_error(error)}); "
                "use inference.runtime=torch"
            ) from None
        if not max_difference <= TOLERANCE:
            raise ModelError(
                f"inference.runtime=onnx: {architecture} gives probabilities that differ by "
                f"{max_difference:.2g} from PyTorch's; use inference.runtime=torch"
            )
        return model

    def _load_if_valid(self, path: Path) -> bool:
        """Load the file at ``path``; whether it exists, is harmless, of this bundle, and answers as PyTorch did.

        It may have come with a bundle from anybody, so what its graph computes is checked before it is loaded.
        """
        if not path.is_file():
            return False
        # It takes a while to import, and is needed here alone.
        from fer.bundle.onnx_graph import check_graph, compute_max_bytes

        try:
            max_bytes = compute_max_bytes(self.description)
            model = read_at_most(path, max_bytes)
            if model is None:
                raise ValueError(f"it has more than {format_size(max_bytes)}")
            graph = check_graph(model, self.description)
            if graph.metadata[BUNDLE_KEY] == self.description.sha256:
                self.max_batch = graph.max_batch
                self.session = start_session(model, self.threads)
                if self._compute_max_difference() <= TOLERANCE:
                    return True
        except Exception as error:
            # ONNX Runtime's errors have no common class; whatever is wrong, exporting again fixes it.
            log.debug("%s: %s", path, shorten_error(error))
        self.max_batch = None
        log.info("%s does not fit the bundle and is exported again", path)
        return False

    def _read_metadata(self) -> dict[str, str]:
        return dict(self.session.get_modelmeta().custom_metadata_map)

    def _compute_max_difference(self) -> float:
        """Return the largest absolute difference of a probability from PyTorch's, over the trial images."""
        trial = generate_trial_images(self.description)
        logits = self.compute_outputs(trial, len(trial))[:, : len(self.description.classes)]
        result = self.description.calibration.compute_probabilities(logits)
        expected = np.array(parse_json(self._read_metadata()[PROBABILITIES_KEY]), float)
        return float(np.abs(result - expected).max()) if expected.shape == result.shape else float("inf")

    def compute_outputs(self, native: np.ndarray, batch_size: int) -> np.ndarray:
        """Return outputs (N, outputs) float32 of native faces (N, side, side, C) uint8, logits first."""
        batch_size = min(batch_size, self.max_batch or batch_size)
        batches = [
            self.session.run(None, {INPUT: np.ascontiguousarray(native[start : start + batch_size])})[0]
            for start in range(0, len(native), batch_size)
        ]
        return np.concatenate(batches) if batches else np.empty((0, len(self.description.columns)), np.float32)


def start_session(model: bytes, threads: int) -> onnxruntime.InferenceSession:
    """Load an exported network into ONNX Runtime, on so many CPU threads; 0 lets it choose."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.use_deterministic_compute = True
    # Spinning threads would otherwise take the cores from decoding and detection.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Warnings of the graph's optimisation mean nothing to a user.
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def list_caches(model_uri: str, description: BundleDescription) -> list[Path]:
    """List the directories that may hold a bundle's exported network, the preferred one first.

    It stands in the directory that the model was loaded from. Where that cannot be written, and beside the shipped
    model, which is part of the program, it stands in the user's cache, by version: another one may export otherwise.
    """
    folder, user_cache = locate_model(model_uri), get_user_cache_dir()
    caches = [] if is_shipped(folder) else [folder / ONNX_DIR]
    if user_cache is not None:
        caches.append(user_cache / ONNX_DIR / f"{get_version()}-{description.sha256}")
    return caches


def write_cached_models(models: Mapping[str, bytes], directories: Sequence[Path]) -> None:
    """Store exported networks, by name, where all can be written; without a place each start exports them again."""
    problems = []
    for directory in directories:
        try:
            for name, model in models.items():
                with atomic_write(directory / name) as tmp_path:
                    tmp_path.write_bytes(model)
            return
        except OSError as error:
            problems.append(f"{directory}: not kept ({error.strerror})")
    problem = "; ".join(problems) or "The exported network is not kept (there is no home directory)"
    log.info("%s; the next start exports the network again", problem)
