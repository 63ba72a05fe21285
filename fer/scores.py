"""F1 from counts of images; used with and without PyTorch."""

import numpy as np


def f1_scores(right: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """F1 of each class, NaN for one without images.

    ``right``, ``true``, ``predicted`` (…, C): images of a class that are judged rightly, that have it as their label,
    and that are judged to be of it.
    """
    return np.where(true > 0, 2 * right / np.maximum(true + predicted, 1), np.nan)


def mean_of_present(scores: np.ndarray, true: np.ndarray) -> np.ndarray:
    """The mean (…) of scores (…, C) over the classes that have images."""
    return np.nansum(scores, axis=-1) / np.maximum((true > 0).sum(-1), 1)
