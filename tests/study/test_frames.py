"""From the emotion table to a study's frames and steps: who, when, and changes from the baseline, by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from fer.config.study import Study
from fer.emotions import EMOTIONS
from fer.study.frames import FRAME_COLUMNS, build_frames, build_steps, list_recordings
from fer.study.measures import compute_measures, list_measures
from fer.study.respondents import select_respondent_rows
from tests.helpers.study_table import empty, in_order, watched

FRACTIONS = np.arange(10) / 10


def study_of(*recordings: dict[str, Any], **more: Any) -> Study:
    """A study of recordings of `anna`, who agreed, and the stimulus `ad`."""
    complete = [{"file": "a.mp4", "respondent": "anna", "stimulus": "ad", **item} for item in recordings]
    people = {item["respondent"]: {"consent": True} for item in complete}
    stimuli = {item["stimulus"]: {} for item in complete}
    return Study.model_validate({"stimuli": stimuli, "respondents": people, "recordings": complete, **more})


def frames_of(study: Study, table: pd.DataFrame, durations: dict[str, float | None] | None = None) -> pd.DataFrame:
    names = {item.file: item.file for item in study.recordings}
    return build_frames(study, table, list_recordings(study, names, durations or {}).assign(included=True))


@pytest.mark.parametrize(
    ("recording", "duration", "offset"),
    [
        ({"onset_s": 2.0}, 30.0, 32.0),
        ({"onset_s": 2.0, "offset_s": 20.0}, 30.0, 20.0),
        ({"onset_s": 2.0, "offset_s": 50.0}, 30.0, 32.0),
        ({"onset_s": 2.0, "offset_s": 50.0}, None, 50.0),
        ({"onset_s": 2.0}, None, np.nan),
    ],
)
def test_a_recording_ends_with_its_offset_or_the_stimulus(
    recording: dict[str, float], duration: float | None, offset: float
) -> None:
    study = study_of(recording)
    found = list_recordings(study, {"a.mp4": "folder/a.mp4"}, {"ad": duration})
    assert found.loc[0, ["recording", "file", "condition"]].tolist() == ["folder/a.mp4", "a.mp4", ""]
    np.testing.assert_equal(found.loc[0, "offset_s"], offset)
    assert list_recordings(study, {}, {}).loc[0, "recording"] == "a.mp4"


def test_frames_run_from_the_onset_until_before_the_offset() -> None:
    study = study_of({"onset_s": 0.3, "offset_s": 0.7})
    found = frames_of(study, in_order(watched("a.mp4", FRACTIONS, FRACTIONS)))
    assert found.columns.tolist() == [*FRAME_COLUMNS, *list_measures(EMOTIONS)]
    assert found["recording_s"].tolist() == pytest.approx([0.3, 0.4, 0.5, 0.6])
    assert found["time_s"].tolist() == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert found["happiness"].tolist() == pytest.approx([0.3, 0.4, 0.5, 0.6])
    assert found.iloc[0][["recording", "respondent", "stimulus", "condition"]].tolist() == ["a.mp4", "anna", "ad", ""]


def test_one_file_may_hold_several_stimuli_and_several_files_one_respondent() -> None:
    study = study_of(
        {"onset_s": 0.0, "offset_s": 0.2},
        {"onset_s": 0.5, "offset_s": 0.7, "stimulus": "page"},
        {"file": "b.mp4", "condition": "sound", "offset_s": 0.1},
    )
    found = frames_of(study, in_order(watched("b.mp4", [0.0], [0.9]), watched("a.mp4", FRACTIONS, FRACTIONS)))
    assert found["stimulus"].tolist() == ["ad", "ad", "page", "page", "ad"]
    assert found["condition"].tolist() == ["", "", "", "", "sound"]
    assert found["happiness"].tolist() == pytest.approx([0.0, 0.1, 0.5, 0.6, 0.9])
    assert found["time_s"].tolist() == pytest.approx([0.0, 0.1, 0.0, 0.1, 0.0])


def test_recordings_that_are_not_included_have_no_frames() -> None:
    study = study_of({}, {"file": "b.mp4", "respondent": "ben"})
    table = in_order(watched("a.mp4", [0.0], [0.1]), watched("b.mp4", [0.0], [0.2]))
    recordings = list_recordings(study, {}, {}).assign(included=[False, True])
    assert build_frames(study, table, recordings)["respondent"].tolist() == ["ben"]
    assert build_frames(study, table, recordings.assign(included=False)).columns.tolist()[-1] == "people"


def test_each_measure_is_less_its_own_mean_over_the_baseline() -> None:
    """Onset at 0.4: the baseline holds 0.2 and 0.3, of which one has no face."""
    baseline = {"start_s": -0.2, "end_s": 0.0}
    table = in_order(
        watched("a.mp4", [0.0, 0.1, 0.2], [0.9, 0.9, 0.2]).assign(yaw=10.0, roll=2.0),
        empty("a.mp4", [0.3]),
        watched("a.mp4", [0.4, 0.5], [0.2, 0.7]).assign(yaw=[4.0, 40.0], roll=2.0),
    )
    found = frames_of(study_of({"onset_s": 0.4}, baseline=baseline), table)
    assert found["time_s"].tolist() == pytest.approx([-0.2, -0.1, 0.0, 0.1])
    np.testing.assert_allclose(found["happiness"], [0, np.nan, 0, 0.5], atol=1e-12)
    np.testing.assert_allclose(found["neutral"], [0, np.nan, 0, -0.5], atol=1e-12)
    np.testing.assert_allclose(found["valence"], [0, np.nan, 0, 0.5 * 0.81], atol=1e-12)
    # Turned away: engagement falls from 0.2 to nothing.
    np.testing.assert_allclose(found["engagement"], [0, np.nan, 0, -0.2], atol=1e-12)
    np.testing.assert_allclose(found["yaw"], [0, np.nan, -6, 30], atol=1e-12)
    # A share of time and a number stay what they are, and so does the emotion that leads.
    assert found["attention"].tolist() == [1, 0, 1, 0]
    assert found["people"].tolist() == [1, 0, 1, 1]
    assert found["emotion"].fillna("").tolist() == ["neutral", "", "neutral", "happiness"]
    assert found["status"].tolist() == ["ok", "no_face", "ok", "ok"]


def test_a_baseline_may_lie_behind_the_onset() -> None:
    found = frames_of(
        study_of({}, baseline={"start_s": 0.0, "end_s": 0.2}), in_order(watched("a.mp4", FRACTIONS, FRACTIONS))
    )
    assert found["happiness"].tolist() == pytest.approx((FRACTIONS - 0.05).tolist())


def test_baselines_of_two_recordings_are_not_mixed() -> None:
    study = study_of(
        {"onset_s": 0.1}, {"file": "b.mp4", "respondent": "ben", "onset_s": 0.1}, baseline={"start_s": -0.1, "end_s": 0}
    )
    table = in_order(watched("a.mp4", [0.0, 0.1], [0.1, 0.6]), watched("b.mp4", [0.0, 0.1], [0.8, 0.7]))
    assert frames_of(study, table)["happiness"].tolist() == pytest.approx([0, 0.5, 0, -0.1])


def crowd(*others: pd.DataFrame) -> pd.DataFrame:
    """A respondent in ten frames, and other faces; the respondent's rows alone, as they are found."""
    return select_respondent_rows(in_order(watched("a.mp4", range(10), FRACTIONS), *others))


