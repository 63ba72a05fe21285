"""A training on its first batches alone, which shows whether the network can learn at all."""

import numpy as np

from fer.config import Config
from fer.data.datamodule import EpochSampler, Split


def select_splits(config: Config, train: Split, val: Split) -> tuple[Split, Split]:
    """Return what is trained and what is validated: the two splits, or twice the first batches of the first epoch."""
    batches, batch_size = config.trainer.overfit_batches, config.dataset.batch_size
    if batches is None:
        return train, val
    if config.trainer.limit_batches is not None:
        batches = min(batches, config.trainer.limit_batches)
    count = len(train.rows)
    # Whole batches, as a training has: it leaves out an incomplete last one.
    count = min(batches * batch_size, max(count // batch_size * batch_size, min(count, batch_size)))
    # A part may be sorted by class, but no training takes it in this order.
    first = EpochSampler(len(train.rows), config.seed).sample_indices()[:count]
    weights = train.weights[first]
    if config.dataset.balance == "weighted_sampling":
        weights = np.ones_like(weights)
    split = Split(train.rows[first], train.targets[first], weights)
    return split, split


def describe_overfitting(config: Config) -> list[str]:
    """Say what the figures of a training on its first batches alone are worth; nothing of any other training."""
    batches = config.trainer.overfit_batches
    if batches is None or "fit" not in config.trainer.stages:
        return []
    return [
        f"trainer.overfit_batches={batches}: the network was trained and validated on the same images, so the figures "
        "of history.csv say nothing about other images; the final evaluation is of the real validation and test parts."
    ]
