"""Assign images to train, val and test, without duplicates on two sides."""

import logging
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from fer.data.sources.base import SPLITS
from fer.errors import DataError

log = logging.getLogger(__name__)
LEAK = "duplicate of an image in an earlier part"
CLIP_LEAK = "duplicate of a clip in an earlier part"
SUBJECT_LEAK = "its subject is in an earlier part, too"


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


def split_by_subject(samples: pd.DataFrame, fractions: Sequence[float], seed: int) -> pd.Series:
    """Divide the people, so that nobody is in two splits, and every split has about its fraction of each class.

    ``samples`` has `sample_id`, `source`, `subject` and `stratum`. Raises DataError where a subject is not known, or
    where there is one alone.
    """
    if (unknown := find_unknown_subjects(samples)).any():
        raise build_subject_error(samples["sample_id"], unknown)
    subjects = name_subjects(samples)
    counts = pd.crosstab(subjects, samples["source"] + "/" + samples["stratum"])
    if len(counts) < 2:
        raise DataError(
            f"dataset.split=subject: {samples['subject'].iloc[0]} is the only subject, and one must train and another "
            "validate; set dataset.split=stratified, and mind that nothing is then known of other people"
        )
    numbers = _deal_subjects(counts.to_numpy(float), fractions, seed)
    if fractions[2] > 0 and not (numbers == 2).any():
        log.warning("dataset.split=subject: there are two subjects alone, so that none is left for the test part")
    return subjects.map(dict(zip(counts.index, np.array(SPLITS, dtype=object)[numbers], strict=True)))


def find_unknown_subjects(samples: pd.DataFrame) -> pd.Series:
    """Find the samples of which nothing says whom they show."""
    return samples["subject"].isna() if "subject" in samples else pd.Series(True, samples.index)


def build_subject_error(sample_ids: pd.Series, unknown: pd.Series) -> DataError:
    """Build the error of samples whose subjects are not known."""
    return DataError(
        f"dataset.split=subject: whom {int(unknown.sum())} of {len(sample_ids)} samples show is not known, such as "
        f"{sample_ids[unknown].iloc[0]}; fill in the column subject of groups.csv, or of the table of clips "
        "(dataset.sources.clips.table), or set dataset.split=stratified, with which the same people train and are "
        "judged"
    )


def name_subjects(samples: pd.DataFrame) -> pd.Series:
    """A name for each subject, NaN where it is not known; the same number in two sources is two people."""
    names = samples["source"].astype(object) + "/" + samples["subject"].map(str).astype(object)
    return names.where(samples["subject"].notna())


def _deal_subjects(counts: np.ndarray, fractions: Sequence[float], seed: int) -> np.ndarray:
    """Deal subjects with these counts of samples (subjects, strata), largest first, and no split left empty.

    Each goes where the counts come nearest to what the fractions ask for.
    """
    goal = np.outer(fractions, counts.sum(0))
    wanted = np.flatnonzero(np.array(fractions) > 0)[: len(counts)]
    order = np.random.default_rng(seed).permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(1), kind="stable")]
    dealt, numbers = np.zeros_like(goal), np.empty(len(counts), int)
    for left, subject in zip(range(len(counts), 0, -1), order, strict=True):
        empty = np.array([split for split in wanted if not dealt[split].any()], int)
        candidates = empty if len(empty) == left else wanted
        before, after = dealt[candidates] - goal[candidates], dealt[candidates] + counts[subject] - goal[candidates]
        split = candidates[np.argmin(((after**2 - before**2) / goal[candidates]).sum(1))]
        dealt[split] += counts[subject]
        numbers[subject] = split
    return numbers


SPLITTERS: dict[str, Callable[[pd.DataFrame, Sequence[float], int], pd.Series]] = {
    "official": split_official,
    "stratified": split_stratified,
    "subject": split_by_subject,
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


def find_shared_subjects(samples: pd.DataFrame, splits: pd.Series) -> pd.Series:
    """Find samples whose subject is in an earlier split, too; those of unknown subjects are none."""
    if "subject" not in samples:
        return pd.Series(False, samples.index)
    rank = splits.map({split: number for number, split in enumerate(SPLITS)})
    return rank > rank.groupby(name_subjects(samples)).transform("min")


def format_leak_message(
    samples: pd.DataFrame, splits: pd.Series, same_image: pd.Series, same_pixels: pd.Series, things: str = "images"
) -> str:
    """Format `421 validation images also stand in an earlier part (279 pixel for pixel)`, for each split with some."""
    words = {"val": "validation", "test": "test"}
    counts = [
        f"{int(same_image[splits == split].sum())} {word} {things} also stand in an earlier part "
        f"({int(same_pixels[splits == split].sum())} pixel for pixel)"
        for split, word in words.items()
        if same_image[splits == split].any()
    ]
    return "; ".join(counts)