def test_somebody_who_passes_close_to_the_camera_is_not_the_respondent() -> None:
    """For two frames three times as large, which is the largest face of these frames."""
    found = crowd(watched("a.mp4", [4, 5], [0.9, 0.9], track=1, middle=(400, 200), side=180))
    assert found["track_id"].tolist() == [0] * 9 + [0]
    assert found["s_happiness"].tolist() == FRACTIONS.tolist()
    assert found["faces"].tolist() == [1, 1, 1, 1, 2, 2, 1, 1, 1, 1]


def test_while_the_respondent_is_away_others_are_not_taken_for_them() -> None:
    found = select_respondent_rows(
        in_order(
            watched("a.mp4", range(8), [0.1] * 8),
            watched("a.mp4", [8, 9], [0.9, 0.9], track=1, middle=(420, 150)),
        )
    )
    assert found["status"].tolist() == ["ok"] * 8 + ["no_face"] * 2
    assert found.loc[8:, ["s_happiness", "face_w", "yaw", "brightness"]].isna().all(axis=None)
    assert found.loc[8:, ["track_id", "smoothed_emotion"]].isna().all(axis=None)
    assert found["faces"].tolist() == [1] * 10
    assert found["reason"].tolist()[8:] == ["only other people are in the frame"] * 2


def test_valence_of_somebody_else_is_not_the_respondents() -> None:
    own = watched("a", [0, 1, 2, 3], [0.5] * 4).assign(smoothed_valence=0.1, valence=0.1)
    other = watched("a", [4, 5], [0.5] * 2, track=1, middle=(600.0, 400.0), side=30.0)
    rows = select_respondent_rows(in_order(own, other.assign(smoothed_valence=-0.9, valence=-0.9)))
    assert compute_measures(rows)["valence"].tolist()[:4] == [0.1] * 4
    assert rows.loc[rows.index >= 4, ["valence", "smoothed_valence", "s_happiness", "track_id"]].isna().all(axis=None)
    assert rows.loc[rows.index >= 4, "faces"].notna().all()


