"""Classes' frequencies in training, and what they add to logits, so that rare classes are not passed over."""

from collections.abc import Sequence

import numpy as np

from fer.data.datamodule import Split

# A class that training never saw has no frequency.
MIN_PRIOR = 1e-4


def compute_class_prior(train: Split) -> tuple[float, ...]:
    """Return the fraction (classes,) of each class in the targets of a training split."""
    sums = train.targets.sum(0, dtype=np.float64)
    return tuple((sums / sums.sum()).tolist())


def compute_logit_offsets(class_prior: Sequence[float], strength: float) -> np.ndarray:
    """Compute ``strength`` times the logarithm of each class's frequency, (classes,) (arXiv:2007.07314).

    Added to logits in the loss, or subtracted from those of a trained network, it makes rare classes likelier.

    Args:
        class_prior: (classes,) fraction of each class.
        strength: 1 aims at balanced accuracy, 0 changes nothing.
    """
    return strength * np.log(np.maximum(class_prior, MIN_PRIOR))
