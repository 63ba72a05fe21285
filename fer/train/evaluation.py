"""Judging a network: figures, predictions and worst mistakes of each part."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer.core.io import written_beside
from fer.data.manifest import Manifest
from fer.errors import ModelError
from fer.metrics.calibration import fit_temperature, probabilities
from fer.models.network import FaceNetwork, predict_logits
from fer.train.metrics import report


@dataclass(frozen=True)
class Judgement:
    """One part as a network judges it: ``logits`` and calibrated ``probabilities`` (N, C), ``labels`` (N,)."""

    samples: pd.DataFrame
    classes: tuple[str, ...]
    logits: np.ndarray
    probabilities: np.ndarray
    labels: np.ndarray

    def figures(self) -> dict[str, Any]:
        """The part's entry in metrics.json."""
        return report(
            probabilities(self.logits, 1.0),
            self.probabilities,
            self.labels,
            self.votes(),
            self.samples["source"].tolist(),
            self.classes,
        )

    def votes(self) -> np.ndarray:
        """Counts (N, C) of the annotators' votes for the classes, NaN where a source has none."""
        return self.samples[[f"votes_{name}" for name in self.classes]].to_numpy(float)

    def save(self, path: Path) -> None:
        """Write sample_id, label and p_<emotion>."""
        table = self.samples[["sample_id", "label"]].reset_index(drop=True)
        for column, name in enumerate(self.classes):
            table[f"p_{name}"] = self.probabilities[:, column]
        with written_beside(path) as beside:
            table.to_parquet(beside, index=False)

    def worst_mistakes(self, most: int) -> list[tuple[int, str]]:
        """(row of the store, caption) of the wrong judgements that the network was surest of."""
        predicted, sure = self.probabilities.argmax(1), self.probabilities.max(1)
        wrong = np.flatnonzero(predicted != self.labels)
        ranked = wrong[np.argsort(-sure[wrong], kind="stable")][:most]
        return [
            (
                int(self.samples.index[row]),
                f"{self.classes[self.labels[row]]}, judged {self.classes[predicted[row]]} {sure[row]:.2f}",
            )
            for row in ranked
        ]


def judge(
    network: FaceNetwork, images: np.ndarray, manifest: Manifest, parts: Sequence[str], temperature: float | None
) -> tuple[dict[str, Judgement], float]:
    """Judge the images of ``parts`` (val, test), leaving out empty ones; also returns the temperature.

    ``images`` are those of the store, at the native resolution and colour that the network was trained on.
    ``temperature`` None fits it on validation, which must then be among the parts. Raises ModelError for a network
    whose outputs are not finite.
    """
    parts = [part for part in parts if len(manifest.part(part))]
    index = {name: number for number, name in enumerate(manifest.classes)}
    labels = {part: manifest.part(part)["label"].map(index).to_numpy(np.int64) for part in parts}
    logits = {part: predict_logits(network, images, manifest.part(part).index.to_numpy()) for part in parts}
    if not all(np.isfinite(values).all() for values in logits.values()):
        raise ModelError(
            "the network's outputs are not finite: training diverged; lower optimizer.lr or clip gradients"
        )
    if temperature is None:
        temperature = fit_temperature(logits["val"], labels["val"])
    return {
        part: Judgement(
            manifest.part(part), manifest.classes, logits[part], probabilities(logits[part], temperature), labels[part]
        )
        for part in parts
    }, temperature


def headline(figures: dict[str, Any] | None) -> dict[str, Any] | None:
    """The figures of one part that a bundle's description repeats."""
    if figures is None:
        return None
    kept = ("samples", "accuracy", "balanced_accuracy", "macro_f1", "ece_calibrated")
    return {name: figures[name] for name in kept}
