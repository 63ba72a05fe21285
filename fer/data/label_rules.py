"""From annotators' votes to training targets: FERPlus's label rules.

Which images a rule keeps follows the published preparation (microsoft/FERPlus, src/ferplus.py), and the tests assert
their numbers. With `probability` the target is the distribution of all votes left, not of the leading ones alone.
"""

import numpy as np

from fer.emotions import CONTEMPT, FERPLUS_VOTES, get_class_names

EMOTION_COUNT = 8  # the emotions among the vote columns, contempt last; "unknown" and "NF" follow
CONTEMPT_COLUMN = FERPLUS_VOTES.index(CONTEMPT)
NO_AGREEMENT = "annotators do not agree"
NO_EMOTION = "annotators see no emotion or no face"
IS_CONTEMPT = "contempt, with 7 classes"


def _drop_single_votes(votes: np.ndarray) -> np.ndarray:
    """Votes (N, 10) with every emotion that only one annotator saw set to 0."""
    return np.where(votes > 1, votes, 0.0)


def apply_majority_rule(votes: np.ndarray) -> np.ndarray:
    """Select winners that have more than half of the votes; (N, 10) with one non-zero entry a row, or none."""
    counted = _drop_single_votes(votes)
    winner = np.eye(votes.shape[1])[counted.argmax(axis=1)]
    return winner * (counted.max(axis=1) > 0.5 * counted.sum(axis=1))[:, None]


def _apply_argmax_rule(votes: np.ndarray) -> np.ndarray:
    """Select winners with the most votes, ties to the first column; (N, 10)."""
    return np.eye(votes.shape[1])[votes.argmax(axis=1)] * (votes.max(axis=1) > 0)[:, None]


def _apply_multi_target_rule(votes: np.ndarray) -> np.ndarray:
    """Select every entry with 30 % of the votes, alike, if together they have more than half; (N, 10)."""
    counted = _drop_single_votes(votes)
    total = counted.sum(axis=1, keepdims=True)
    selected = (counted > 0) & (counted >= 0.3 * total)
    agreed = (counted * selected).sum(axis=1, keepdims=True) > 0.5 * total
    # The most voted entry counts a little more, so that the label below is its own.
    return selected * (1 + 1e-9 * counted) * agreed


def _apply_probability_rule(votes: np.ndarray) -> np.ndarray:
    """Keep the votes where at most three entries make up three quarters of them; (N, 10)."""
    counted = _drop_single_votes(votes)
    return counted * np.array([_has_leading_agreement(row) for row in counted])[:, None]


def _has_leading_agreement(votes: np.ndarray) -> bool:
    """Whether the highest entries, taken in order until they hold 75 % of the votes, are few and emotions.

    "Unknown" and "not a face" end the search; reached first, they win and the image has no emotion.
    """
    left, total, taken, count = votes.copy(), votes.sum(), 0.0, 0
    while taken < 0.75 * total and count < 3:
        highest = left.max()
        for column in np.flatnonzero(left == highest):
            left[column] = 0
            if column >= EMOTION_COUNT:
                # An earlier emotion stands without it; alone it is the winner, which the caller sees from the votes.
                return bool((taken > 0.5 * total and count <= 3) or (taken == 0 and highest > 0.5 * total))
            taken += highest
            count += 1
    return bool(taken > 0.5 * total and count <= 3)


RULES = {
    "majority": apply_majority_rule,
    "argmax": _apply_argmax_rule,
    "multi_target": _apply_multi_target_rule,
    "probability": _apply_probability_rule,
}


def build_targets_from_votes(
    votes: np.ndarray, rule: str, classes: int, contempt: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Apply a label rule to votes.

    Args:
        votes: (N, 10) counts, columns as in ``FERPLUS_VOTES``.
        rule: A key of ``RULES``.
        classes: 7, or 8 with contempt.
        contempt: With 7 classes, `drop` the images that contempt wins, or `renormalise`: delete its votes beforehand.

    Returns:
        Targets (N, classes) that sum to 1, or to 0 where the rule gives none; the index of each row's label in
        ``get_class_names(classes)``, or -1; and the reason why a row has no label ("" where it has one).
    """
    votes = votes.astype(float)
    if classes == 7 and contempt == "renormalise":
        votes = votes.copy()
        votes[:, CONTEMPT_COLUMN] = 0
    selected = RULES[rule](votes)
    winner = selected.argmax(axis=1)
    reasons = np.full(len(votes), "", dtype=object)
    reasons[winner >= EMOTION_COUNT] = NO_EMOTION
    if classes == 7:
        reasons[winner == CONTEMPT_COLUMN] = IS_CONTEMPT
    reasons[selected.max(axis=1, initial=0) <= 0] = NO_AGREEMENT

    names = get_class_names(classes)
    columns = [FERPLUS_VOTES.index(name) for name in names]
    targets = selected[:, columns].copy()
    targets[reasons != ""] = 0
    sums = targets.sum(axis=1, keepdims=True)
    labels = np.array(
        [names.index(FERPLUS_VOTES[w]) if not reason else -1 for w, reason in zip(winner, reasons, strict=True)]
    )
    return np.divide(targets, sums, out=np.zeros_like(targets), where=sums > 0), labels.astype(int), reasons


def build_targets_from_labels(labels: list[str], classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the same for single labels: one-hot targets (N, classes), label indices, reasons."""
    names = get_class_names(classes)
    indices = np.array([names.index(label) if label in names else -1 for label in labels], dtype=int)
    targets = np.eye(classes)[indices] * (indices >= 0)[:, None]
    return targets, indices, np.where(indices >= 0, "", IS_CONTEMPT).astype(object)
