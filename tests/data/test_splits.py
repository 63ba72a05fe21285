"""Shares by class and source, groups that stay together, and leaks."""

import numpy as np
import pandas as pd
import pytest

from fer.data.splits import (
    assign_splits,
    find_leaks,
    format_leak_message,
    split_by_subject,
    split_for_evaluation,
    split_official,
    split_stratified,
)
from fer.errors import DataError

FRACTIONS = (0.8, 0.1, 0.1)


def drawn(seed: int, count: int = 700) -> pd.DataFrame:
    """Samples of two sources with unequal classes and groups of one to nine images, some over classes and sources."""
    rng = np.random.default_rng(seed)
    classes = np.array(["anger", "disgust", "fear", "happiness"])
    groups = np.repeat(np.arange(count), np.minimum(rng.geometric(0.5, count), 9))[:count]
    return pd.DataFrame(
        {
            "source": rng.choice(["one", "two"], count, p=[0.7, 0.3]),
            "stratum": rng.choice(classes, count, p=[0.5, 0.05, 0.15, 0.3]),
            "duplicate_group": rng.permutation(groups) if seed % 2 else groups,
            "part": rng.choice(["train", "test"], count, p=[0.8, 0.2]),
        },
        index=rng.permutation(10 * count)[:count],  # rows were dropped before: the index has gaps
    )


@pytest.mark.parametrize("seed", range(25))
def test_a_group_is_never_in_two_parts(seed: int) -> None:
    samples = drawn(seed)
    for parts in (split_stratified(samples, FRACTIONS, seed), split_stratified(samples, (0.6, 0.4, 0.0), seed)):
        assert parts.index.equals(samples.index)
        assert (parts.groupby(samples["duplicate_group"]).nunique() == 1).all()
    # Official: the training part is divided, and there a group stays together too.
    parts = split_official(samples, FRACTIONS, seed)
    divided = samples["part"] == "train"
    assert (parts[divided].groupby(samples["duplicate_group"][divided]).nunique() == 1).all()
    assert set(parts[divided]) == {"train", "val"} and (parts[~divided] == "test").all()


@pytest.mark.parametrize("seed", range(10))
def test_every_class_of_every_source_is_divided_alike(seed: int) -> None:
    samples = drawn(seed).assign(duplicate_group=lambda table: np.arange(len(table)))
    parts = split_stratified(samples, FRACTIONS, seed)
    counts = pd.crosstab([samples["source"], samples["stratum"]], parts)[["train", "val", "test"]]
    goal = np.outer(counts.sum(axis=1), FRACTIONS)
    assert len(counts) == 8 and counts.sum(axis=1).min() >= 5
    assert np.abs(counts.to_numpy() - goal).max() <= 1


@pytest.mark.parametrize("seed", range(10))
def test_with_groups_a_share_is_off_by_at_most_the_largest_group(seed: int) -> None:
    samples = drawn(seed)
    first = samples.groupby("duplicate_group", sort=False).transform("first")  # a group counts where its first is
    strata = (first["source"] + "/" + first["stratum"]).tolist()
    numbers = assign_splits(strata, samples["duplicate_group"].to_numpy(), FRACTIONS, seed)
    counts = pd.crosstab(pd.Series(strata), pd.Series(numbers)).reindex(columns=[0, 1, 2], fill_value=0)
    largest = int(samples["duplicate_group"].value_counts().max())
    assert 5 <= largest <= 9
    assert np.abs(counts.to_numpy() - np.outer(counts.sum(axis=1), FRACTIONS)).max() <= largest


@pytest.mark.parametrize("seed", range(10))
def test_large_groups_do_not_spoil_the_shares(seed: int) -> None:
    groups = np.array([0] * 10 + [1] * 7 + [*range(2, 85)])
    numbers = assign_splits(["fear"] * 100, groups, FRACTIONS, seed)
    assert np.bincount(numbers).tolist() == [80, 10, 10]


def test_the_split_is_a_function_of_the_seed() -> None:
    samples = drawn(0)
    for split in (split_stratified, split_official):
        assert split(samples, FRACTIONS, 3).equals(split(samples, FRACTIONS, 3))
        assert (split(samples, FRACTIONS, 3) != split(samples, FRACTIONS, 4)).mean() > 0.05


def test_a_share_of_nothing_stays_empty() -> None:
    parts = split_stratified(drawn(2), (0.9, 0.1, 0.0), 0)
    assert set(parts) == {"train", "val"}


def test_official_parts_stay_and_a_missing_validation_part_comes_out_of_training() -> None:
    rng = np.random.default_rng(0)
    whole = pd.DataFrame({"source": "whole", "part": ["train"] * 50 + ["val"] * 20 + ["test"] * 30, "stratum": "fear"})
    lacking = pd.DataFrame(
        {
            "source": "lacking",
            "part": ["train"] * 360 + ["test"] * 40,
            "stratum": rng.permutation(["anger"] * 300 + ["disgust"] * 100),
        }
    )
    samples = pd.concat([whole, lacking], ignore_index=True)
    samples["duplicate_group"] = np.arange(len(samples))
    parts = split_official(samples, (0.6, 0.2, 0.2), 0)
    assert parts[samples["source"] == "whole"].equals(whole["part"])
    divided = (samples["source"] == "lacking") & (samples["part"] == "train")
    assert (parts[(samples["source"] == "lacking") & ~divided] == "test").all()
    # A quarter: 0.2 of the 0.8 that training and validation have together.
    shares = (parts[divided] == "val").groupby(samples["stratum"][divided]).mean()
    assert shares.index.tolist() == ["anger", "disgust"] and np.allclose(shares, 0.25, atol=0.01)


