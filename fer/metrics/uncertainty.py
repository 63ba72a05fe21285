"""What a model is not sure of: a confidence below which an answer is uncertain, and sets that hold the right class."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

# Probabilities are compared as tables have them, so that every route and runtime gives the same answer.
DECIMALS = 6
# Levels for which a bundle keeps thresholds; between two of them the higher one counts.
LEVELS = (*(number / 100 for number in range(50, 99)), *(number / 1000 for number in range(990, 1000)))


@dataclass(frozen=True)
class ConfidenceRule:
    """The confidence that a wanted precision takes, as found on validation.

    Args:
        precision_target: The wanted share of right answers among those that are not uncertain.
        threshold: Answers of a lower confidence are uncertain; None where no confidence reaches the precision, and
            every answer is uncertain.
        precision: The share of right answers among the others, on validation; None without a threshold.
        coverage: The share of images that they are, on validation.
        samples: Validation images.
    """

    precision_target: float
    threshold: float | None
    precision: float | None
    coverage: float
    samples: int

    def find_uncertain(self, confidences: np.ndarray) -> np.ndarray:
        """Return which of the confidences (N,) are too low, (N,) bool."""
        if self.threshold is None:
            return np.ones(len(confidences), bool)
        return np.round(np.asarray(confidences, np.float64), DECIMALS) < self.threshold


def fit_confidence_rule(probabilities: np.ndarray, labels: np.ndarray, precision_target: float) -> ConfidenceRule:
    """Find the lowest confidence at and above which the answers have the wanted precision.

    Fewer than 1 / (1 - precision_target) answers cannot tell whether they have it, so that many must remain.

    Args:
        probabilities: (N, C) calibrated, of validation images.
        labels: (N,) indices of their classes.
        precision_target: Above 0 and below 1.
    """
    confidences = np.round(probabilities.max(1).astype(np.float64), DECIMALS)
    right = probabilities.argmax(1) == labels
    order = np.argsort(-confidences, kind="stable")
    kept = np.arange(1, len(order) + 1)
    precisions = np.cumsum(right[order]) / kept
    # Equal confidences are in or out together.
    last_of_equals = np.append(np.diff(confidences[order]) != 0, True)[: len(order)]
    needed = math.ceil(round(1 / (1 - precision_target), 9))
    allowed = np.flatnonzero(last_of_equals & (precisions >= precision_target) & (kept >= needed))
    if not len(allowed):
        return ConfidenceRule(precision_target, None, None, 0.0, len(labels))
    place = allowed[-1]
    return ConfidenceRule(
        precision_target,
        float(confidences[order][place]),
        float(precisions[place]),
        float(kept[place] / len(labels)),
        len(labels),
    )


@dataclass(frozen=True)
class SetThresholds:
    """Thresholds of split-conformal prediction sets.

    A set holds every class whose probability reaches the threshold of a level, and the most probable one in any case.
    The score is 1 less the label's probability (arXiv:1609.00451; arXiv:2107.07511, section 1): of new images that are
    exchangeable with those of validation, at least the level's share have the right class in their set. It holds over
    all images together, not for each class, nor for images of another kind.

    Args:
        samples: Validation images.
        least_probability: By level; None where the sets must hold every class.
    """

    samples: int
    least_probability: Mapping[float, float | None]

    def find_sets(self, probabilities: np.ndarray, level: float) -> np.ndarray:
        """Return which classes belong to the set of each image, (N, C) bool.

        Args:
            probabilities: (N, C) calibrated.
            level: The wanted coverage, above 0 and below 1.
        """
        values = np.round(np.asarray(probabilities, np.float64), DECIMALS)
        least = min(
            ((known, found) for known, found in self.least_probability.items() if known >= level),
            default=(1.0, None),
        )[1]
        if least is None:
            return np.ones(values.shape, bool)
        return (values >= least) | (np.arange(values.shape[1]) == values.argmax(1)[:, None])


def fit_set_thresholds(probabilities: np.ndarray, labels: np.ndarray) -> SetThresholds:
    """Find the thresholds of prediction sets for all LEVELS.

    Args:
        probabilities: (N, C) calibrated, of validation images.
        labels: (N,) indices of their classes.
    """
    count = len(labels)
    descending = -np.sort(-np.round(probabilities[np.arange(count), labels].astype(np.float64), DECIMALS))
    thresholds: dict[float, float | None] = {}
    for level in LEVELS:
        # One more than there are images: the new one may stand anywhere among them. Rounding undoes 0.9 * 10 > 9.
        rank = math.ceil(round((count + 1) * level, 9))
        thresholds[level] = float(descending[rank - 1]) if rank <= count else None
    return SetThresholds(count, thresholds)
