"""A bundle's network as it was exported to ONNX: found or made, checked, and compared with PyTorch before its use."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from fer.bundle.locate import is_shipped, locate_model
from fer.bundle.metadata import NETWORK_FILE, ONNX_DIR, BundleDescription
from fer.bundle.onnx_trial import BUNDLE_KEY, PROBABILITIES_KEY, generate_trial_images
from fer.core.bounded_stream import format_size
from fer.core.documents import parse_json
from fer.core.installation import get_version
from fer.core.io import atomic_write, read_at_most
from fer.core.user_cache import get_user_cache_dir
from fer.errors import ModelError, shorten_error

# How far a probability may be from PyTorch's; it is checked with the trial images at every start.
TOLERANCE = 1e-4
log = logging.getLogger(__name__)


class ExportedNetwork(ABC):
    """A bundle's FaceNetwork, preprocessing included, exported to ONNX and computed on the CPU by another runtime.

    All runtimes share the exported file.

    Args:
        description: The bundle.
        cache: Directories that may hold the exported network, the preferred one first; where it is missing or no longer
            fits, it is exported again into the first one that can be written.
        threads: CPU threads for one batch, by default as many as the runtime chooses.

    Raises:
        ModelError: The architecture cannot be exported, or answers differently than in PyTorch.
    """

    runtime: ClassVar[str]

    def __init__(self, description: BundleDescription, *cache: Path, threads: int | None = None) -> None:
        self.description = description
        self.threads = threads
        self.max_batch: int | None = None
        paths = [directory / NETWORK_FILE for directory in cache]
        if not any(self._load_if_valid(path) for path in paths):
            _write_cached_model(self._export(), paths)

    @abstractmethod
    def start_session(self, model: bytes) -> None:
        """Load an ONNX file into the runtime. Raises an error of any kind where it cannot be computed."""

    @abstractmethod
    def compute_batch(self, faces: np.ndarray) -> np.ndarray:
        """Return outputs (N, outputs) float32 of native faces (N, side, side, C) uint8, which lie in one block."""

    def _export(self) -> bytes:
        """Export the network, load it and compare it with PyTorch. Raises ModelError."""
        # Only the export needs PyTorch.
        import onnx

        from fer.bundle.onnx_export import export_onnx

        architecture = self.description.architecture
        model = export_onnx(self.description, self.runtime)
        try:
            self.start_session(model)
            metadata = {entry.key: entry.value for entry in onnx.load_from_string(model).metadata_props}
            max_difference = self._compute_max_difference(metadata)
        except Exception as error:
            raise ModelError(
                f"inference.runtime={self.runtime}: {architecture} cannot be computed ({shorten_error(error)}); "
                "use inference.runtime=torch"
            ) from None
        if not max_difference <= TOLERANCE:
            raise ModelError(
                f"inference.runtime={self.runtime}: {architecture} gives probabilities that differ by "
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
                self.start_session(model)
                if self._compute_max_difference(graph.metadata) <= TOLERANCE:
                    return True
        except Exception as error:
            # The runtimes' errors have no common class; whatever is wrong, exporting again fixes it.
            log.debug("%s: %s", path, shorten_error(error))
        self.max_batch = None
        log.info("%s does not fit the bundle and is exported again", path)
        return False

    def _compute_max_difference(self, metadata: Mapping[str, str]) -> float:
        """Return the largest absolute difference of a probability from PyTorch's, over the trial images."""
        trial = generate_trial_images(self.description)
        logits = self.compute_outputs(trial, len(trial))[:, : len(self.description.classes)]
        result = self.description.calibration.compute_probabilities(logits)
        expected = np.array(parse_json(metadata[PROBABILITIES_KEY]), float)
        return float(np.abs(result - expected).max()) if expected.shape == result.shape else float("inf")

    def compute_outputs(self, native: np.ndarray, batch_size: int) -> np.ndarray:
        """Return outputs (N, outputs) float32 of native faces (N, side, side, C) uint8, logits first."""
        batch_size = min(batch_size, self.max_batch or batch_size)
        batches = [
            self.compute_batch(np.ascontiguousarray(native[start : start + batch_size]))
            for start in range(0, len(native), batch_size)
        ]
        return np.concatenate(batches) if batches else np.empty((0, len(self.description.columns)), np.float32)


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


def _write_cached_model(model: bytes, paths: Sequence[Path]) -> None:
    """Store the exported network at the first path that can be written; without one, each start exports it again."""
    problems = []
    for path in paths:
        try:
            with atomic_write(path) as tmp_path:
                tmp_path.write_bytes(model)
            return
        except OSError as error:
            problems.append(f"{path}: not kept ({error.strerror})")
    problem = "; ".join(problems) or "The exported network is not kept (there is no home directory)"
    log.info("%s; the next start exports the network again", problem)
