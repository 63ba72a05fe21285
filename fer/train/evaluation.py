"""Evaluation of a network: metrics, predictions and worst errors of each split."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer.bundle.ensemble_network import EnsembleNetwork
from fer.core.io import atomic_write
from fer.data.clips.index import MIDDLE, ClipWindows
from fer.data.manifest import Manifest
from fer.data.sources.base import VOTE_COLUMNS
from fer.emotions import AFFECT
from fer.errors import DataError, ModelError
from fer.metrics.affect import summarize_affect
from fer.metrics.calibration import (
    Calibration,
    CalibrationChoice,
    CalibrationMethod,
    choose_calibration,
    compute_probabilities,
)
from fer.metrics.ranking import compute_class_curves
from fer.metrics.reliability import compute_reliability
from fer.models.clip_network import ClipNetwork, predict_clip_outputs
from fer.models.network import FaceNetwork, predict_outputs
from fer.reports.evaluation_figures import EvaluationCurves
from fer.train.embedding_cache import EmbeddedHead
from fer.train.metrics import compute_split_metrics


@dataclass(frozen=True)
class EvaluationResult:
    """What a network answers for the N images of a split with C classes.

    Attributes:
        samples: The split's rows of the manifest; its index is the row in the store, of an image or a clip.
        classes: Names of the classes, in the order of the columns.
        logits: (N, C).
        probabilities: (N, C), calibrated.
        labels: (N,) indices of the classes.
        affect: (N, 2) predicted valence and arousal; None where the network has not learnt them.
    """

    samples: pd.DataFrame
    classes: tuple[str, ...]
    logits: np.ndarray
    probabilities: np.ndarray
    labels: np.ndarray
    affect: np.ndarray | None = None

    def metrics(self) -> dict[str, Any]:
        """Compute the split's entry in metrics.json."""
        metrics = compute_split_metrics(
            compute_probabilities(self.logits, 1.0),
            self.probabilities,
            self.labels,
            self._get_votes(),
            self.samples["source"].tolist(),
            self.classes,
            self.samples["duplicate_group"].to_numpy(),
        )
        if self.affect is not None:
            truth = self.samples.reindex(columns=list(AFFECT)).to_numpy(float)
            metrics["affect"] = summarize_affect(truth, self.affect)
        return metrics

    def compute_curves(self) -> EvaluationCurves:
        """Compute the curves that the report draws of the split."""
        curves = {
            name: compute_class_curves(self.probabilities[:, column], self.labels == column)
            for column, name in enumerate(self.classes)
        }
        return EvaluationCurves(
            {name: curve for name, curve in curves.items() if curve is not None},
            compute_reliability(compute_probabilities(self.logits, 1.0), self.labels),
            compute_reliability(self.probabilities, self.labels),
        )

    def _get_votes(self) -> np.ndarray:
        """Counts (N, V) of the annotators' votes, for the classes first; NaN where a source has none."""
        columns = [f"votes_{name}" for name in self.classes]
        return self.samples[[*columns, *(name for name in VOTE_COLUMNS if name not in columns)]].to_numpy(float)

    def build_predictions(self) -> pd.DataFrame:
        """Build a table with sample_id, label, p_<emotion>, and valence and arousal where the network gives them."""
        table = self.samples[["sample_id", "label"]].reset_index(drop=True)
        for column, name in enumerate(self.classes):
            table[f"p_{name}"] = self.probabilities[:, column]
        if self.affect is not None:
            table[list(AFFECT)] = self.affect
        return table

    def write_predictions(self, path: Path) -> None:
        """Write the table of ``build_predictions``."""
        table = self.build_predictions()
        with atomic_write(path) as temporary:
            table.to_parquet(temporary, index=False)

    def top_errors(self, limit: int) -> list[tuple[int, str]]:
        """List the wrong predictions of which the network was surest.

        Args:
            limit: How many at most.

        Returns:
            (row in the store, caption), the surest first.
        """
        predicted, confidence = self.probabilities.argmax(1), self.probabilities.max(1)
        wrong = np.flatnonzero(predicted != self.labels)
        ranked = wrong[np.argsort(-confidence[wrong], kind="stable")][:limit]
        return [
            (
                int(self.samples.index[row]),
                f"{self.classes[self.labels[row]]}, predicted {self.classes[predicted[row]]} {confidence[row]:.2f}",
            )
            for row in ranked
        ]


