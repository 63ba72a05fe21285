"""Metrics by group, and tests of whether groups are recognised equally well."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from fer.errors import DataError
from fer.metrics.bootstrap import compute_interval, resample_confusion
from fer.metrics.classification import compute_confusion_matrix, compute_metrics

METRICS = ("accuracy", "balanced_accuracy", "macro_f1")
MAX_GROUPS = 20
PERMUTATIONS = 9999
KEY = "evaluation.groups"


@dataclass(frozen=True)
class Predictions:
    """What a classifier answers for N images.

    Attributes:
        labels: (N,) indices of the true classes.
        predicted: (N,) indices of the predicted ones.
        classes: Number of classes.
    """

    labels: np.ndarray
    predicted: np.ndarray
    classes: int

    def count(self, mask: np.ndarray) -> np.ndarray:
        """Count the images in ``mask`` (N,) by true and predicted class."""
        return compute_confusion_matrix(self.labels[mask], self.predicted[mask], self.classes)


def check_group_columns(names: Sequence[str], samples: pd.DataFrame) -> None:
    """Refuse columns that cannot be groups.

    Args:
        names: Columns of the manifest.
        samples: The manifest.

    Raises:
        DataError: There is no such column, or it has too many values.
    """
    for name in names:
        if name not in samples:
            usual = [column for column in samples if not str(column).startswith(("votes_", "target_"))]
            raise DataError(
                f"{KEY}: no source has {name}; the manifest has {', '.join(map(str, usual))} (groups come with "
                "RAF-DB's annotations, or from a groups.csv beside the folders of a data set)"
            )
        if (count := samples[name].dropna().astype(str).nunique()) > MAX_GROUPS:
            raise DataError(
                f"{KEY}: {name} has {count} different values, and at most {MAX_GROUPS} can be compared; choose another "
                "column, or put its values into classes in groups.csv"
            )


def compute_group_metrics(
    groupings: Mapping[str, Sequence[Any] | np.ndarray], predictions: Predictions, min_samples: int
) -> dict[str, dict[str, Any]]:
    """Compute the metrics of each group, the worst group, the gap and tests between all pairs.

    A group of fewer than ``min_samples`` images is counted but not judged. Differences of accuracy are tested twice:
    by Fisher's exact test, and by a permutation of the groups among images of the same class, which asks whether
    the groups still differ where their labels are equal. Each kind of test is corrected by Holm over all pairs of all
    groupings.

    Args:
        groupings: By name, (N,) the group of each image, missing where it is not known.
        predictions: What the classifier answers.
        min_samples: Fewest images of a group that is judged.

    Returns:
        By name: ``groups``, ``unknown``, ``worst``, ``gap`` and ``tests``, as metrics.json holds them.
    """
    result = {
        name: _compute_grouping(np.asarray(groups, dtype=object), predictions, min_samples)
        for name, groups in groupings.items()
    }
    tests = [test for entry in result.values() for test in entry["tests"]]
    for key in ("p", "p_within_classes"):
        for test, corrected in zip(tests, correct_by_holm([test[key] for test in tests]), strict=True):
            test[f"{key}_holm"] = corrected
    return result


def _compute_grouping(groups: np.ndarray, predictions: Predictions, min_samples: int) -> dict[str, Any]:
    known = ~pd.isna(groups)
    texts = np.array([str(group) for group in groups], dtype=object)
    names = sorted(set(texts[known]))
    confusions = {name: predictions.count(known & (texts == name)) for name in names}
    # Groups are of different images, so that each draws its own bootstrap samples.
    metrics = {
        name: (compute_metrics(confusion), compute_metrics(resample_confusion(confusion, seed=number)))
        for number, (name, confusion) in enumerate(confusions.items())
    }
    rows: dict[str, dict[str, Any]] = {
        name: {
            "samples": int(confusions[name].sum()),
            "judged": bool(confusions[name].sum() >= min_samples),
            **{metric: compute_interval(float(values[metric]), samples[metric]) for metric in METRICS},
        }
        for name, (values, samples) in metrics.items()
    }
    judged = sorted((name for name in names if rows[name]["judged"]), key=lambda name: rows[name]["accuracy"]["value"])

    def compare(one: str, other: str) -> dict[str, float | None]:
        (value, samples), (value_other, samples_other) = metrics[one], metrics[other]
        difference = float(value["accuracy"] - value_other["accuracy"])
        return compute_interval(difference, samples["accuracy"] - samples_other["accuracy"])

    return {
        "groups": rows,
        "unknown": int((~known).sum()),
        "worst": {"group": judged[0], **rows[judged[0]]["accuracy"]} if judged else None,
        "gap": {"best": judged[-1], "worst": judged[0], **compare(judged[-1], judged[0])} if len(judged) > 1 else None,
        "tests": [
            {
                "groups": [one, other],
                "difference": compare(one, other),
                "p": _compute_exact_p(confusions[one], confusions[other]),
                "p_within_classes": compute_p_within_classes(confusions[one], confusions[other]),
            }
            for one, other in combinations(sorted(judged), 2)
        ],
    }


def _compute_exact_p(one: np.ndarray, other: np.ndarray) -> float:
    """Fisher's exact test, two-sided, of the right and wrong answers in two confusion matrices."""
    table = [[int(np.trace(matrix)), int(matrix.sum() - np.trace(matrix))] for matrix in (one, other)]
    # Slow to import, and few trainings compare groups.
    from scipy.stats import fisher_exact

    return float(fisher_exact(table).pvalue)


def compute_p_within_classes(one: np.ndarray, other: np.ndarray) -> float:
    """Test whether two groups are recognised equally well where their labels are equal.

    The images of each class are dealt anew to the two groups, PERMUTATIONS times; what is compared is how many more
    of the first group's images are right than its share of each class's right answers.

    Args:
        one: (C, C) confusion matrix of a group.
        other: That of the other.

    Returns:
        The two-sided p-value; 1 where no class has images of both.
    """
    right, size = np.diag(one) + np.diag(other), one.sum(1) + other.sum(1)
    mixed = (one.sum(1) > 0) & (other.sum(1) > 0)
    if not mixed.any():
        return 1.0
    right, wrong, share = right[mixed], (size - right)[mixed], one.sum(1)[mixed]
    expected = share * right / size[mixed]
    observed = (np.diag(one)[mixed] - expected).sum()
    drawn = np.random.default_rng(0).hypergeometric(right, wrong, share, size=(PERMUTATIONS, len(right)))
    # Equal up to rounding counts as equal.
    extreme = np.abs((drawn - expected).sum(1)) >= abs(observed) - 1e-9
    return float((1 + extreme.sum()) / (1 + PERMUTATIONS))


def correct_by_holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values of several tests by Holm's method, in their order."""
    count = len(p_values)
    corrected, largest = [0.0] * count, 0.0
    for rank, position in enumerate(np.argsort(p_values, kind="stable").tolist()):
        largest = max(largest, min(1.0, (count - rank) * p_values[position]))
        corrected[position] = largest
    return corrected
