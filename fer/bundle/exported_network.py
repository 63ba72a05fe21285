"""A bundle's network of single faces as it was exported to ONNX."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from fer.bundle.exported_model import ExportedModel
from fer.bundle.metadata import NETWORK_FILE
from fer.bundle.onnx_trial import INPUT, generate_trial_images

if TYPE_CHECKING:
    from fer.bundle.onnx_graph import CheckedGraph


class ExportedNetwork(ExportedModel):
    """A bundle's FaceNetwork, preprocessing included, exported to ONNX; see ``ExportedModel``."""

    @property
    def max_batch(self) -> int | None:
        """How many faces the file takes at a time; None for any number."""
        return self.max_counts.get(NETWORK_FILE)

    @override
    def export_files(self) -> dict[str, bytes]:
        # Only the export needs PyTorch.
        from fer.bundle.onnx_export import export_onnx

        return {NETWORK_FILE: export_onnx(self.description, self.runtime)}

    @override
    def check_files(self, models: Mapping[str, bytes]) -> dict[str, "CheckedGraph"]:
        from fer.bundle.onnx_graph import check_graph

        return {NETWORK_FILE: check_graph(models[NETWORK_FILE], self.description)}

    @override
    def start(self, models: Mapping[str, bytes]) -> None:
        self._session = self.start_session(models[NETWORK_FILE], self.threads)

    @override
    def compute_trial(self) -> np.ndarray:
        trial = generate_trial_images(self.description)
        return self.compute_outputs(trial, len(trial))

    def compute_outputs(self, native: np.ndarray, batch_size: int) -> np.ndarray:
        """Return outputs (N, outputs) float32 of native faces (N, side, side, C) uint8, logits first."""
        batch_size = min(batch_size, self.max_batch or batch_size)
        batches = [
            self._session({INPUT: np.ascontiguousarray(native[start : start + batch_size])})
            for start in range(0, len(native), batch_size)
        ]
        return np.concatenate(batches) if batches else np.empty((0, len(self.description.columns)), np.float32)
