"""A bundle's network of clips as it was exported to ONNX: what is computed of each frame, and what joins a window's."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from fer.bundle.exported_model import ExportedModel
from fer.bundle.metadata import ENCODER_FILE, HEAD_FILE, BundleDescription
from fer.bundle.onnx_trial import FEATURES, INPUT, MASK, generate_trial_images, generate_trial_windows

if TYPE_CHECKING:
    from fer.bundle.onnx_graph import CheckedGraph


class ExportedClipNetwork(ExportedModel):
    """A bundle's ClipNetwork, preprocessing included, exported to ONNX in two files; see ``ExportedModel``."""

    def __init__(self, description: BundleDescription, *cache: Path, threads: int | None = None) -> None:
        assert description.temporal is not None, "the bundle is one of clips"
        self.format = description.temporal
        super().__init__(description, *cache, threads=threads)

    @property
    def max_windows(self) -> int | None:
        """How many windows the second file takes at a time; None for any number."""
        return self.max_counts.get(HEAD_FILE)

    @override
    def export_files(self) -> dict[str, bytes]:
        # Only the export needs PyTorch.
        from fer.bundle.onnx_clip_export import export_clip_onnx

        return export_clip_onnx(self.description, self.runtime)

    @override
    def check_files(self, models: Mapping[str, bytes]) -> dict[str, "CheckedGraph"]:
        from fer.bundle.onnx_clip_graph import check_clip_graphs, count_features

        count = count_features(self.description)
        graphs = check_clip_graphs(models[ENCODER_FILE], models[HEAD_FILE], count, self.description)
        return {ENCODER_FILE: graphs.encoder, HEAD_FILE: graphs.head}

    @override
    def start(self, models: Mapping[str, bytes]) -> None:
        self._encoder = self.start_session(models[ENCODER_FILE], self.threads)
        self._head = self.start_session(models[HEAD_FILE], self.threads)

    @override
    def compute_trial(self) -> np.ndarray:
        frames, mask = generate_trial_windows(self.format.length)
        features = self._encoder({INPUT: generate_trial_images(self.description)})
        self._width = features.shape[1]
        return self.judge(features[frames], mask)

    def encode(self, native: np.ndarray, batch_size: int) -> np.ndarray:
        """Return features (M, D) float32 of native faces (M, side, side, C) uint8, each by itself."""
        batch_size = min(batch_size, self.max_counts.get(ENCODER_FILE, batch_size))
        batches = [
            self._encoder({INPUT: np.ascontiguousarray(native[start : start + batch_size])})
            for start in range(0, len(native), batch_size)
        ]
        return np.concatenate(batches) if batches else np.empty((0, self._width), np.float32)

    def judge(self, features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return logits (N, classes) float32 of windows: features (N, T, D), and which frames are there (N, T)."""
        count = self.max_windows or max(1, len(features))
        batches = [
            self._head({FEATURES: features[start : start + count], MASK: mask[start : start + count]})
            for start in range(0, len(features), count)
        ]
        return np.concatenate(batches)
