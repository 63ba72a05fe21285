"""How much of a classifier's accuracy is left on corrupted pictures and on faces that are cropped otherwise."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from fer.audit.corruptions import CORRUPTIONS, JITTERS, Corruption
from fer.core.progress import track_progress
from fer.metrics.bootstrap import RESAMPLES, SEED, compute_interval

# Images at a time: floats of large pictures fill the memory.
BATCH = 64
# (n, h, w, C) uint8 images: (n,) the index of each one's predicted class.
Predict = Callable[[np.ndarray], np.ndarray]


def choose_rows(count: int, limit: int, seed: int) -> np.ndarray:
    """Choose at most ``limit`` of ``count`` images at random, ascending; the same seed chooses the same."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:limit])


def measure_robustness(images: np.ndarray, labels: np.ndarray, predict: Predict, seed: int) -> dict[str, Any]:
    """Measure accuracy and balanced accuracy at each severity of each corruption.

    Args:
        images: (N, h, w, 1 or 3) uint8.
        labels: (N,) indices of the true classes.
        predict: The classifier.
        seed: The same seed corrupts the images equally.

    Returns:
        What metrics.json holds: ``samples``, ``clean``, ``corruptions`` and ``jitter`` by name, each with ``levels``
        and the metrics at each; the means over all conditions of a kind, and what they are relative to ``clean``.
        Intervals are of one bootstrap of the images, the same for all conditions.
    """
    conditions = [
        (kind, corruption, level)
        for kind in (CORRUPTIONS, JITTERS)
        for corruption in kind
        for level in corruption.levels
    ]
    clean = predict(images) == labels
    tensor = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    answers: dict[tuple[str, float], np.ndarray] = {}
    # A level is a whole pass over the images.
    for _, corruption, level in track_progress(
        conditions, len(conditions) * len(images), "Corrupting pictures", size=lambda _: len(images)
    ):
        answers[corruption.name, level] = predict(_corrupt(tensor, corruption, level, seed)) == labels
    judge = _Judge(labels)
    clean_metrics = judge.compute(clean)
    result: dict[str, Any] = {"samples": len(labels), "clean": clean_metrics}
    for name, kind in (("corruptions", CORRUPTIONS), ("jitter", JITTERS)):
        result[name] = {
            corruption.name: _describe(
                corruption, [judge.compute(answers[corruption.name, level]) for level in corruption.levels]
            )
            for corruption in kind
        }
        mean = np.mean([answers[corruption.name, level] for corruption in kind for level in corruption.levels], axis=0)
        result[f"mean_{name}_accuracy"] = judge.compute_accuracy(mean)
        result[f"relative_{name}_accuracy"] = judge.compute_ratio(mean, clean)
    return result


def _corrupt(images: torch.Tensor, corruption: Corruption, level: float, seed: int) -> np.ndarray:
    generator = torch.Generator().manual_seed(seed)
    corrupted = torch.cat([corruption.apply(batch, level, generator) for batch in images.split(BATCH)])
    return corrupted.permute(0, 2, 3, 1).contiguous().numpy()


def _describe(corruption: Corruption, metrics: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "unit": corruption.unit,
        "levels": list(corruption.levels),
        "accuracy": [row["accuracy"] for row in metrics],
        "balanced_accuracy": [row["balanced_accuracy"] for row in metrics],
    }


class _Judge:
    """Metrics of right and wrong answers to the same images, with intervals of one bootstrap for all."""

    def __init__(self, labels: np.ndarray) -> None:
        count = len(labels)
        self.times = np.random.default_rng(SEED).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
        self.one_hot = np.eye(int(labels.max()) + 1)[labels]

    def compute(self, correct: np.ndarray) -> dict[str, Any]:
        """Accuracy, and the mean of the recalls of the classes that have images."""
        return {
            "accuracy": self.compute_accuracy(correct),
            "balanced_accuracy": compute_interval(
                float(_average_recalls(np.ones((1, len(correct))), correct, self.one_hot)[0]),
                _average_recalls(self.times, correct, self.one_hot),
            ),
        }

    def compute_accuracy(self, correct: np.ndarray) -> dict[str, float | None]:
        return compute_interval(float(correct.mean()), self.times @ correct / len(correct))

    def compute_ratio(self, correct: np.ndarray, clean: np.ndarray) -> dict[str, float | None]:
        """What is left of the accuracy on clean pictures; all None where that is 0."""
        if not clean.any():
            return compute_interval(float("nan"), None)
        base = self.times @ clean
        ratio = np.where(base > 0, self.times @ correct / np.maximum(base, 1), np.nan)
        return compute_interval(float(correct.mean() / clean.mean()), ratio)


def _average_recalls(times: np.ndarray, correct: np.ndarray, one_hot: np.ndarray) -> np.ndarray:
    """Mean recall (B,) over the classes that are drawn, of images drawn ``times`` (B, N)."""
    true = times @ one_hot
    right = times @ (one_hot * correct[:, None])
    return np.sum(right / np.maximum(true, 1), axis=1) / (true > 0).sum(1)
