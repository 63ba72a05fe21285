"""What the splits of a run must hold."""

from collections.abc import Sequence

import pandas as pd

from fer.errors import DataError

MIN_TRAINING = 2


def check_left(samples: pd.DataFrame, things: str, left_out: str) -> None:
    """Refuse data of which nothing is left to split; ``things`` as in ``check_training``. Raises DataError."""
    if samples.empty:
        raise DataError(f"no {things} are left{left_out}; name other data, or change what has left them out")


def describe_mixed_parts(samples: pd.DataFrame) -> str:
    """Tell the parts of sources whose samples are divided anew whatever part they are in; empty where none has two.

    Args:
        samples: Columns `source` and `part`.
    """
    mixed = []
    for source, parts in samples.groupby("source", sort=False)["part"]:
        counts = parts[parts != ""].value_counts(sort=False)
        if len(counts) > 1:
            mixed.append(f"{source} ({', '.join(f'{part} {count:,}' for part, count in counts.items())})")
    return f"parts that are mixed: {'; '.join(mixed)}" if mixed else ""


def check_training(splits: pd.Series, things: str, left_out: str, is_official: bool) -> None:
    """Refuse an empty training or validation split, and a training split of one sample.

    Args:
        splits: Split of each sample.
        things: What the samples are: images or clips.
        left_out: What was left out, in parentheses; empty where nothing was.
        is_official: Whether the sources say which split a sample is in.

    Raises:
        DataError: Names the split and the remedy.
    """
    remedy = "check the source's parts, or set dataset.split=stratified"
    if not is_official:
        remedy = f"add {things}, or set other dataset.fractions"
    for split, word in (("train", "training"), ("val", "validation")):
        if not (splits == split).any():
            raise DataError(f"there are no {word} {things}{left_out}; {remedy}")
    if (count := int((splits == "train").sum())) < MIN_TRAINING:
        raise DataError(
            f"the training part holds {count} {things.removesuffix('s')}; at least {MIN_TRAINING} are needed, since "
            "batch normalisation cannot work on one (see dataset.limit and the source's parts)"
        )


def check_evaluated(splits: pd.Series, things: str, left_out: str) -> None:
    """Refuse data without any sample to evaluate; the arguments are as for ``check_training``. Raises DataError."""
    if not splits.isin(["val", "test"]).any():
        raise DataError(
            f"there are no validation or test {things} to evaluate{left_out}; check the source's parts, or set "
            "dataset.split=stratified"
        )


def find_empty_classes(samples: pd.DataFrame, classes: Sequence[str]) -> list[str]:
    """Find the classes without training samples, of a table with `split` and `label`."""
    present = set(samples.loc[samples["split"] == "train", "label"])
    return [name for name in classes if name not in present]
