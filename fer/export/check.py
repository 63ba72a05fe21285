"""The check of an exported file: written, loaded by its own runtime, and compared with the bundle."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fer.bundle.io import Bundle
from fer.bundle.metadata import WEIGHTS_FILE
from fer.config.export import Export, ExportFormat
from fer.core.io import compute_sha256
from fer.errors import ModelError, shorten_error
from fer.export.bundle_answer import build_bundle_answer
from fer.export.formats import FORMATS
from fer.export.formats.base import QuantizedFormat
from fer.export.graph import ExportGraph
from fer.export.images import CheckImages
from fer.export.measurement import build_answer, compute_difference, measure_times

# How far an answer of a file in full precision may be from the bundle's.
TOLERANCE = 1e-4
STEM = "model"


@dataclass(frozen=True)
class CheckedModel:
    """A model that was computed on the check's images.

    Attributes:
        title: What it is.
        facts: What export.json says of it beside its figures.
        bytes: Size of its files.
        milliseconds: Time of a batch, by its size.
        difference: Largest absolute difference of an answer from the bundle's; None for the bundle itself.
        answers: Those to the validation images, (N, columns).
    """

    title: str
    facts: dict[str, Any]
    bytes: int
    milliseconds: dict[int, float]
    difference: float | None
    answers: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as export.json holds them."""
        return {
            "title": self.title,
            **self.facts,
            "bytes": self.bytes,
            "milliseconds": {f"batch_{size}": round(value, 3) for size, value in self.milliseconds.items()},
            "largest_difference": self.difference,
        }


class FileChecker:
    """Writes a graph in formats, and refuses what is not the bundle's model any more.

    Args:
        bundle: The bundle, on the CPU.
        graph: Its graph.
        images: What it is checked on.
        config: Section `export`.
        threads: CPU threads for one batch.
    """

    def __init__(self, bundle: Bundle, graph: ExportGraph, images: CheckImages, config: Export, threads: int) -> None:
        self.bundle, self.graph, self.images, self.config, self.threads = bundle, graph, images, config, threads
        self._answer = build_bundle_answer(bundle)
        self.drawn = self._answer(images.drawn)
        self.validation = self._answer(images.validation)

    def measure_bundle(self) -> CheckedModel:
        """Measure the bundle in PyTorch, as the files are measured."""
        description = self.bundle.description
        size = (description.folder / WEIGHTS_FILE).stat().st_size
        times = measure_times(self._answer, self.images.drawn)
        return CheckedModel(f"bundle ({description.architecture})", {}, size, times, None, self.validation)

    def write(self, name: ExportFormat, folder: Path) -> CheckedModel:
        """Write the graph in a format, load and check it.

        Args:
            name: The format.
            folder: Where the files are written.

        Raises:
            ModelError: The format cannot express the network, its runtime answers otherwise than the bundle, or it has
                lost more accuracy than it may.
        """
        target, key = FORMATS[name], f"export.format={name}"
        quantized = self.config.quantize != "none"
        files = list_files(folder, name, self.config.quantize)
        path = files[0]
        try:
            if isinstance(target, QuantizedFormat) and quantized:
                title = f"{target.title}, {self.config.quantize} by {target.quantizer}"
                target.quantize(self.graph, path, self.images.calibration)
            else:
                title = target.title
                target.write(self.graph, path)
            answer = build_answer(target.open(path, self.threads))
            drawn, validation = answer(self.images.drawn), answer(self.images.validation)
        except OSError:
            raise
        except Exception as error:
            # Operations that a format or its runtime does not have end in errors of many kinds.
            raise ModelError(
                f"{key}: {self.graph.name} cannot be had as {target.title} ({shorten_error(error)}); use another format"
            ) from None
        difference = max(compute_difference(drawn, self.drawn), compute_difference(validation, self.validation))
        if not np.isfinite(difference):
            raise ModelError(f"{key}: {target.runtime} gives answers that are no probabilities; use another format")
        if quantized:
            self._check_loss(key, title, validation)
        elif difference > TOLERANCE:
            raise ModelError(
                f"{key}: {target.runtime} gives answers that differ by {difference:.2g} from the bundle's, and "
                f"{TOLERANCE:g} are allowed; use another format"
            )
        return CheckedModel(
            title,
            {"format": name, "runtime": target.runtime, "files": [_describe_file(file) for file in files]},
            sum(file.stat().st_size for file in files),
            measure_times(answer, self.images.drawn),
            difference,
            validation,
        )

    def _check_loss(self, key: str, title: str, answers: np.ndarray) -> None:
        before, after = (self._compute_accuracy(values) for values in (self.validation, answers))
        if before - after > self.config.max_loss:
            raise ModelError(
                f"{key}: {title} recognises {after:.1%} of {len(answers)} validation {self.images.things}, the bundle "
                f"{before:.1%}; it loses more than export.max_loss={self.config.max_loss:g}; calibrate by the model's "
                "own data (dataset=…), allow more, or use export.quantize=none"
            )

    def _compute_accuracy(self, answers: np.ndarray) -> float:
        classes = np.array(self.bundle.description.classes)
        return float((classes[answers[:, : len(classes)].argmax(1)] == self.images.labels).mean())


def list_files(folder: Path, name: ExportFormat, quantize: str) -> list[Path]:
    """List the files of a format in a folder, first the one that its runtime opens."""
    stem = STEM if quantize == "none" else f"{STEM}-{quantize}"
    return [folder / f"{stem}{suffix}" for suffix in FORMATS[name].suffixes]


def _describe_file(path: Path) -> dict[str, Any]:
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": compute_sha256(path)}
