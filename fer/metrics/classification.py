"""Metrics of a classifier from its confusion matrix."""

import numpy as np


def compute_metrics(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the metrics of confusion matrices.

    Args:
        confusion: (…, C, C) counts, rows true, columns predicted; leading axes are kept.

    Returns:
        ``accuracy``, ``balanced_accuracy`` and ``macro_f1`` (…), NaN without any image; the latter two are means over
        the classes that have images. ``precision``, ``recall`` and ``f1`` (…, C), NaN for a class without images; a
        class that is never predicted has precision 0.

    Examples:
        >>> float(compute_metrics(np.array([[8, 2], [1, 9]]))["accuracy"])
        0.85
    """
    confusion = np.asarray(confusion, dtype=float)
    correct = np.diagonal(confusion, axis1=-2, axis2=-1)
    true, predicted = confusion.sum(-1), confusion.sum(-2)
    present, any_image = true > 0, true.sum(-1) > 0
    recall = np.where(present, correct / np.maximum(true, 1), np.nan)
    precision = np.where(present, correct / np.maximum(predicted, 1), np.nan)
    f1 = compute_f1(correct, true, predicted)
    return {
        "accuracy": correct.sum(-1) / np.where(any_image, true.sum(-1), np.nan),
        "balanced_accuracy": np.where(any_image, average_present_classes(recall, true), np.nan),
        "macro_f1": np.where(any_image, average_present_classes(f1, true), np.nan),
        "precision": precision,
        "recall": recall,
        "f1": f1,
    }


def compute_confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Count the images by true and predicted class.

    Args:
        labels: (N,) indices of the true classes.
        predicted: (N,) indices of the predicted classes.
        classes: Number of classes C.

    Returns:
        (C, C) counts, rows true, columns predicted.
    """
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def compute_f1(correct: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Compute the F1 of each class.

    Args:
        correct: (…, C) images of a class that are predicted to be of it.
        true: (…, C) images of a class.
        predicted: (…, C) images that are predicted to be of a class.

    Returns:
        (…, C), NaN for a class without images.
    """
    return np.where(true > 0, 2 * correct / np.maximum(true + predicted, 1), np.nan)


def average_present_classes(scores: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Average scores (…, C) over the classes that have images, of which ``true`` (…, C) holds the numbers: (…)."""
    return np.nansum(scores, axis=-1) / np.maximum((true > 0).sum(-1), 1)
