"""The evaluation of a classifier on images: every metric with a 95 % bootstrap interval, of all images or of a part.

Training, the evaluation of a bundle, the gate (by metrics.json) and monitoring have their metrics from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fer.metrics.agreement import find_clear_images, find_plain_winners
from fer.metrics.bootstrap import compute_interval, iter_image_weights, resample_confusion
from fer.metrics.classification import compute_confusion_matrix, compute_metrics
from fer.metrics.ranking import RankedScores
from fer.metrics.scores import build_score_terms, finish_scores

DUPLICATES = "duplicate_group"
DECISION_METRICS = ("accuracy", "balanced_accuracy", "macro_f1")
CLASS_METRICS = ("precision", "recall", "f1", "roc_auc", "average_precision")
RANKING_METRICS = ("roc_auc", "average_precision")
SCORES = ("log_loss", "brier", "ece", "kl_to_votes", "log_loss_to_votes", "annotator_agreement")


@dataclass(frozen=True)
class Evaluation:
    """What a classifier of C classes answers for N images, and what is right.

    Attributes:
        probabilities: (N, C), calibrated.
        labels: (N,) indices of the classes; -1 for an image without a label, which counts only against its votes.
        classes: Names of the classes.
        votes: (N, V) counts of annotators' votes, the first C of them for the classes, the others for answers that
            are no class; NaN where an image has none. None where no image has any.
        sample_ids: (N,) what identifies the images; None where nobody asks.
        groups: By name, the group (N,) of each image; images of one ``duplicate_group`` show the same picture.

    Examples:
        >>> probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
        >>> evaluation = Evaluation(probabilities, np.array([0, 1, 1, 1]), ("fear", "surprise"))
        >>> evaluation.compute_metrics()["accuracy"]["value"]
        0.75
    """

    probabilities: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    votes: np.ndarray | None = None
    sample_ids: np.ndarray | None = None
    groups: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def from_votes(
        cls, probabilities: np.ndarray, votes: np.ndarray, classes: tuple[str, ...], **others: Any
    ) -> "Evaluation":
        """Evaluate against votes alone: the label is the class with more votes than any other answer, if there is one.

        Args:
            probabilities: As of the class.
            votes: As of the class.
            classes: As of the class.
            others: The further attributes.
        """
        return cls(probabilities, find_plain_winners(votes, len(classes)), classes, votes, **others)

    def select(self, rows: np.ndarray) -> "Evaluation":
        """Return the evaluation of some images.

        Args:
            rows: Mask (N,), or indices.
        """
        return replace(
            self,
            probabilities=self.probabilities[rows],
            labels=self.labels[rows],
            votes=None if self.votes is None else self.votes[rows],
            sample_ids=None if self.sample_ids is None else self.sample_ids[rows],
            groups={name: values[rows] for name, values in self.groups.items()},
        )

    def split_by(self, group: str) -> dict[Any, "Evaluation"]:
        """Return the evaluation of each group, by its name, in the order of their first images."""
        values = self.groups[group]
        return {value: self.select(values == value) for value in dict.fromkeys(values.tolist())}

    def drop_duplicates(self) -> "Evaluation":
        """Return the evaluation of the first image of each ``duplicate_group``."""
        _, first = np.unique(self.groups[DUPLICATES], return_index=True)
        return self.select(np.sort(first))

    def list_subsets(self) -> dict[str, "Evaluation"]:
        """Return the parts that are evaluated beside the whole.

        Returns:
            ``without_duplicates`` where the duplicates are known; ``clear`` and ``ambiguous`` (see
            ``fer.metrics.agreement``) where there are votes. A part may be empty.
        """
        subsets = {"without_duplicates": self.drop_duplicates()} if DUPLICATES in self.groups else {}
        if self.votes is None or not np.nansum(self.votes):
            return subsets
        clear, ambiguous = find_clear_images(self.votes)
        return {**subsets, "clear": self.select(clear), "ambiguous": self.select(ambiguous)}

    def compute_confusion(self) -> np.ndarray:
        """Count the labelled images by true and predicted class, (C, C)."""
        labelled = self.labels >= 0
        predicted = self.probabilities[labelled].argmax(1)
        return compute_confusion_matrix(self.labels[labelled], predicted, len(self.classes))

    def compute_metrics(self) -> dict[str, Any]:
        """Compute every metric with its interval, as ``{value, low, high}``, None where there is none.

        Returns:
            ``samples``, the DECISION_METRICS, the macro means of the RANKING_METRICS over the classes that have them,
            the SCORES, and ``per_class`` with ``samples`` and the CLASS_METRICS of each.
        """
        confusion = self.compute_confusion()
        decisions = summarize_confusion(confusion, resample_confusion(confusion) if confusion.any() else None)
        resampled = self._resample()
        own = {
            name: [_get_interval(resampled[name][:, column]) for column in range(len(self.classes))]
            for name in RANKING_METRICS
        }
        return {
            "samples": len(self.labels),
            **{name: decisions[name] for name in DECISION_METRICS},
            **{name: _get_interval(_average_known(resampled[name])) for name in RANKING_METRICS},
            **_summarize_scores(resampled),
            "per_class": {
                name: {**decisions["per_class"][column], **{metric: own[metric][column] for metric in RANKING_METRICS}}
                for column, name in enumerate(self.classes)
            },
        }

    def compute_scores(self) -> dict[str, dict[str, float | None]]:
        """Compute the SCORES alone, with their intervals."""
        return _summarize_scores(self._resample(ranking=False))

    def _resample(self, ranking: bool = True) -> dict[str, np.ndarray]:
        """Metrics of the images themselves, in the first row, and then of bootstrap samples: (1 + R,), (1 + R, C)."""
        terms = build_score_terms(self.probabilities, self.labels, self.votes)
        labelled = np.flatnonzero(self.labels >= 0)
        ranked = [
            RankedScores.sort(self.probabilities[labelled, column], self.labels[labelled] == column)
            for column in range(len(self.classes) if ranking else 0)
        ]
        found: dict[str, list[np.ndarray]] = {}
        for weights in iter_image_weights(len(self.labels)):
            metrics = finish_scores(weights.astype(np.float64) @ terms)
            if ranking:
                of_labelled = weights[:, labelled]
                areas = [one.compute(of_labelled) for one in ranked]
                metrics |= {
                    name: np.column_stack([area[number] for area in areas])
                    for number, name in enumerate(RANKING_METRICS)
                }
            for name, values in metrics.items():
                found.setdefault(name, []).append(values)
        return {name: np.concatenate(values) for name, values in found.items()}


def summary_metrics(metrics: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the metrics of a split that bundle.yaml repeats; None where there are none."""
    if metrics is None:
        return None
    names = ("samples", "accuracy", "balanced_accuracy", "macro_f1", "ece_calibrated")
    recalls = {
        name: {**values["recall"], "samples": values["samples"]} for name, values in metrics["per_class"].items()
    }
    return {**{name: metrics[name] for name in names}, "recall": recalls}


