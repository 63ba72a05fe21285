"""Figures per video: counts, shares and reasons, also of videos that gave nothing."""

import numpy as np
import pandas as pd
import pytest

from fer.emotions import EMOTIONS
from fer.infer.summary import summarize_videos
from tests.helpers.emotion_table import excluded, happy, table_of, usable

SMALL = "face smaller than 24 pixels"


@pytest.fixture
def found() -> pd.DataFrame:
    table = table_of(
        usable("b", [0, 1, 2, 3], happy([0.2, 0.4, 0.6, 0.8])),
        usable("b", [0, 1], happy([1.0, 1.0]), track=1),
        excluded("b", [4, 5]),
        excluded("b", [5.5], "no_face", "another reason"),
        excluded("b", [0, 1, 6], "low_quality", SMALL),
        excluded("a", [0], "decode_error", "the frame is damaged"),
    )
    videos = pd.DataFrame({"video": ["a", "b", "broken"], "fps": [25.0, 30.0, np.nan], "problem": ["", "", "no video"]})
    return summarize_videos(table, videos)


def test_videos_keep_their_order_and_their_facts(found: pd.DataFrame) -> None:
    assert found["video"].tolist() == ["a", "b", "broken"]
    assert found["problem"].tolist() == ["", "", "no video"]
    assert found["fps"].tolist()[:2] == [25.0, 30.0]
    assert found.index.tolist() == [0, 1, 2]


def test_frames_and_rows_are_counted_apart(found: pd.DataFrame) -> None:
    """Video b: eight frames, four of them with a usable face, in two of them two of them."""
    counts = found[["sampled", "usable_frames", "usable_rows", "no_face", "low_quality", "decode_error"]]
    assert counts.to_numpy().tolist() == [[1, 0, 0, 0, 0, 1], [8, 4, 6, 3, 3, 0], [0, 0, 0, 0, 0, 0]]
    assert (counts.dtypes == "int64").all()
    assert found["usable_share"].tolist() == [0, 0.5, 0]


def test_exclusions_say_how_many_and_why_the_most_frequent_first(found: pd.DataFrame) -> None:
    assert found["exclusions"].tolist() == [
        "1 decode_error (the frame is damaged)",
        f"3 low_quality ({SMALL}); 2 no_face (no face was found); 1 no_face (another reason)",
        "",
    ]


def test_each_emotion_has_its_figures(found: pd.DataFrame) -> None:
    row = found.iloc[1]
    assert row["mean_happiness"] == pytest.approx(4 / 6)
    assert row["max_happiness"] == 1
    assert row["min_happiness"] == pytest.approx(0.2)
    assert row["share_happiness"] == pytest.approx(4 / 6)
    assert row["share_neutral"] == pytest.approx(2 / 6)
    assert row["mean_neutral"] == pytest.approx(2 / 6)
    assert row["mean_fear"] == row["share_fear"] == 0
    figures = [f"{figure}_{name}" for name in EMOTIONS for figure in ("mean", "max", "min", "share")]
    assert found.columns[-28:].tolist() == figures
    assert found.loc[[0, 2], figures].isna().all().all()
    assert (found[figures].dtypes == "float64").all()


def test_a_table_without_rows_or_without_usable_ones_is_taken() -> None:
    videos = pd.DataFrame({"video": ["a"]})
    for table in (excluded("a", [0]).iloc[:0], excluded("a", [0, 1])):
        found = summarize_videos(table, videos)
        assert found["sampled"].tolist() == [len(table)]
        assert found["usable_share"].tolist() == [0]
        assert found["mean_anger"].isna().all()
        assert found["exclusions"].tolist() == ["2 no_face (no face was found)" if len(table) else ""]


def test_all_usable_gives_no_exclusions() -> None:
    found = summarize_videos(usable("a", [0, 1], happy([1, 1])), pd.DataFrame({"video": ["a"]}))
    assert found["exclusions"].tolist() == [""]
    assert found["usable_share"].tolist() == [1]
