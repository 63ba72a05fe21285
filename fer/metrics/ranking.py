"""How well probabilities rank images, each class against all others: ROC-AUC, average precision and their curves.

Bootstrap samples are weights of the images, so that scores are sorted once for all of them.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RankedScores:
    """The scores of one class, sorted once.

    Attributes:
        order: (N,) images by falling score.
        positives: (P,) positions in ``order`` of the images of the class.
        ends: (P,) for each of them, the position behind the last image with the same score.
        starts: (P,) the position of the first image with the same score.
    """

    order: np.ndarray
    positives: np.ndarray
    ends: np.ndarray
    starts: np.ndarray

    @classmethod
    def sort(cls, scores: np.ndarray, positive: np.ndarray) -> "RankedScores":
        """Sort ``scores`` (N,); ``positive`` (N,) says which images are of the class."""
        order = np.argsort(-scores, kind="stable")
        falling = -scores[order]
        positives = np.flatnonzero(positive[order])
        own = falling[positives]
        return cls(
            order, positives, np.searchsorted(falling, own, side="right"), np.searchsorted(falling, own, side="left")
        )

    def compute(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute ROC-AUC and average precision of images that count several times or not at all.

        Args:
            weights: (R, N) whole numbers, single precision, which holds them exactly below 16 million.

        Returns:
            Areas under the ROC curve (R,), in which ties count half, and average precisions (R,), the mean precision
            at the scores of the class's images; NaN without an image of the class, and without another for the area.
        """
        count = len(weights)
        before = np.zeros((count, len(self.order) + 1), np.float32)
        np.cumsum(weights[:, self.order], axis=1, out=before[:, 1:])
        own = weights[:, self.order[self.positives]]
        own_before = np.zeros((count, len(self.positives) + 1), np.float32)
        np.cumsum(own, axis=1, out=own_before[:, 1:])
        total = own_before[:, -1].astype(np.float64)
        others = before[:, -1] - total
        ends, starts = (np.searchsorted(self.positives, edges, side="left") for edges in (self.ends, self.starts))
        own_ends = own_before[:, ends]
        passed = before[:, self.ends]
        others_above = (passed - own_ends) + (before[:, self.starts] - own_before[:, starts])
        lost = np.einsum("rp,rp->r", own, others_above, dtype=np.float64) / 2
        precision = np.einsum("rp,rp->r", own, own_ends / np.maximum(passed, 1), dtype=np.float64)
        area = np.full(count, np.nan)
        np.divide(total * others - lost, total * others, out=area, where=total * others > 0)
        average = np.full(count, np.nan)
        np.divide(precision, total, out=average, where=total > 0)
        return area, average


@dataclass(frozen=True)
class ClassCurves:
    """ROC and precision-recall curve of one class, with a point for each distinct score, the highest first.

    Attributes:
        false_positive_rate: (T,) from 0 to 1.
        recall: (T,) the true positive rate, from 0 to 1.
        precision: (T,); that of the first point, at which nothing is found, is 1.
    """

    false_positive_rate: np.ndarray
    recall: np.ndarray
    precision: np.ndarray


def compute_class_curves(scores: np.ndarray, positive: np.ndarray) -> ClassCurves | None:
    """Compute the curves of one class; None where all images or none are of it.

    Args:
        scores: (N,) probabilities of the class.
        positive: (N,) whether an image is of the class.
    """
    if positive.all() or not positive.any():
        return None
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    found = np.cumsum(positive[order])[last]
    passed = last + 1
    return ClassCurves(
        np.append(0, (passed - found) / (~positive).sum()),
        np.append(0, found / positive.sum()),
        np.append(1, found / passed),
    )
