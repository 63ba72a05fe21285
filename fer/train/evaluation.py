"""Judging a network: figures, predictions and worst mistakes of each part."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer.core.io import atomic_write
from fer.data.manifest import Manifest
from fer.errors import ModelError
from fer.metrics.calibration import compute_probabilities, fit_temperature
from fer.models.network import FaceNetwork, predict_logits
from fer.train.metrics import compute_split_metrics


@dataclass(frozen=True)
class EvaluationResult:
    """One part as a network judges it: ``logits`` and calibrated ``probabilities`` (N, C), ``labels`` (N,)."""

    samples: pd.DataFrame
    classes: tuple[str, ...]
    logits: np.ndarray
    probabilities: np.ndarray
    labels: np.ndarray

    def metrics(self) -> dict[str, Any]:
        """The part's entry in metrics.json."""
        return compute_split_metrics(
            compute_probabilities(self.logits, 1.0),
            self.probabilities,
            self.labels,
            self.get_votes(),
            self.samples["source"].tolist(),
            self.classes,
        )

    def get_votes(self) -> np.ndarray:
        """Counts (N, C) of the annotators' votes for the classes, NaN where a source has none."""
        return self.samples[[f"votes_{name}" for name in self.classes]].to_numpy(float)

    def write_predictions(self, path: Path) -> None:
        """Write sample_id, label and p_<emotion>."""
        table = self.samples[["sample_id", "label"]].reset_index(drop=True)
        for column, name in enumerate(self.classes):
            table[f"p_{name}"] = self.probabilities[:, column]
        with atomic_write(path) as temporary:
            table.to_parquet(temporary, index=False)

    def top_errors(self, limit: int) -> list[tuple[int, str]]:
        """(row of the store, caption) of the wrong judgements that the network was surest of."""
        predicted, confidence = self.probabilities.argmax(1), self.probabilities.max(1)
        wrong = np.flatnonzero(predicted != self.labels)
        ranked = wrong[np.argsort(-confidence[wrong], kind="stable")][:limit]
        return [
            (
                int(self.samples.index[row]),
                f"{self.classes[self.labels[row]]}, judged {self.classes[predicted[row]]} {confidence[row]:.2f}",
            )
            for row in ranked
        ]


def evaluate(
    network: FaceNetwork, images: np.ndarray, manifest: Manifest, splits: Sequence[str], temperature: float | None
) -> tuple[dict[str, EvaluationResult], float]:
    """Judge the images of ``parts`` (val, test), leaving out empty ones; also returns the temperature.

    ``images`` are those of the store, at the native resolution and colour that the network was trained on.
    ``temperature`` None fits it on validation, which must then be among the parts. Raises ModelError for a network
    whose outputs are not finite.
    """
    splits = [part for part in splits if len(manifest.get_split(part))]
    index = {name: number for number, name in enumerate(manifest.classes)}
    labels = {part: manifest.get_split(part)["label"].map(index).to_numpy(np.int64) for part in splits}
    logits = {part: predict_logits(network, images, manifest.get_split(part).index.to_numpy()) for part in splits}
    if not all(np.isfinite(values).all() for values in logits.values()):
        raise ModelError(
            "the network's outputs are not finite: training diverged; lower optimizer.lr or clip gradients"
        )
    if temperature is None:
        temperature = fit_temperature(logits["val"], labels["val"])
    return {
        part: EvaluationResult(
            manifest.get_split(part),
            manifest.classes,
            logits[part],
            compute_probabilities(logits[part], temperature),
            labels[part],
        )
        for part in splits
    }, temperature


def summary_metrics(metrics: dict[str, Any] | None) -> dict[str, Any] | None:
    """The figures of one part that a bundle's description repeats."""
    if metrics is None:
        return None
    names = ("samples", "accuracy", "balanced_accuracy", "macro_f1", "ece_calibrated")
    return {name: metrics[name] for name in names}
