"""What the splits of a run must hold."""

from collections.abc import Sequence

import pandas as pd

from fer.errors import DataError

MIN_TRAINING = 2


def check_training(splits: pd.Series, things: str, left_out: str) -> None:
    """Refuse an empty training or validation split, and a training split of one sample.

    Args:
        splits: Split of each sample.
        things: What the samples are: images or clips.
        left_out: What was left out, in parentheses; empty where nothing was.

    Raises:
        DataError: Names the split and the remedy.
    """
    for split, word in (("train", "training"), ("val", "validation")):
        if not (splits == split).any():
            raise DataError(
                f"there are no {word} {things}{left_out}; check the source's parts, or set dataset.split=stratified"
            )
    if (count := int((splits == "train").sum())) < MIN_TRAINING:
        raise DataError(
            f"the training part holds {count} {things.removesuffix('s')}; at least {MIN_TRAINING} are needed, since "
            "batch normalisation cannot work on one (see dataset.limit and the source's parts)"
        )


def check_evaluated(splits: pd.Series, things: str, left_out: str) -> None:
    """Refuse data without any sample to evaluate; the arguments are those of ``check_training``. Raises DataError."""
    if not splits.isin(["val", "test"]).any():
        raise DataError(
            f"there are no validation or test {things} to evaluate{left_out}; check the source's parts, or set "
            "dataset.split=stratified"
        )


def find_empty_classes(samples: pd.DataFrame, classes: Sequence[str]) -> list[str]:
    """Find the classes without training samples, of a table with `split` and `label`."""
    present = set(samples.loc[samples["split"] == "train", "label"])
    return [name for name in classes if name not in present]
