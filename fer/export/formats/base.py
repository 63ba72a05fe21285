"""What a file format must be able to do."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from fer.export.graph import ExportGraph
from fer.export.inputs import ModelInputs

# Computes the outputs, in their order, of inputs by name; the first dimension of each is the batch.
Runner = Callable[[Mapping[str, np.ndarray]], list[np.ndarray]]


class Format(ABC):
    """A file format that a graph is written in, and that its own runtime reads."""

    # What people call it, and its runtime; the suffixes of its files, of which the first is the one that is opened.
    title: str
    runtime: str
    suffixes: tuple[str, ...]

    @abstractmethod
    def write(self, graph: ExportGraph, path: Path) -> None:
        """Write a graph.

        Args:
            graph: The graph.
            path: Of the file that is opened; others of the format stand beside it.

        Raises:
            OSError: The disk is full, or the like.
            Exception: The format cannot express an operation of the graph; of which kind is a library's to choose.
        """

    @abstractmethod
    def open(self, path: Path, threads: int) -> Runner:
        """Load a file as its runtime does in other programs.

        Args:
            path: The file.
            threads: CPU threads for one batch.
        """


class QuantizedFormat(Format):
    """A format that also has whole numbers of 8 bits."""

    # What finds their ranges.
    quantizer: str

    @abstractmethod
    def quantize(self, graph: ExportGraph, path: Path, examples: ModelInputs) -> None:
        """Write a graph whose weights and activations have 8 bits.

        Args:
            graph: The graph.
            path: As in ``write``.
            examples: By which the ranges of activations are found.

        Raises:
            Exception: As ``write``.
        """
