"""The columns `uncertain` and `set` of the emotion table, and the shares of a video."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from fer.bundle.metadata import BundleDescription
from fer.core.tables import write_table
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.infer.uncertainty import (
    add_sets,
    add_uncertain_shares,
    add_uncertainty,
    compute_uncertain_share,
    read_uncertainty,
    save_uncertainty,
)
from fer.metrics.uncertainty import ConfidenceRule, SetThresholds
from tests.helpers.emotion_table import P, excluded, only, table_of, usable

RULE = ConfidenceRule(0.9, 0.6, 0.91, 0.8, 300)
SETS = SetThresholds(300, {0.8: 0.5, 0.9: 0.2, 0.95: None})
FACES = np.array(
    [only(happiness=0.6), only(happiness=0.599999), only(anger=0.25, fear=0.5), only(sadness=0.4, fear=0.35), only()]
)


@pytest.fixture
def table() -> pd.DataFrame:
    """Five faces of which three are below 0.6, and rows without a face in between, without the new columns."""
    parts = table_of(usable("a", [0, 1, 2], FACES[:3]), excluded("a", [3]), usable("b", [0, 1], FACES[3:]))
    return parts.drop(columns="uncertain")


def describe(rule: ConfidenceRule | None, sets: SetThresholds | None) -> BundleDescription:
    return cast(
        BundleDescription, SimpleNamespace(confidence_rule=rule, set_thresholds=sets, folder=Path("model/bundle"))
    )


def test_a_face_below_the_confidence_is_uncertain_and_a_row_without_probabilities_is_neither(
    table: pd.DataFrame,
) -> None:
    found = add_uncertainty(table, RULE)
    assert found["uncertain"].tolist() == [False, True, True, pd.NA, True, False]
    assert found["uncertain"].dtype == "boolean"
    names = found.columns.tolist()
    assert names.index("uncertain") == names.index("confidence") + 1
    pd.testing.assert_frame_equal(found.drop(columns="uncertain"), table)


def test_without_a_rule_the_column_is_empty(table: pd.DataFrame) -> None:
    found = add_uncertainty(table, None)
    assert found["uncertain"].isna().all() and found["uncertain"].dtype == "boolean"
    assert compute_uncertain_share(found) is None
    assert add_uncertainty(table[:0], RULE)["uncertain"].tolist() == []


def test_where_no_confidence_reaches_the_precision_every_face_is_uncertain(table: pd.DataFrame) -> None:
    found = add_uncertainty(table, ConfidenceRule(0.9, None, None, 0.0, 300))
    assert found["uncertain"].tolist() == [True, True, True, pd.NA, True, True]


def test_sets_name_the_most_probable_emotion_first(table: pd.DataFrame) -> None:
    marked = add_uncertainty(table, RULE)
    expected = {
        0.8: ["happiness", "happiness", "fear", "", "sadness", "neutral"],
        0.9: [
            *("happiness|neutral", "happiness|neutral", "fear|anger|neutral"),
            *("", "sadness|fear|neutral", "neutral"),
        ],
    }
    for level, sets in expected.items():
        found = add_sets(marked, SETS, level, list(EMOTIONS))
        assert found["set"].fillna("").tolist() == sets
        names = found.columns.tolist()
        assert names.index("set") == names.index("uncertain") + 1
    everything = add_sets(marked, SETS, 0.95, list(EMOTIONS))["set"].dropna()
    assert all(sorted(text.split("|")) == sorted(EMOTIONS) for text in everything)


def test_files_hold_truth_values_and_empty_cells(table: pd.DataFrame, tmp_path: Path) -> None:
    found = add_sets(add_uncertainty(table, RULE), SETS, 0.9, list(EMOTIONS))
    write_table(found, tmp_path / "predictions")
    again = pd.read_parquet(tmp_path / "predictions.parquet")
    assert again["uncertain"].tolist() == found["uncertain"].tolist()
    text = pd.read_csv(tmp_path / "predictions.csv", dtype="str", keep_default_na=False)
    assert text["uncertain"].tolist() == ["False", "True", "True", "", "True", "False"]
    assert text["set"].tolist()[3:5] == ["", "sadness|fear|neutral"]


def test_videos_have_the_share_of_their_usable_rows(table: pd.DataFrame) -> None:
    videos = pd.DataFrame({"video": ["b", "broken", "a"], "exclusions": "", "mean_anger": 0.0})
    found = add_uncertain_shares(videos, add_uncertainty(table, RULE))
    np.testing.assert_allclose(found["uncertain_share"], [0.5, np.nan, 2 / 3])
    assert found.columns.tolist() == ["video", "exclusions", "uncertain_share", "mean_anger"]
    assert add_uncertain_shares(videos, add_uncertainty(table, None))["uncertain_share"].isna().all()
    assert compute_uncertain_share(add_uncertainty(table, RULE)) == 0.6


def test_what_the_model_says_stays_with_the_run(tmp_path: Path) -> None:
    assert read_uncertainty(tmp_path) == (None, None)
    for rule, sets in ((RULE, SETS), (None, SETS), (RULE, None), (None, None)):
        save_uncertainty(describe(rule, sets), tmp_path, None)
        assert read_uncertainty(tmp_path) == (rule, sets)


def test_sets_of_a_model_without_thresholds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        save_uncertainty(describe(RULE, None), tmp_path, 0.9)
    assert str(raised.value) == (
        "inference.sets=0.9: model/bundle was trained by a version without prediction sets; train it again, or leave "
        "the key out"
    )


def test_two_routes_that_differ_in_rounding_alone_agree(table: pd.DataFrame) -> None:
    """Probabilities reach the table with six decimals, whichever way they came."""
    other: dict[str, Any] = {name: table[name] + 1e-8 for name in (*P, "confidence")}
    one, two = (
        add_sets(add_uncertainty(rows, RULE), SETS, 0.9, list(EMOTIONS)) for rows in (table, table.assign(**other))
    )
    assert one["uncertain"].equals(two["uncertain"]) and one["set"].equals(two["set"])
