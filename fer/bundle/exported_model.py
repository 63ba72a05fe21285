"""A bundle's network as it was exported to ONNX: found or made, checked, and compared with PyTorch before its use."""

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fer.bundle.answers import build_no_number_error
from fer.bundle.locate import is_shipped, locate_model
from fer.bundle.metadata import ONNX_DIR, BundleDescription
from fer.bundle.onnx_trial import BUNDLE_KEY, PROBABILITIES_KEY
from fer.core.bounded_stream import format_size
from fer.core.documents import parse_json
from fer.core.installation import get_version
from fer.core.io import atomic_write, read_at_most
from fer.core.user_cache import get_user_cache_dir
from fer.errors import ModelError, shorten_error

if TYPE_CHECKING:
    # It takes a while to import, and is needed for checks alone.
    from fer.bundle.onnx_graph import CheckedGraph

# How far a probability may be from PyTorch's; it is checked with the trial images at every start.
TOLERANCE = 1e-4
# A graph that a runtime has loaded: from its inputs by name to its output.
Session = Callable[[Mapping[str, np.ndarray]], np.ndarray]
log = logging.getLogger(__name__)


class ExportedModel(ABC):
    """What a runtime other than PyTorch computes of a bundle, on the CPU; all such runtimes share the exported files.

    Args:
        description: The bundle.
        cache: Directories that may hold the exported files, the preferred one first; where they are missing or no
            longer fit, they are exported again into the first one that can be written.
        threads: CPU threads for one batch, by default as many as the runtime chooses.

    Raises:
        ModelError: The architecture cannot be exported, or answers differently than in PyTorch.
    """

    runtime: ClassVar[str]

    def __init__(self, description: BundleDescription, *cache: Path, threads: int | None = None) -> None:
        self.description = description
        self.threads = threads
        # How many inputs each file takes at a time; those that were made here take any number.
        self.max_counts: dict[str, int] = {}
        if not any(self._load_if_valid(directory) for directory in cache):
            _write_cached_models(self._export(), cache)

    @staticmethod
    @abstractmethod
    def start_session(model: bytes, threads: int | None) -> Session:
        """Load an ONNX file into the runtime. Raises an error of any kind where it cannot be computed."""

    @abstractmethod
    def export_files(self) -> dict[str, bytes]:
        """Export the network: the content of each file by its name. Raises ModelError."""

    @abstractmethod
    def check_files(self, models: Mapping[str, bytes]) -> dict[str, "CheckedGraph"]:
        """Check what graphs from anybody compute.

        Raises:
            ValueError: They hold what no export of this program does, or cost more than a network of this size may.
        """

    @abstractmethod
    def start(self, models: Mapping[str, bytes]) -> None:
        """Load the files into the runtime."""

    @abstractmethod
    def compute_trial(self) -> np.ndarray:
        """Return the outputs for the trial images."""

    def _export(self) -> dict[str, bytes]:
        """Export the network, load it and compare it with PyTorch. Raises ModelError."""
        # It takes a while to import, and is needed here alone.
        import onnx

        architecture = self.description.architecture
        models = self.export_files()
        try:
            self.start(models)
            last = onnx.load_from_string(list(models.values())[-1])
            max_difference = self._compute_max_difference({entry.key: entry.value for entry in last.metadata_props})
        except Exception as error:
            raise ModelError(
                f"inference.runtime={self.runtime}: {architecture} cannot be computed ({shorten_error(error)}); "
                "use inference.runtime=torch"
            ) from None
        if math.isnan(max_difference):
            raise build_no_number_error(self.description)
        if not max_difference <= TOLERANCE:
            raise ModelError(
                f"inference.runtime={self.runtime}: {architecture} gives probabilities that differ by "
                f"{max_difference:.2g} from PyTorch's; use inference.runtime=torch"
            )
        return models

    def _load_if_valid(self, directory: Path) -> bool:
        """Load the files in ``directory``; whether they exist, are harmless, of this bundle, and answer as PyTorch did.

        They may have come with a bundle from anybody, so what their graphs compute is checked before they are loaded.
        """
        paths = [directory / name for name in self.description.onnx_files]
        if not all(path.is_file() for path in paths):
            return False
        # It takes a while to import, and is needed here alone.
        from fer.bundle.onnx_graph import compute_max_bytes

        try:
            max_bytes = compute_max_bytes(self.description)
            models = {path.name: read_at_most(path, max_bytes) for path in paths}
            known = {name: model for name, model in models.items() if model is not None}
            if len(known) < len(paths):
                raise ValueError(f"it has more than {format_size(max_bytes)}")
            graphs = self.check_files(known)
            if {graph.metadata[BUNDLE_KEY] for graph in graphs.values()} == {self.description.sha256}:
                self.max_counts = {name: graph.max_batch for name, graph in graphs.items()}
                self.start(known)
                if self._compute_max_difference(graphs[paths[-1].name].metadata) <= TOLERANCE:
                    return True
        except Exception as error:
            # The runtimes' errors have no common class; whatever is wrong, exporting again fixes it.
            log.debug("%s: %s", directory, shorten_error(error))
        self.max_counts = {}
        log.info("%s does not fit the bundle and is exported again", " and ".join(map(str, paths)))
        return False

    def _compute_max_difference(self, metadata: Mapping[str, str]) -> float:
        """Return the largest absolute difference of a probability from PyTorch's, over the trial images."""
        logits = self.compute_trial()[:, : len(self.description.classes)]
        result = self.description.calibration.compute_probabilities(logits)
        expected = np.array(parse_json(metadata[PROBABILITIES_KEY]), float)
        return float(np.abs(result - expected).max()) if expected.shape == result.shape else float("inf")


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


def _write_cached_models(models: Mapping[str, bytes], directories: Sequence[Path]) -> None:
    """Store exported files, by name, where all can be written; without a place each start exports them again."""
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
