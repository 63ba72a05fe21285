"""Every figure of a classifier, from its confusion matrix and its probabilities, with bootstrap intervals."""

import numpy as np


def compute_metrics(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Figures of confusion matrices (…, C, C), rows true, columns predicted; leading axes are kept.

    Precision, recall and F1 (…, C) are NaN for a class without images; a class that is never predicted has
    precision 0. Balanced accuracy and macro-F1 are means over the classes that have images. All are NaN without any.
    """
    confusion = np.asarray(confusion, dtype=float)
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    true, predicted = confusion.sum(-1), confusion.sum(-2)
    present, any_image = true > 0, true.sum(-1) > 0
    recall = np.where(present, right / np.maximum(true, 1), np.nan)
    precision = np.where(present, right / np.maximum(predicted, 1), np.nan)
    f1 = compute_f1(right, true, predicted)
    return {
        "accuracy": right.sum(-1) / np.where(any_image, true.sum(-1), np.nan),
        "balanced_accuracy": np.where(any_image, average_present_classes(recall, true), np.nan),
        "macro_f1": np.where(any_image, average_present_classes(f1, true), np.nan),
        "precision": precision,
        "recall": recall,
        "f1": f1,
    }


def compute_confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts (C, C), rows true, columns predicted."""
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def compute_f1(right: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """F1 of each class, NaN for one without images.

    ``right``, ``true``, ``predicted`` (…, C): images of a class that are judged rightly, that have it as their label,
    and that are judged to be of it.
    """
    return np.where(true > 0, 2 * right / np.maximum(true + predicted, 1), np.nan)


def average_present_classes(scores: np.ndarray, true: np.ndarray) -> np.ndarray:
    """The mean (…) of scores (…, C) over the classes that have images."""
    return np.nansum(scores, axis=-1) / np.maximum((true > 0).sum(-1), 1)
