"""Scenes and events as columns, with statistics by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from fer.config.study import Study, Window
from fer.study.segments import STATISTICS, build_segments, compute_segment_values


def study_of(**stimulus: Any) -> Study:
    recordings = [{"file": "a.mp4", "respondent": "anna", "stimulus": "ad"}]
    return Study.model_validate({"stimuli": {"ad": stimulus}, "recordings": recordings})


def rows_of(segments: pd.DataFrame) -> list[tuple[str, str, float, float]]:
    assert set(segments["stimulus"]) == {"ad"}
    return list(segments.drop(columns="stimulus").itertuples(index=False, name=None))


def test_segments_are_the_whole_its_scenes_and_its_events() -> None:
    study = study_of(
        scenes=[{"name": "opening", "start_s": 0, "end_s": 4}],
        events=[{"name": "logo", "time_s": 5}, {"name": "slogan", "time_s": 6, "end_s": 6.5}],
    )
    assert rows_of(build_segments(study, {"ad": 10.0}, {})) == [
        ("whole", "whole", 0.0, 10.0),
        ("scene", "opening", 0.0, 4.0),
        ("event", "logo", 5.0, 7.0),
        ("event", "slogan", 6.0, 6.5),
    ]


def test_cuts_divide_the_stimulus_into_scenes() -> None:
    """Cuts in any order, one at the beginning and one at the end, which divide nothing."""
    found = build_segments(study_of(), {"ad": 10.0}, {"ad": [7.0, 0.0, 2.5, 10.0]})
    assert rows_of(found)[1:] == [
        ("scene", "cut 1", 0.0, 2.5),
        ("scene", "cut 2", 2.5, 7.0),
        ("scene", "cut 3", 7.0, 10.0),
    ]


def test_nothing_reaches_beyond_the_stimulus_and_an_unknown_end_is_empty() -> None:
    study = study_of(events=[{"name": "logo", "time_s": 9}], scenes=[{"name": "last", "start_s": 8, "end_s": 12}])
    assert [row[3] for row in rows_of(build_segments(study, {"ad": 10.0}, {}))] == [10.0, 10.0, 10.0]
    found = build_segments(study, {"ad": None}, {"ad": [3.0]})
    np.testing.assert_array_equal(found["end_s"], [np.nan, 12, 3, np.nan, 11])


def test_names_that_repeat_are_numbered() -> None:
    events = [{"name": name, "time_s": time} for time, name in enumerate(["logo", "logo 2", "logo", "price", "logo"])]
    found = build_segments(study_of(events=events), {}, {})
    assert found["segment"].tolist()[1:] == ["logo", "logo 2", "logo 3", "price", "logo 4"]


def frames_of(
    times: list[float], happiness: list[float], attention: float = 1.0, respondent: str = "anna", file: str = "a.mp4"
) -> pd.DataFrame:
    keys = {"recording": file, "respondent": respondent, "stimulus": "ad", "condition": ""}
    return pd.DataFrame({**keys, "time_s": times, "happiness": happiness, "attention": attention})


def segment(start: float, end: float, kind: str = "scene", name: str = "s") -> pd.DataFrame:
    rows = [("ad", kind, name, start, end)]
    return pd.DataFrame(rows, columns=["stimulus", "kind", "segment", "start_s", "end_s"])


def values_of(frames: pd.DataFrame, segments: pd.DataFrame, **more: Any) -> pd.Series:
    """The statistics of happiness of the only respondent and segment."""
    found = compute_segment_values(frames, segments, ["happiness"], **more)
    assert len(found) == 1
    return found.loc[0, list(STATISTICS)].astype(float)


TIMES = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
HAPPINESS = [0.1, 0.2, 0.6, 0.4, 0.6, 0.1]


def test_statistics_of_a_scene_by_hand() -> None:
    """The frames at 2, 3 and 4; the lines reach to the scene's end at 5; the second before it holds the frame at 1."""
    found = values_of(frames_of(TIMES, HAPPINESS), segment(2, 5))
    expected = {"mean": 1.6 / 3, "peak": 0.6, "time_to_peak_s": 0.0, "area": 0.5 + 0.5 + 0.35, "usable_share": 1.0}
    assert found[list(expected)].to_dict() == pytest.approx(expected)
    assert found["change"] == pytest.approx(1.6 / 3 - 0.2)


def test_the_area_of_a_scene_between_frames_is_that_of_the_lines() -> None:
    """From 1.5 (0.4) to 3.5 (0.5) by way of 0.6 at 2 and 0.4 at 3."""
    found = values_of(frames_of(TIMES, HAPPINESS), segment(1.5, 3.5))
    assert found["area"] == pytest.approx(0.5 * 0.5 * (0.4 + 0.6) + 0.5 * (0.6 + 0.4) + 0.5 * 0.5 * (0.4 + 0.5))
    assert found["mean"] == pytest.approx(0.5)
    assert found["time_to_peak_s"] == pytest.approx(0.5)


