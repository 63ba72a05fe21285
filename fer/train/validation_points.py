"""Validations of an epoch: after which batches, and how Lightning is brought to do it."""

import pytorch_lightning as pl


def list_validation_batches(batches: int, validations: int) -> list[int]:
    """List the batches of an epoch, counted from 1, after which is validated: evenly spaced, the last among them.

    Args:
        batches: Batches of an epoch.
        validations: Validations of an epoch; no more than there are batches.
    """
    count = min(validations, batches)
    return [-(-number * batches // count) for number in range(1, count + 1)]


def is_epoch_end(trainer: pl.Trainer) -> bool:
    """Whether the last batch of the epoch is done; an early stop may end it before."""
    return trainer.fit_loop.epoch_loop.batch_progress.current.ready >= trainer.num_training_batches


def compute_epoch_fraction(done: int, batches: int, validations: int) -> float:
    """Compute the fraction of an epoch after ``done`` of its batches, rounded so that a reader of it finds it again.

    A planned validation has that of the validations; one that a stop within the epoch has caused, that of the batches.
    """
    count = min(validations, batches)
    number = done * count // batches
    planned = number > 0 and -(-number * batches // count) == done
    return round(number / count, 4) if planned else round(done / batches, 6)


def set_validation_points(trainer: pl.Trainer, validations: int) -> None:
    """Make a trainer validate so many times an epoch, and where something stops it within one.

    Its own `val_check_interval` rounds the batches between two validations down, and may miss the epoch's end.
    """
    fit_loop = trainer.fit_loop
    progress = fit_loop.epoch_loop.batch_progress

    def should_validate(data_fetcher: object) -> bool:
        if trainer.should_stop and fit_loop._can_stop_early:
            # A callback may stop it after any batch: what was trained until then can be the best.
            return True
        # 0 stands before the first batch: a resumed training asks there whether it ended with a validation.
        return progress.current.ready in (0, *list_validation_batches(int(trainer.num_training_batches), validations))

    fit_loop.epoch_loop._should_check_val_fx = should_validate  # type: ignore[method-assign]
