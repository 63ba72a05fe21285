"""Assign images to train, val and test, without duplicates on two sides."""

import logging
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from fer.data.sources.base import SPLITS
from fer.errors import DataError

log = logging.getLogger(__name__)
LEAK = "duplicate of an image in an earlier part"


def assign_splits(strata: Sequence[str], groups: np.ndarray, fractions: Sequence[float], seed: int) -> np.ndarray:
    """Divide every stratum by ``fractions``, a group never between two splits.

    A group belongs to the stratum of its first image. Within a stratum the groups are shuffled and dealt, largest
    first, each to the split that lacks the most of its fraction, so that small strata come out even too.

    Args:
        strata: Stratum of each image.
        groups: (N,) group number of each image.
        fractions: Fraction of each split.
        seed: Seed of the shuffling.

    Returns:
        Number (N,) of each image's split.
    """
    table = pd.DataFrame({"stratum": list(strata), "group": groups})
    per_group = table.groupby("group", sort=False).agg(stratum=("stratum", "first"), size=("stratum", "size"))
    goal = np.array(fractions, dtype=float)
    split_by_group: dict[int, int] = {}
    rng = np.random.default_rng(seed)
    for _, members in sorted(per_group.groupby("stratum")):
        shuffled = members.iloc[rng.permutation(len(members))].sort_values("size", ascending=False, kind="stable")
        total, dealt = int(members["size"].sum()), np.zeros(len(goal))
        for group, size in zip(shuffled.index, shuffled["size"], strict=True):
            split = int(np.argmax(np.where(goal > 0, goal * total - dealt, -np.inf)))
            dealt[split] += size
            split_by_group[group] = split
    return table["group"].map(split_by_group).to_numpy()


def split_stratified(samples: pd.DataFrame, fractions: Sequence[float], seed: int) -> pd.Series:
    """Split by source and class over all images, whatever their official split.

    ``samples`` has `source`, `stratum` (the class) and `duplicate_group`.
    """
    strata = (samples["source"] + "/" + samples["stratum"]).tolist()
    numbers = assign_splits(strata, samples["duplicate_group"].to_numpy(), fractions, seed)
    return pd.Series(np.array(SPLITS, dtype=object)[numbers], index=samples.index)


def split_official(samples: pd.DataFrame, fractions: Sequence[float], seed: int) -> pd.Series:
    """Keep the sources' official splits; a source without a validation split gives some of its training to it.

    How much is by ``fractions``, class by class, groups kept together over all sources, so that no image validates
    that trains elsewhere. A missing test split stays empty: nothing else can stand for it. Raises DataError for a
    source without official splits.
    """
    splits = samples["part"].copy()
    lacking = []
    for source, rows in samples.groupby("source", sort=False):
        present = set(rows["part"])
        if "train" not in present:
            raise DataError(
                f"source {source!r} has no official training part; set dataset.split=stratified to divide its images"
            )
        if "val" not in present:
            lacking.append(source)
    train = samples[samples["part"] == "train"]
    gives = train["source"].isin(lacking)
    divided = train[gives & ~train["duplicate_group"].isin(train.loc[~gives, "duplicate_group"])]
    if len(divided):
        val_fraction = fractions[1] / (fractions[0] + fractions[1])
        strata = (divided["source"] + "/" + divided["stratum"]).tolist()
        numbers = assign_splits(strata, divided["duplicate_group"].to_numpy(), (1 - val_fraction, val_fraction), seed)
        splits.loc[divided.index[numbers == 1]] = "val"
    for source in lacking:
        count = int((splits[samples["source"] == source] == "val").sum())
        log.info("%s has no validation part: %d of its training images validate", source, count)
    return splits


def split_for_evaluation(samples: pd.DataFrame, fractions: Sequence[float], seed: int) -> pd.Series:
    """Keep the sources' official splits where nothing is trained: a source needs no training split.

    Images of a source that has no splits at all are test images, every one of them.
    """
    trains = samples["source"].isin(samples.loc[samples["part"] == "train", "source"])
    splits = samples["part"].replace("", "test")
    if trains.any():
        splits[trains] = split_official(samples[trains], fractions, seed)
    return splits


SPLITTERS: dict[str, Callable[[pd.DataFrame, Sequence[float], int], pd.Series]] = {
    "official": split_official,
    "stratified": split_stratified,
}


def find_leaks(samples: pd.DataFrame, splits: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Find images that also stand in an earlier split, in the order train, val, test.

    ``samples`` has `duplicate_group` and `content_hash`. Returns for each image whether a duplicate, and whether one
    of the same pixels, stands there.
    """
    rank = splits.map({split: number for number, split in enumerate(SPLITS)})
    same_image = rank > rank.groupby(samples["duplicate_group"]).transform("min")
    same_pixels = rank > rank.groupby(samples["content_hash"]).transform("min")
    return same_image, same_pixels


def format_leak_message(samples: pd.DataFrame, splits: pd.Series, same_image: pd.Series, same_pixels: pd.Series) -> str:
    """Format `421 validation images also stand in an earlier part (279 pixel for pixel)`, for each split with some."""
    words = {"val": "validation", "test": "test"}
    counts = [
        f"{int(same_image[splits == split].sum())} {word} images also stand in an earlier part "
        f"({int(same_pixels[splits == split].sum())} pixel for pixel)"
        for split, word in words.items()
        if same_image[splits == split].any()
    ]
    return "; ".join(counts)
