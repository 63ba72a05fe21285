"""What annotators' votes say of an image: how clear it is, and how often one annotator agrees with the others."""

import numpy as np

# An image is clear where its winner has at least this fraction of all votes, else ambiguous.
CLEAR_FRACTION = 0.8


def compute_annotator_agreement(votes: np.ndarray) -> np.ndarray:
    """Compute how often one annotator of an image gives the answer that most of its other annotators give.

    Each annotator is left out in turn and compared with the others; where these are tied, a tie of t answers that has
    the annotator's among them counts 1/t. This is what a single person reaches against the others' label. A classifier
    that has learnt the majority's answers may reach more where people differ by chance.

    Args:
        votes: (N, V) counts of votes for each answer, those that are no class ("unknown") included; or NaN.

    Returns:
        (N,) fractions, NaN for an image with fewer than two votes.

    Examples:
        >>> compute_annotator_agreement(np.array([[9.0, 1.0], [1.0, 1.0]])).tolist()
        [0.9, 0.0]
    """
    votes = np.nan_to_num(votes)
    total = votes.sum(axis=1)
    agreeing = np.zeros(len(votes))
    for answer in range(votes.shape[1]):
        others = votes.copy()
        others[:, answer] -= 1
        top = others.max(axis=1, initial=0)
        tied = (others == top[:, None]).sum(axis=1)
        agreeing += votes[:, answer] * (others[:, answer] == top) / np.maximum(tied, 1)
    return np.divide(agreeing, total, out=np.full(len(votes), np.nan), where=total >= 2)


def find_clear_images(votes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the images on which annotators agree, and those on which they do not.

    Args:
        votes: (N, V) counts of votes for each answer, those that are no class included; or NaN.

    Returns:
        Two masks (N,): the winner has at least CLEAR_FRACTION of the votes, or less. Images without votes are in none.
    """
    votes = np.nan_to_num(votes)
    total = votes.sum(axis=1)
    # 8 of 10 votes are 80 %, whatever the rounding.
    clear = votes.max(axis=1, initial=0) >= CLEAR_FRACTION * total - 1e-9
    return clear & (total > 0), ~clear & (total > 0)


def find_plain_winners(votes: np.ndarray, classes: int) -> np.ndarray:
    """Return the class (N,) with more votes than any other answer, -1 where none has; the first columns are classes."""
    votes = np.nan_to_num(votes)
    winner = votes.argmax(axis=1)
    top = votes.max(axis=1, initial=0)
    alone = (votes == top[:, None]).sum(axis=1) == 1
    return np.where(alone & (top > 0) & (winner < classes), winner, -1)
