"""Scores of probabilities that are means over images: log-loss, Brier score, calibration error, distance to votes.

Each is a function of sums over images, so that bootstrap samples of all of them are one product of matrices.
"""

import numpy as np

from fer.metrics.agreement import compute_annotator_agreement

BINS = 15
# A probability of 0 for what happens would make a loss infinite.
LEAST_PROBABILITY = 1e-12
_MEANS = ("log_loss", "brier", "kl_to_votes", "log_loss_to_votes", "annotator_agreement")


def compute_log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-probability, nats, of the ``labels`` (N,) under the ``probabilities`` (N, C)."""
    return float(compute_log_losses(probabilities, labels).mean())


def compute_log_losses(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Negative log-probability (N,), nats, of each of the ``labels`` (N,) under the ``probabilities`` (N, C)."""
    return -np.log(np.clip(probabilities[np.arange(len(labels)), labels], LEAST_PROBABILITY, 1))


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
    ratio = np.clip(fractions, LEAST_PROBABILITY, 1) / np.clip(probabilities[voted], LEAST_PROBABILITY, 1)
    return float((fractions * np.log(ratio)).sum(1).mean())


def assign_bins(confidence: np.ndarray) -> np.ndarray:
    """Return the bin (N,) of each confidence (N,), 0 to BINS - 1.

    Bins have equal widths and are closed below, the last one above as well: torchmetrics has a further bin for a
    confidence of exactly 1, which single precision reaches easily.
    """
    edges = np.linspace(0, 1, BINS + 1, dtype=np.float32)
    return np.minimum(np.searchsorted(edges, confidence.astype(np.float32), side="right") - 1, BINS - 1)


def build_score_terms(probabilities: np.ndarray, labels: np.ndarray, votes: np.ndarray | None) -> np.ndarray:
    """Build what each image adds to the sums that ``finish_scores`` takes.

    Args:
        probabilities: (N, C).
        labels: (N,) indices of the classes, -1 for an image without a label.
        votes: (N, V) counts of votes, the first C of them for the classes; NaN or 0 for an image without. None where
            no image has any.

    Returns:
        (N, K).
    """
    probabilities = probabilities.astype(np.float64)
    count, size = probabilities.shape
    labelled = labels >= 0
    truth = np.eye(size)[np.where(labelled, labels, 0)]
    losses = -np.log(np.clip(probabilities, LEAST_PROBABILITY, 1))
    of_label = np.column_stack([(truth * losses).sum(1), ((probabilities - truth) ** 2).sum(1)]) * labelled[:, None]
    gaps = probabilities.max(1) - (probabilities.argmax(1) == labels)
    binned = np.zeros((count, BINS))
    binned[np.arange(count), assign_bins(probabilities.max(1))] = gaps * labelled
    counts = np.zeros((count, size)) if votes is None else np.nan_to_num(votes)[:, :size]
    total = counts.sum(1, keepdims=True)
    fractions = counts / np.maximum(total, 1)
    entropy = -(fractions * np.log(np.clip(fractions, LEAST_PROBABILITY, 1))).sum(1)
    crossed = (fractions * losses).sum(1)
    agreement = np.full(count, np.nan) if votes is None else compute_annotator_agreement(votes)
    sums = np.column_stack([of_label, crossed - entropy, crossed, np.nan_to_num(agreement)])
    present = np.column_stack([labelled, labelled, total[:, 0] > 0, total[:, 0] > 0, np.isfinite(agreement)])
    return np.column_stack([sums, present, binned])


def finish_scores(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Compute scores from sums (…, K) of the terms of images.

    Returns:
        (…) each, NaN without an image that counts: ``log_loss`` and ``brier`` (of the labels), ``ece``,
        ``kl_to_votes``, ``log_loss_to_votes`` and ``annotator_agreement``.
    """
    size = len(_MEANS)
    means = _divide(sums[..., :size], sums[..., size : 2 * size])
    scores = {name: means[..., column] for column, name in enumerate(_MEANS)}
    scores["ece"] = _divide(np.abs(sums[..., 2 * size :]).sum(-1), sums[..., size])
    return scores


def _divide(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Quotients, NaN where nothing was counted."""
    return np.asarray(np.divide(sums, counts, out=np.full(np.shape(sums), np.nan), where=counts > 0))