def test_who_is_lost_and_found_again_near_the_same_place_is_the_same_person() -> None:
    found = select_respondent_rows(
        in_order(
            watched("a.mp4", range(6), [0.1] * 6),
            empty("a.mp4", [6]),
            watched("a.mp4", [7, 8, 9], [0.8] * 3, track=3, middle=(290, 170), side=80),
        )
    )
    assert found["track_id"].fillna(-1).tolist() == [0] * 6 + [-1] + [3] * 3
    assert found["status"].tolist() == ["ok"] * 6 + ["no_face"] + ["ok"] * 3


@pytest.mark.parametrize(("side", "is_same"), [(31, True), (29, False), (119, True), (121, False)])
def test_a_face_of_a_quite_different_size_is_somebody_else(side: float, is_same: bool) -> None:
    table = in_order(watched("a.mp4", range(9), [0.1] * 9), watched("a.mp4", [9], [0.8], track=1, side=side))
    assert (select_respondent_rows(table)["status"].tolist()[9] == "ok") == is_same


def test_two_faces_of_one_frame_are_two_people_however_near() -> None:
    near = watched("a.mp4", [0, 1], [0.9, 0.9], track=1, middle=(260, 150))
    later = watched("a.mp4", [10, 11], [0.9, 0.9], track=1, middle=(260, 150))
    found = crowd(near, later)
    assert found["track_id"].fillna(-1).tolist() == [0] * 10 + [-1] * 2


def test_the_respondent_of_each_video_is_found_by_itself() -> None:
    """In b the person of track 1 is the one who stays."""
    found = crowd(
        watched("b.mp4", [0, 1], [0.2, 0.2], track=0), watched("b.mp4", range(5), [0.7] * 5, track=1, middle=(420, 150))
    )
    assert found.loc[found["video"] == "b.mp4", "track_id"].tolist() == [1] * 5
    assert found["video"].tolist() == ["a.mp4"] * 10 + ["b.mp4"] * 5


def test_without_faces_and_without_rows_nobody_is_found() -> None:
    assert select_respondent_rows(empty("a.mp4", [0, 1]))["status"].tolist() == ["no_face"] * 2
    assert select_respondent_rows(empty("a.mp4", [0]).iloc[:0]).empty


def test_steps_are_means_over_frames_and_tell_what_leads() -> None:
    times = [0.0, 0.4, 0.5, 0.9, 1.0, 1.6, 2.2]
    table = in_order(
        watched("a.mp4", times[:4], [0.2, 0.6, 0.9, 0.1]),
        watched("a.mp4", [times[4]], [0.3]),
        empty("a.mp4", times[5:]),
    )
    study = study_of({}, step_s=0.5)
    found = build_steps(frames_of(study, table), study)
    assert found["second"].tolist() == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0])
    np.testing.assert_allclose(found["happiness"], [0.4, 0.5, 0.3, np.nan, np.nan])
    np.testing.assert_array_equal(found["attention"], [1, 1, 1, 0, 0])
    np.testing.assert_array_equal(found["leads_happiness"], [1, 1, 0, np.nan, np.nan])
    np.testing.assert_array_equal(found["leads_neutral"], [1, 1, 1, np.nan, np.nan])
    np.testing.assert_array_equal(found["leads_fear"], [0, 0, 0, np.nan, np.nan])
    assert found.columns.tolist()[:4] == ["respondent", "stimulus", "condition", "second"]
    assert set(found.columns) == {*found.columns[:4], *list_measures(EMOTIONS), *(f"leads_{name}" for name in EMOTIONS)}


def test_steps_begin_at_the_onset_and_lead_by_what_is_shown_not_by_the_change() -> None:
    """The respondent smiles all the time, so that the change from the baseline is nothing."""
    study = study_of({"onset_s": 0.5}, baseline={"start_s": -0.5, "end_s": 0})
    found = build_steps(frames_of(study, in_order(watched("a.mp4", FRACTIONS, [0.9] * 10))), study)
    assert found["second"].tolist() == [0.0]
    assert found.loc[0, "happiness"] == pytest.approx(0) and found.loc[0, "leads_happiness"] == 1


def test_steps_with_no_more_than_unreadable_frames_are_left_out() -> None:
    table = in_order(watched("a.mp4", [0.0, 2.0], [0.2, 0.4]), empty("a.mp4", [1.0], "decode_error"))
    study = study_of({})
    assert build_steps(frames_of(study, table), study)["second"].tolist() == [0.0, 2.0]
