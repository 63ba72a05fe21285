"""The content of metrics.json: every metric of a split, with bootstrap intervals."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from fer.metrics.bootstrap import compute_interval, resample_confusion
from fer.metrics.classification import compute_confusion_matrix, compute_metrics


def compute_log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-probability, nats, of the ``labels`` (N,) under the ``probabilities`` (N, C)."""
    return float(-np.log(np.clip(probabilities[np.arange(len(labels)), labels], 1e-12, 1)).mean())


def compute_calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Expected calibration error, 0 to 1, over 15 bins of confidence (arXiv:1706.04599)."""
    return float(
        multiclass_calibration_error(
            torch.tensor(probabilities), torch.tensor(labels), probabilities.shape[1], n_bins=15, norm="l1"
        )
    )


def compute_kl_to_votes(probabilities: np.ndarray, votes: np.ndarray) -> float | None:
    """Compute the mean KL divergence from the annotators' distribution to the predicted one.

    Args:
        probabilities: (N, C) predicted.
        votes: (N, C) counts of votes, or NaN; rows without votes are left out.

    Returns:
        Nats; None where no row has votes.
    """
    counts = np.nan_to_num(votes)
    voted = counts.sum(1) > 0
    if not voted.any():
        return None
    fractions = counts[voted] / counts[voted].sum(1, keepdims=True)
    ratio = np.clip(fractions, 1e-12, 1) / np.clip(probabilities[voted], 1e-12, 1)
    return float((fractions * np.log(ratio)).sum(1).mean())


def compute_split_metrics(
    raw: np.ndarray,
    calibrated: np.ndarray,
    labels: np.ndarray,
    votes: np.ndarray,
    sources: Sequence[str],
    classes: Sequence[str],
) -> dict[str, Any]:
    """Compute all metrics of one split, as metrics.json holds them.

    Args:
        raw: (N, C) probabilities before temperature scaling.
        calibrated: (N, C) probabilities after it.
        labels: (N,) indices of the classes.
        votes: (N, C) counts of the annotators' votes, or NaN.
        sources: (N,) names of the data sets that the images are of.
        classes: (C,) names.
    """
    predicted = calibrated.argmax(1)
    confusion = compute_confusion_matrix(labels, predicted, len(classes))
    values, samples = compute_metrics(confusion), compute_metrics(resample_confusion(confusion))
    overall = {
        name: compute_interval(float(values[name]), samples[name])
        for name in ("accuracy", "balanced_accuracy", "macro_f1")
    }
    per_class = {
        name: {
            "samples": int(confusion[number].sum()),
            **{
                metric: compute_interval(values[metric][number], samples[metric][:, number])
                for metric in ("precision", "recall", "f1")
            },
        }
        for number, name in enumerate(classes)
    }
    by_source = {}
    for source in dict.fromkeys(sources):
        mask = np.array([name == source for name in sources])
        matrix = compute_confusion_matrix(labels[mask], predicted[mask], len(classes))
        accuracy = compute_interval(
            float(compute_metrics(matrix)["accuracy"]), compute_metrics(resample_confusion(matrix))["accuracy"]
        )
        by_source[source] = {"samples": int(mask.sum()), "accuracy": accuracy}
    return {
        "samples": len(labels),
        **overall,
        "log_loss": compute_log_loss(raw, labels),
        "log_loss_calibrated": compute_log_loss(calibrated, labels),
        "ece": compute_calibration_error(raw, labels),
        "ece_calibrated": compute_calibration_error(calibrated, labels),
        "kl_to_votes": compute_kl_to_votes(calibrated, votes),
        "per_class": per_class,
        "confusion_matrix": confusion.tolist(),
        "by_source": by_source,
    }