def test_a_missing_test_part_stays_empty() -> None:
    samples = drawn(1)
    samples["part"] = "train"
    parts = split_official(samples, FRACTIONS, 0)
    assert set(parts) == {"train", "val"}
    assert (parts == "val").mean() == pytest.approx(1 / 9, abs=0.02)


def test_a_picture_that_trains_in_a_complete_source_is_not_carved_out_of_another() -> None:
    complete = pd.DataFrame({"source": "complete", "part": ["train"] * 100 + ["val"] * 10})
    lacking = pd.DataFrame({"source": "lacking", "part": ["train"] * 200})
    samples = pd.concat([complete, lacking], ignore_index=True).assign(stratum="fear")
    # The first hundred images of each source are the same pictures.
    samples["duplicate_group"] = [*range(110), *range(100), *range(200, 300)]
    parts = split_official(samples, FRACTIONS, 0)
    assert set(parts[110:210]) == {"train"}
    assert (parts[210:] == "val").sum() == 11  # 0.1 of 0.9
    assert not find_leaks(samples.assign(content_hash=samples["duplicate_group"]), parts)[0].any()


@pytest.mark.parametrize("part", ["", "val"])
def test_a_source_without_a_training_part_has_no_official_split(part: str) -> None:
    samples = drawn(0, 40)
    samples.loc[samples["source"] == "two", "part"] = part
    samples.loc[samples["source"] == "one", "part"] = "train"
    with pytest.raises(DataError) as caught:
        split_official(samples, FRACTIONS, 0)
    assert str(caught.value) == (
        "source 'two' has no official training part; set dataset.split=stratified to divide its images"
    )


def test_leaks_are_found_in_later_parts_only() -> None:
    rows = [
        ("train", 0, "a"),
        ("val", 0, "a"),  # the pixels of a training image
        ("val", 1, "b"),
        ("test", 1, "b2"),  # looks like a validation image
        ("test", 0, "a3"),  # looks like a training image
        ("test", 2, "c"),
        ("test", 2, "c"),  # twice in the same part is no leak
        ("train", 3, "d"),
        ("train", 3, "d"),
    ]
    samples = pd.DataFrame(rows, columns=["split", "duplicate_group", "content_hash"], index=range(100, 109))
    picture, pixels = find_leaks(samples, samples["split"])
    assert picture[picture].index.tolist() == [101, 103, 104]
    assert pixels[pixels].index.tolist() == [101]
    assert format_leak_message(samples, samples["split"], picture, pixels) == (
        "1 validation images also stand in an earlier part (1 pixel for pixel); "
        "2 test images also stand in an earlier part (0 pixel for pixel)"
    )
    samples.loc[[103, 104], "split"] = "train"
    picture, pixels = find_leaks(samples, samples["split"])
    message = format_leak_message(samples, samples["split"], picture, pixels)
    assert message == "2 validation images also stand in an earlier part (1 pixel for pixel)"


def test_an_evaluation_needs_no_training_part_and_takes_images_without_parts_for_test_images() -> None:
    samples = drawn(0, 60)
    samples.loc[samples["source"] == "one", "part"] = np.resize(["", "val"], (samples["source"] == "one").sum())
    parts = split_for_evaluation(samples, FRACTIONS, 0)
    one = samples["source"] == "one"
    assert parts[one].tolist() == samples.loc[one, "part"].replace("", "test").tolist()
    pd.testing.assert_series_equal(parts[~one], split_official(samples[~one], FRACTIONS, 0), check_names=False)


@pytest.mark.parametrize("seed", range(5))
def test_people_are_dealt_whole_by_the_fractions_of_every_class(seed: int) -> None:
    rng = np.random.default_rng(seed)
    subjects = rng.integers(0, 60, 3000)
    samples = pd.DataFrame(
        {
            "sample_id": [f"a/{number}" for number in range(3000)],
            "source": "a",
            "subject": [f"s{subject}" for subject in subjects],
            "stratum": rng.choice(["fear", "anger", "neutral"], 3000, p=(0.6, 0.3, 0.1)),
        }
    )
    parts = split_by_subject(samples, (0.7, 0.15, 0.15), seed)
    assert (parts.groupby(samples["subject"]).nunique() == 1).all()
    shares = pd.crosstab(samples["stratum"], parts, normalize="index")[["train", "val", "test"]]
    assert np.abs(shares.to_numpy() - (0.7, 0.15, 0.15)).max() < 0.04
    assert parts.equals(split_by_subject(samples, (0.7, 0.15, 0.15), seed))


def test_the_same_name_in_two_sources_is_two_people_and_no_part_is_left_empty() -> None:
    rows = [("a/1", "a", "01", "fear"), ("b/1", "b", "01", "fear"), ("b/2", "b", "02", "fear")]
    samples = pd.DataFrame(rows, columns=["sample_id", "source", "subject", "stratum"])
    for seed in range(4):
        assert sorted(split_by_subject(samples, (0.8, 0.1, 0.1), seed)) == ["test", "train", "val"]
    assert set(split_by_subject(samples, (0.5, 0.5, 0), 0)) == {"train", "val"}
