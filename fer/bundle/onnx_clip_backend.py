"""The network of a bundle of clips in ONNX Runtime."""

import logging
from pathlib import Path

import numpy as np
import onnxruntime

from fer.bundle.metadata import ENCODER_FILE, HEAD_FILE, BundleDescription
from fer.bundle.onnx_backend import TOLERANCE, start_session, write_cached_models
from fer.bundle.onnx_trial import (
    BUNDLE_KEY,
    FEATURES,
    INPUT,
    MASK,
    PROBABILITIES_KEY,
    generate_trial_images,
    generate_trial_windows,
)
from fer.core.documents import parse_json
from fer.core.io import read_at_most
from fer.errors import ModelError, shorten_error

log = logging.getLogger(__name__)


class OnnxClipNetwork:
    """A bundle's ClipNetwork, preprocessing included, computed by ONNX Runtime on the CPU.

    Args:
        description: The bundle.
        cache: Directories that may hold the exported network, the preferred one first; where it is missing or no longer
            fits, it is exported again into the first one that can be written.
        threads: CPU threads for one batch, by default as many as ONNX Runtime chooses.

    Raises:
        ModelError: The architecture cannot be exported, or answers differently than in PyTorch.
    """

    def __init__(self, description: BundleDescription, *cache: Path, threads: int | None = None) -> None:
        assert description.temporal is not None, "the bundle is one of clips"
        self.description, self.format = description, description.temporal
        self.threads = threads or 0
        self.max_faces: int | None = None
        self.max_windows: int | None = None
        if not any(self._load_if_valid(directory) for directory in cache):
            write_cached_models(self._export(), cache)

    def _export(self) -> dict[str, bytes]:
        """Export the network, load it and compare it with PyTorch. Raises ModelError."""
        # Only the export needs PyTorch.
        from fer.bundle.onnx_clip_export import export_clip_onnx

        architecture = self.description.architecture
        models = export_clip_onnx(self.description)
        try:
            self._start(models[ENCODER_FILE], models[HEAD_FILE])
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
        return models

    def _load_if_valid(self, directory: Path) -> bool:
        """Load the files in ``directory``; whether they exist, are harmless, of this bundle, and answer as PyTorch did.

        They may have come with a bundle from anybody, so what their graphs compute is checked before they are loaded.
        """
        if not all((directory / name).is_file() for name in self.description.onnx_files):
            return False
        # It takes a while to import, and is needed here alone.
        from fer.bundle.onnx_clip_graph import check_clip_graphs, count_features
        from fer.bundle.onnx_graph import compute_max_bytes

        try:
            max_bytes = compute_max_bytes(self.description)
            encoder, head = (read_at_most(directory / name, max_bytes) for name in self.description.onnx_files)
            if encoder is None or head is None:
                raise ValueError(f"one has more than {max_bytes:,} bytes")
            graphs = check_clip_graphs(encoder, head, count_features(self.description), self.description)
            if {graph.metadata[BUNDLE_KEY] for graph in (graphs.encoder, graphs.head)} == {self.description.sha256}:
                self.max_faces, self.max_windows = graphs.encoder.max_batch, graphs.head.max_batch
                self._start(encoder, head)
                if self._compute_max_difference() <= TOLERANCE:
                    return True
        except Exception as error:
            # ONNX Runtime's errors have no common class; whatever is wrong, exporting again fixes it.
            log.debug("%s: %s", directory, shorten_error(error))
        self.max_faces = self.max_windows = None
        log.info("The exported network in %s does not fit the bundle and is exported again", directory)
        return False

    def _start(self, encoder: bytes, head: bytes) -> None:
        self.encoder: onnxruntime.InferenceSession = start_session(encoder, self.threads)
        self.head: onnxruntime.InferenceSession = start_session(head, self.threads)

    def _compute_max_difference(self) -> float:
        """Return the largest absolute difference of a probability from PyTorch's, over the trial windows."""
        frames, mask = generate_trial_windows(self.format.length)
        features = self.encode(generate_trial_images(self.description), len(frames))
        result = self.description.calibration.compute_probabilities(self.judge(features[frames], mask))
        metadata = self.head.get_modelmeta().custom_metadata_map
        expected = np.array(parse_json(metadata[PROBABILITIES_KEY]), float)
        return float(np.abs(result - expected).max()) if expected.shape == result.shape else float("inf")

    def encode(self, native: np.ndarray, batch_size: int) -> np.ndarray:
        """Return features (M, D) float32 of native faces (M, side, side, C) uint8, each by itself."""
        batch_size = min(batch_size, self.max_faces or batch_size)
        batches = [
            self.encoder.run(None, {INPUT: np.ascontiguousarray(native[start : start + batch_size])})[0]
            for start in range(0, len(native), batch_size)
        ]
        width = self.encoder.get_outputs()[0].shape[1]
        return np.concatenate(batches) if batches else np.empty((0, width), np.float32)

    def judge(self, features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return logits (N, classes) float32 of windows: features (N, T, D), and which frames are there (N, T)."""
        count = self.max_windows or max(1, len(features))
        batches = [
            self.head.run(None, {FEATURES: features[start : start + count], MASK: mask[start : start + count]})[0]
            for start in range(0, len(features), count)
        ]
        return np.concatenate(batches)
