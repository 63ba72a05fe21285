"""The content of metrics.json: every metric of a split, with bootstrap intervals."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from fer.metrics.bootstrap import compute_interval, resample_confusion
from fer.metrics.classification import compute_metrics
from fer.metrics.evaluation import DECISION_METRICS, DUPLICATES, RANKING_METRICS, Evaluation
from fer.metrics.scores import compute_kl_to_votes, compute_log_loss

SOURCE = "source"
# torchmetrics has a further bin for a confidence of exactly 1, which belongs to the last of the 15.
_BELOW_ONE = np.nextafter(np.float32(1), np.float32(0))


def compute_calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Expected calibration error, 0 to 1, over 15 bins of confidence (arXiv:1706.04599)."""
    return float(
        multiclass_calibration_error(
            torch.tensor(np.minimum(probabilities, _BELOW_ONE)),
            torch.tensor(labels),
            probabilities.shape[1],
            n_bins=15,
            norm="l1",
        )
    )


def compute_split_metrics(
    raw: np.ndarray,
    calibrated: np.ndarray,
    labels: np.ndarray,
    votes: np.ndarray,
    sources: Sequence[str],
    classes: Sequence[str],
    duplicate_groups: np.ndarray | None = None,
) -> dict[str, Any]:
    """Compute all metrics of one split, as metrics.json holds them.

    Args:
        raw: (N, C) probabilities before calibration.
        calibrated: (N, C) probabilities after it.
        labels: (N,) indices of the classes.
        votes: (N, V) counts of the annotators' votes, the first C of them for the classes; or NaN.
        sources: (N,) names of the data sets that the images are of.
        classes: (C,) names.
        duplicate_groups: (N,) equal for images that show the same picture; None where that is not known.
    """
    groups = {SOURCE: np.array(sources, dtype=object)}
    if duplicate_groups is not None:
        groups[DUPLICATES] = duplicate_groups
    evaluation = Evaluation(calibrated, labels, tuple(classes), votes, groups=groups)
    metrics = evaluation.compute_metrics()
    before = replace(evaluation, probabilities=raw).compute_scores()
    bounds = {name: before[name] for name in ("log_loss", "ece")}
    bounds |= {f"{name}_calibrated": metrics[name] for name in ("log_loss", "ece")}
    bounds["kl_to_votes"] = metrics["kl_to_votes"]
    return {
        "samples": len(labels),
        **{name: metrics[name] for name in DECISION_METRICS},
        "log_loss": compute_log_loss(raw, labels),
        "log_loss_calibrated": compute_log_loss(calibrated, labels),
        "ece": compute_calibration_error(raw, labels),
        "ece_calibrated": compute_calibration_error(calibrated, labels),
        "kl_to_votes": compute_kl_to_votes(calibrated, votes[:, : len(classes)]),
        "per_class": metrics["per_class"],
        "confusion_matrix": evaluation.compute_confusion().tolist(),
        "by_source": {source: _summarize_source(part) for source, part in evaluation.split_by(SOURCE).items()},
        **{name: metrics[name] for name in (*RANKING_METRICS, "brier", "log_loss_to_votes", "annotator_agreement")},
        # Metrics that stand above as plain numbers.
        "intervals": {name: {"low": bound["low"], "high": bound["high"]} for name, bound in bounds.items()},
        "subsets": {name: part.compute_metrics() for name, part in evaluation.list_subsets().items()},
    }


def _summarize_source(part: Evaluation) -> dict[str, Any]:
    """Number of images and accuracy of one source."""
    confusion = part.compute_confusion()
    samples = compute_metrics(resample_confusion(confusion))["accuracy"]
    accuracy = compute_interval(float(compute_metrics(confusion)["accuracy"]), samples)
    return {"samples": len(part.labels), "accuracy": accuracy}