def predict(
    network: FaceNetwork | ClipNetwork | EnsembleNetwork | EmbeddedHead,
    images: np.ndarray,
    rows: np.ndarray,
    windows: ClipWindows | None = None,
) -> np.ndarray:
    """Compute all outputs (len(rows), outputs) of a network for rows of the store.

    Args:
        network: The network, or an ensemble, or a head that knows the features of the images.
        images: The images of the store.
        rows: Which of its images, or clips.
        windows: What a network of clips sees of them: of each the middle window.
    """
    if isinstance(network, EnsembleNetwork | EmbeddedHead):
        return network.predict_outputs(images, rows)
    if not isinstance(network, ClipNetwork):
        return predict_outputs(network, images, rows)
    assert windows is not None, "a network of clips sees windows"
    frames, mask = windows.select(rows, np.full(len(rows), MIDDLE))
    return predict_clip_outputs(network, images, frames, mask)


def evaluate(
    network: FaceNetwork | ClipNetwork | EnsembleNetwork | EmbeddedHead,
    images: np.ndarray,
    manifest: Manifest,
    splits: Sequence[str],
    calibration: Calibration | CalibrationMethod,
    classes: Sequence[str] | None = None,
    offsets: np.ndarray | None = None,
    windows: ClipWindows | None = None,
) -> tuple[dict[str, EvaluationResult], CalibrationChoice | None]:
    """Evaluate a network on splits of the data.

    Args:
        network: The network, or those of an ensemble, or a head that knows the features of the images.
        images: Those of the store, (M, h, w, C) uint8, at the native resolution and colour that it was trained on.
        manifest: Labels and splits of the images.
        splits: ``val`` and ``test``, or one of them; a split without images is left out.
        calibration: That of the probabilities; the name of a method fits it on ``val``, which must then be among the
            splits.
        classes: The network's, where they may be others than the data's: images of a class that it does not have are
            left out, and a class without images is only ever a wrong answer.
        offsets: (classes,) What is added to calibrated logits where the calibration is fitted; None adds nothing.
        windows: The windows of the store's clips, of which the middle one of each clip is judged; None of images.

    Returns:
        The result of each split, and the calibration where it was fitted.

    Raises:
        ModelError: The network's outputs are not finite.
        DataError: No image is of a class that the network has.
    """
    classes = tuple(classes or manifest.classes)
    parts = {split: manifest.get_split(split) for split in splits}
    parts = {split: part[part["label"].isin(classes)] for split, part in parts.items()}
    splits = [split for split in splits if len(parts[split])]
    if not splits:
        raise DataError(f"no image to evaluate is of a class that the model has: {', '.join(classes)}")
    index = {name: number for number, name in enumerate(classes)}
    labels = {split: parts[split]["label"].map(index).to_numpy(np.int64) for split in splits}
    outputs = {split: predict(network, images, parts[split].index.to_numpy(), windows) for split in splits}
    if not all(np.isfinite(values).all() for values in outputs.values()):
        raise ModelError(
            "the network's outputs are not finite: training diverged; lower optimizer.lr or clip gradients"
        )
    logits = {split: values[:, : len(classes)] for split, values in outputs.items()}
    choice = None
    if not isinstance(calibration, Calibration):
        choice = choose_calibration(logits["val"], labels["val"], calibration)
        if offsets is not None:
            choice = choice.shift(offsets)
        calibration = choice.calibration
    return {
        split: EvaluationResult(
            parts[split],
            classes,
            logits[split],
            calibration.compute_probabilities(logits[split]),
            labels[split],
            np.tanh(outputs[split][:, len(classes) :]) if network.affect else None,
        )
        for split in splits
    }, choice
