"""Labels that are probably wrong: flipped ones are found, right ones are left."""

import numpy as np
import pandas as pd
import pytest

from fer.audit.label_issues import (
    COLUMNS,
    CONFLICTING,
    CONTRADICTED,
    average_predictions,
    find_conflicting_duplicates,
    find_contradicted_labels,
    join_issues,
)
from fer.emotions import EMOTIONS
from fer.errors import DataError


def predictions(labels: list[str], probabilities: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame({"sample_id": [f"own/{number:03d}.png" for number in range(len(labels))], "label": labels})
    for column, name in enumerate(EMOTIONS):
        table[f"p_{name}"] = probabilities[:, column].astype(np.float32)
    return table


def test_flipped_labels_are_found() -> None:
    random = np.random.default_rng(0)
    true = random.integers(0, 4, 400)
    # A model that is right in nine of ten images; three classes have no images at all.
    answers = np.where(random.random(400) < 0.9, true, random.integers(0, 4, 400))
    probabilities = np.full((400, 7), 0.02)
    probabilities[np.arange(400), answers] = 0.88
    given = true.copy()
    flipped = np.arange(0, 400, 10)
    given[flipped] = (given[flipped] + 1) % 4
    issues = find_contradicted_labels(predictions([EMOTIONS[label] for label in given], probabilities))
    found = issues["sample_id"].str.extract(r"(\d+)", expand=False).astype(int).to_numpy()
    hits = np.isin(found, flipped)
    assert hits.sum() / len(flipped) >= 0.8 and hits.mean() >= 0.5
    assert (issues["given_label"] != issues["suggested_label"]).all() and (issues["reason"] == CONTRADICTED).all()
    for row, position in zip(issues.itertuples(), found, strict=True):
        assert row.suggested_label == EMOTIONS[answers[position]]
        assert row.score == pytest.approx(probabilities[position, given[position]], abs=1e-6)
    assert issues["score"].is_monotonic_increasing


def test_labels_that_the_model_shares_are_no_issues() -> None:
    labels = [EMOTIONS[number % 7] for number in range(70)]
    assert find_contradicted_labels(predictions(labels, np.eye(7)[np.arange(70) % 7] * 0.93 + 0.01)).empty


@pytest.mark.parametrize("count", [0, 1, 5])
def test_images_of_one_class_alone_have_no_issues(count: int) -> None:
    answers = np.eye(7)[np.full(count, 2)] * 0.93 + 0.01
    assert find_contradicted_labels(predictions([EMOTIONS[0]] * count, answers)).empty


def manifest(rows: list[tuple[int, str, list[float]]]) -> pd.DataFrame:
    """A row an image: its group, its label, and its votes for anger, disgust and fear, or NaN."""
    table = pd.DataFrame({"duplicate_group": [row[0] for row in rows], "label": [row[1] for row in rows]})
    table["path"] = [f"{number}.png" for number in range(len(rows))]
    table["source"], table["sample_id"] = "own", "own/" + table["path"]
    for column, name in enumerate(("anger", "disgust", "fear")):
        table[f"votes_{name}"] = [row[2][column] for row in rows]
        table[f"target_{name}"] = 0.0
    return table


NONE = [np.nan] * 3


def test_duplicates_with_different_labels() -> None:
    samples = manifest(
        [
            (0, "anger", [8, 1, 1]),
            (0, "fear", [1, 0, 6]),
            (0, "anger", [9, 0, 0]),
            (1, "fear", NONE),
            (1, "anger", NONE),
            (2, "fear", NONE),
            (2, "fear", NONE),
            (3, "disgust", [0, 7, 3]),
            (3, "fear", NONE),
        ]
    )
    issues = find_conflicting_duplicates(samples)
    assert (issues["reason"] == CONFLICTING).all()
    rows = issues.set_index("sample_id")[["given_label", "suggested_label", "score"]]
    # Group 0 has 18 votes for anger, 1 for disgust, 7 for fear; group 1 is a tie; group 3 has 7 to 4.
    assert rows.loc["own/1.png"].tolist() == ["fear", "anger", pytest.approx(7 / 26)]
    assert rows.loc["own/3.png"].tolist() == ["fear", "", 0.5] and rows.loc["own/4.png"].tolist() == ["anger", "", 0.5]
    assert rows.loc["own/8.png"].tolist() == ["fear", "disgust", pytest.approx(4 / 11)]
    assert len(rows) == 4 and issues["score"].is_monotonic_increasing
    assert find_conflicting_duplicates(samples.iloc[5:7]).empty


def test_an_image_on_both_lists_has_one_row() -> None:
    samples = manifest([(0, "anger", NONE), (0, "fear", NONE), (1, "fear", NONE)])
    contradicted = pd.DataFrame(
        [("own/1.png", "fear", "anger", 0.1, CONTRADICTED), ("own/2.png", "fear", "disgust", 0.05, CONTRADICTED)],
        columns=["sample_id", "given_label", "suggested_label", "score", "reason"],
    )
    issues = join_issues(contradicted, find_conflicting_duplicates(samples), samples)
    assert issues.columns.tolist() == COLUMNS
    assert issues["sample_id"].tolist() == ["own/2.png", "own/1.png", "own/0.png"]
    assert issues["reason"].tolist() == [CONTRADICTED, f"{CONTRADICTED}; {CONFLICTING}", CONFLICTING]
    assert issues["suggested_label"].tolist() == ["disgust", "anger", ""]
    assert issues["path"].tolist() == ["2.png", "1.png", "0.png"] and set(issues["source"]) == {"own"}


def test_predictions_of_several_runs_are_averaged() -> None:
    one = predictions(["anger", "fear"], np.eye(7)[[0, 1]])
    two = predictions(["anger", "fear", "fear"], np.eye(7)[[0, 2, 2]])
    joined = average_predictions([one, two])
    assert joined["sample_id"].tolist() == ["own/000.png", "own/001.png", "own/002.png"]
    assert joined[["p_anger", "p_disgust", "p_fear"]].to_numpy().tolist() == [[1, 0, 0], [0, 0.5, 0.5], [0, 0, 1]]
    with pytest.raises(DataError, match="different classes"):
        average_predictions([one, two.drop(columns="p_fear")])
    with pytest.raises(DataError, match=r"own/001\.png different labels"):
        average_predictions([one, two.assign(label=["anger", "anger", "fear"])])
