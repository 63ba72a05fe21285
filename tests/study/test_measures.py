"""Measures of a frame: values by hand, their ranges, eight classes, tables without poses."""

import re

import numpy as np
import pandas as pd
import pytest

from fer.config.study import MEASURES as KNOWN_MEASURES
from fer.emotions import CONTEMPT, EMOTIONS
from fer.study.measures import COORDINATES, MEASURES, compute_measures, list_measures
from tests.helpers.paths import PROJECT
from tests.helpers.study_table import empty, in_order, watched

SEVEN = [name for name in MEASURES if name != CONTEMPT]


def row(classes: tuple[str, ...] = EMOTIONS, **values: float | str) -> pd.DataFrame:
    """A usable face towards the camera, of these emotions."""
    table = watched("a.mp4", [0.0], [0.0])
    for name in classes:
        table[f"s_{name}"] = values.pop(name, 0.0)
    return table.assign(**values)


def test_a_mixed_face_by_hand() -> None:
    found = compute_measures(row(happiness=0.5, anger=0.2, neutral=0.2, sadness=0.1, yaw=-3.0, pitch=4.0, roll=5.0))
    expected = {
        "valence": 0.5 * 0.81 - 0.2 * 0.51 - 0.1 * 0.63,
        "arousal": 0.5 * 0.51 + 0.2 * 0.59 - 0.1 * 0.27,
        "expressiveness": 0.8,
        "positive": 0.5,
        "negative": 0.3,
        "engagement": 0.8,
        "attention": 1.0,
        "yaw": -3.0,
        "pitch": 4.0,
        "roll": 5.0,
        "people": 1.0,
    }
    assert found.columns.tolist() == SEVEN
    assert found.loc[0, list(expected)].to_dict() == pytest.approx(expected)
    assert found.dtypes.unique().tolist() == [np.dtype("float64")]


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_a_face_of_one_emotion_has_its_coordinates(emotion: str) -> None:
    found = compute_measures(row(**{emotion: 1.0})).loc[0]
    assert (found["valence"], found["arousal"]) == COORDINATES[emotion]
    assert found["negative"] == (emotion in ("anger", "disgust", "fear", "sadness"))
    assert found["expressiveness"] == (emotion != "neutral")


def test_contempt_counts_where_the_model_knows_it() -> None:
    found = compute_measures(row((*EMOTIONS, CONTEMPT), contempt=0.4, neutral=0.5, disgust=0.1))
    assert found.columns.tolist() == list(MEASURES)
    assert found.loc[0, "contempt"] == 0.4 and found.loc[0, "negative"] == pytest.approx(0.5)
    assert found.loc[0, "valence"] == pytest.approx(-0.4 * 0.445 - 0.1 * 0.6)
    assert found.loc[0, "arousal"] == pytest.approx(-0.4 * 0.0975 + 0.1 * 0.35)


def test_all_measures_stay_in_their_ranges_and_reach_those_of_the_emotions() -> None:
    probabilities = np.vstack((np.eye(8), np.random.default_rng(0).dirichlet(np.full(8, 0.3), 500)))
    table = pd.concat([row()] * len(probabilities), ignore_index=True)
    table[[f"s_{name}" for name in (*EMOTIONS, CONTEMPT)]] = probabilities
    found = compute_measures(table)
    low = [MEASURES[name].low for name in found]
    high = [MEASURES[name].high for name in found]
    assert (found.min() >= low).all() and (found.max() <= high).all()
    for name in ("valence", "arousal", "expressiveness", "positive", "negative"):
        assert (found[name].min(), found[name].max()) == pytest.approx((MEASURES[name].low, MEASURES[name].high))


@pytest.mark.parametrize(
    ("yaw", "pitch", "attention"),
    [(0, 0, 1), (25, -25, 1), (25.1, 0, 0), (-25.1, 0, 0), (0, 25.1, 0), (0, -40, 0), (60, 60, 0)],
)
def test_attention_is_a_head_towards_the_camera(yaw: float, pitch: float, attention: float) -> None:
    found = compute_measures(row(happiness=0.6, neutral=0.4, yaw=yaw, pitch=pitch)).loc[0]
    assert found["attention"] == attention
    assert found["engagement"] == pytest.approx(0.6 * attention)


def test_a_frame_without_a_usable_face_has_attention_and_people_alone() -> None:
    """Nobody, a face turned too far to be classified, and a frame that could not be read."""
    turned = watched("a.mp4", [1.0], [0.3]).assign(status="low_quality", yaw=70.0)
    turned[[f"s_{name}" for name in EMOTIONS]] = np.nan
    parts = (empty("a.mp4", [0.0]), turned, empty("a.mp4", [2.0], "decode_error"))
    found = compute_measures(in_order(*parts, watched("a.mp4", [3.0], [0.5])))
    np.testing.assert_array_equal(found["attention"], [0, 0, np.nan, 1])
    np.testing.assert_array_equal(found["people"], [0, 1, np.nan, 1])
    np.testing.assert_array_equal(found["yaw"], [np.nan, 70, np.nan, 0])
    assert (
        found.loc[:2, [*EMOTIONS, "valence", "arousal", "expressiveness", "negative", "engagement"]]
        .isna()
        .all(axis=None)
    )


def test_a_face_that_the_model_could_not_read_still_looks_somewhere() -> None:
    """Batch transform may refuse a crop; the frame itself was read."""
    table = watched("a.mp4", [0.0], [0.3]).assign(status="decode_error")
    assert compute_measures(table).loc[0, "attention"] == 1.0


@pytest.mark.parametrize("columns", [["yaw", "pitch", "roll", "faces"], []])
def test_without_any_pose_attention_is_unknown_in_every_frame(columns: list[str]) -> None:
    """Haar gives no points, and earlier versions kept none: frames without a face alone would say 0."""
    table = in_order(watched("a.mp4", [0.0], [0.3]), empty("a.mp4", [1.0]))
    table = table.drop(columns=columns) if columns else table.assign(yaw=np.nan, pitch=np.nan)
    found = compute_measures(table)
    assert found[["attention", "engagement", "yaw", "pitch"]].isna().all(axis=None)
    assert found["happiness"].tolist()[0] == 0.3
    assert found["people"].isna().all() if columns else found["people"].tolist() == [1, 0]


def test_a_table_without_rows_has_the_columns() -> None:
    found = compute_measures(row().iloc[:0])
    assert found.columns.tolist() == SEVEN and found.empty
    assert list_measures(found.columns) == SEVEN


def test_every_measure_is_described_with_its_formula_source_and_caveat() -> None:
    page = (PROJECT / "docs/reference/measures.md").read_text(encoding="utf-8")
    rows = {line.split("|")[1].strip(): line for line in page.splitlines() if line.startswith("| `")}
    for name, measure in MEASURES.items():
        assert f"`{name}`" in page and measure.formula and measure.source and measure.caveat
    for name, (valence, arousal) in COORDINATES.items():
        numbers = re.findall(r"-?\d+\.?\d*", rows[f"`{name}`"].replace("−", "-"))
        assert [float(number) for number in numbers[:2]] == [valence, arousal]


def test_a_study_s_file_may_name_every_measure() -> None:
    """The configuration knows their names without what computes them."""
    assert set(KNOWN_MEASURES) == set(MEASURES)