def summarize_confusion(confusion: np.ndarray, resampled: np.ndarray | None) -> dict[str, Any]:
    """Compute the metrics of decisions with their intervals.

    Args:
        confusion: (C, C) counts, rows true, columns predicted.
        resampled: (R, C, C) counts of bootstrap samples; None gives no intervals.

    Returns:
        The DECISION_METRICS, and ``per_class``, a list with ``samples``, ``precision``, ``recall`` and ``f1`` of each.
    """
    values = compute_metrics(confusion)
    samples = None if resampled is None else compute_metrics(resampled)
    return {
        **{
            name: compute_interval(float(values[name]), None if samples is None else samples[name])
            for name in DECISION_METRICS
        },
        "per_class": [
            {
                "samples": int(confusion[number].sum()),
                **{
                    name: compute_interval(values[name][number], None if samples is None else samples[name][:, number])
                    for name in ("precision", "recall", "f1")
                },
            }
            for number in range(len(confusion))
        ],
    }


def _summarize_scores(resampled: Mapping[str, np.ndarray]) -> dict[str, dict[str, float | None]]:
    """The SCORES with their intervals.

    Repeated images make a sample look less calibrated than its images are: the calibration error's samples are moved
    down by how far their mean is above the error itself.
    """
    error = resampled["ece"]
    known = error[np.isfinite(error)]
    moved = np.append(error[:1], np.maximum(error[1:] - (known[1:].mean() - known[0] if len(known) > 1 else 0), 0))
    return {name: _get_interval(moved if name == "ece" else resampled[name]) for name in SCORES}


def _get_interval(values: np.ndarray) -> dict[str, float | None]:
    """A metric with its interval from values (1 + R,), that of the images themselves first."""
    return compute_interval(values[0], values[1:])


def _average_known(values: np.ndarray) -> np.ndarray:
    """Means (R,) over the classes of values (R, C) that are not NaN; NaN where all are."""
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(1)
    return np.divide(total, known.sum(1), out=np.full(len(values), np.nan), where=known.any(1))