@pytest.mark.parametrize(("gap", "area"), [(3.0, 0.15 + 3 * 0.4 + 0.35), (2.5, 0.15 + 0.35), (0.5, np.nan)])
def test_areas_do_not_bridge_long_gaps(gap: float, area: float) -> None:
    """No usable face at 2 and 3: from 0.2 at 1 to 0.6 at 4 is a gap of three seconds."""
    frames = frames_of(TIMES, [0.1, 0.2, np.nan, np.nan, 0.6, 0.1])
    found = values_of(frames, segment(0, np.nan), max_gap_s=gap)
    np.testing.assert_allclose(found["area"], area)
    assert found["usable_share"] == pytest.approx(4 / 6)
    assert found["mean"] == pytest.approx(0.25)
    assert found["time_to_peak_s"] == 4.0


def test_the_change_is_from_the_baseline_where_the_study_has_one() -> None:
    frames = frames_of([-2.0, -1.0, *TIMES], [0.0, 0.2, *HAPPINESS])
    baseline = Window(start_s=-2.0, end_s=0.0)
    assert values_of(frames, segment(4, 6), baseline=baseline)["change"] == pytest.approx(0.35 - 0.1)
    assert values_of(frames, segment(4, 6))["change"] == pytest.approx(0.35 - 0.4)
    # Frames of a baseline are no part of the whole.
    assert values_of(frames, segment(0, 6), baseline=baseline)["mean"] == pytest.approx(2.0 / 6)


def test_without_a_baseline_nothing_stands_before_the_onset() -> None:
    found = values_of(frames_of(TIMES, HAPPINESS), segment(0, 6, "whole", "whole"))
    assert np.isnan(found["change"]) and found["mean"] == pytest.approx(2.0 / 6)


def test_negative_values_have_areas_and_peaks_too() -> None:
    found = values_of(frames_of([0.0, 1.0, 2.0], [-0.4, -0.2, -0.6]), segment(0, 3))
    assert found["peak"] == -0.2 and found["time_to_peak_s"] == 1.0 and found["area"] == pytest.approx(-0.7)


def test_respondents_and_measures_each_have_their_own_row() -> None:
    """Ben's recording ends before the second scene; of two seconds Cora shows a face in none, and looks away."""
    frames = pd.concat(
        [
            frames_of([0.0, 1.0, 2.0, 3.0], [0.2, 0.4, 0.6, 0.8]),
            frames_of([0.0, 1.0], [0.5, 0.5], respondent="ben", file="b.mp4"),
            frames_of([0.0, 1.0], [np.nan] * 2, attention=0.0, respondent="cora", file="c.mp4"),
        ]
    )
    segments = pd.concat([segment(0, 2, name="one"), segment(2, 4, name="two")])
    found = compute_segment_values(frames, segments, ["happiness", "attention"])
    assert found.columns.tolist() == ["respondent", "stimulus", "condition", "kind", "segment", "measure", *STATISTICS]
    table = found.set_index(["respondent", "segment", "measure"]).sort_index()
    assert len(table) == 12 and table.index.is_unique
    assert table.loc[("anna", "two", "happiness"), "mean"] == pytest.approx(0.7)
    assert table.loc[("anna", "two", "happiness"), "change"] == pytest.approx(0.7 - 0.4)
    assert table.loc[("ben", "one", "happiness"), "mean"] == 0.5
    assert table.loc[("ben", "two"), ["mean", "peak", "time_to_peak_s", "area"]].isna().all(axis=None)
    assert (table.loc[("ben", "two"), "usable_share"] == 0).all()
    assert np.isnan(table.loc[("cora", "one", "happiness"), "mean"])
    assert table.loc[("cora", "one", "happiness"), "usable_share"] == 0
    assert table.loc[("cora", "one", "attention"), ["mean", "usable_share"]].tolist() == [0, 1]


def test_two_recordings_of_the_same_count_as_their_mean() -> None:
    frames = pd.concat([frames_of([0.0, 1.0], [0.2, 0.2]), frames_of([0.0, 1.0, 1.5], [0.8] * 3, file="again.mp4")])
    found = values_of(frames, segment(0, 2))
    assert found["mean"] == pytest.approx(0.5) and found["area"] == pytest.approx((0.2 + 1.2) / 2)


def test_the_order_of_the_frames_does_not_matter() -> None:
    frames = pd.concat([frames_of(TIMES, HAPPINESS), frames_of(TIMES, HAPPINESS[::-1], respondent="ben", file="b.mp4")])
    mixed = frames.sample(frac=1, random_state=0)
    first, second = (compute_segment_values(table, segment(1, 4), ["happiness"]) for table in (frames, mixed))
    pd.testing.assert_frame_equal(first, second)


def test_a_stimulus_that_nobody_saw_has_no_values() -> None:
    found = compute_segment_values(frames_of([], []), segment(0, 2), ["happiness"])
    assert found.empty and found.columns.tolist()[-6:] == list(STATISTICS)
