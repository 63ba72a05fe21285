"""Which recordings of a study count, and why the others do not."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from fer.config.study import Study
from fer.study.quality import QUALITY_COLUMNS, assess_recordings
from tests.helpers.study_table import empty, in_order, watched


def study_of(*recordings: dict[str, Any], refused: tuple[str, ...] = (), **more: Any) -> Study:
    complete = [{"file": "a.mp4", "respondent": "anna", "stimulus": "ad", **item} for item in recordings]
    people = {item["respondent"]: {"consent": item["respondent"] not in refused} for item in complete}
    return Study.model_validate({"stimuli": {"ad": {}}, "respondents": people, "recordings": complete, **more})


def assessed(study: Study, table: pd.DataFrame, **problems: str) -> pd.DataFrame:
    problems = {f"{name}.mp4": problem for name, problem in problems.items()}
    return assess_recordings(study, table, {item.file: item.file for item in study.recordings}, {}, problems)


def test_figures_of_a_recording_by_hand() -> None:
    """Onset at 1: six frames, of which four are usable, one holds a passer-by, and one cannot be read."""
    table = in_order(
        watched("a.mp4", [0], [0.1]).assign(brightness=0.0),
        watched("a.mp4", [1, 2, 3, 4], [0.1] * 4).assign(brightness=[0.2, 0.3, 0.5, 0.6]),
        watched("a.mp4", [3], [0.1], track=1, middle=(500, 150)).assign(brightness=0.9),
        empty("a.mp4", [5]),
        empty("a.mp4", [6], "decode_error"),
    )
    found = assessed(study_of({"onset_s": 1.0}), table).loc[0]
    assert found["frames"] == 6 and found["usable_share"] == pytest.approx(4 / 6)
    assert found["tracking_losses"] == 1
    assert found["brightness"] == pytest.approx(0.4) and found["people"] == 2
    assert bool(found["included"]) and found["reason"] == ""
    assert found.index.tolist()[-7:] == list(QUALITY_COLUMNS)


@pytest.mark.parametrize(
    ("tracks", "losses"),
    [
        ([0, 0, 0, 0], 0),
        ([0, 0, None, None, 0], 1),
        ([0, None, 0, None, 0, None], 3),
        ([None, None, 0, 0], 0),
        ([0, 0, 2, 2], 1),
        ([0, None, 2, 2, 5], 2),
        ([0, "unreadable", 0], 0),
        ([0, "unreadable", None, 0], 1),
    ],
)
def test_tracking_losses_are_counted_once_each(tracks: list[int | str | None], losses: int) -> None:
    parts = []
    for time, track in enumerate(tracks):
        if isinstance(track, int):
            parts.append(watched("a.mp4", [time], [0.5], track=track))
        else:
            parts.append(empty("a.mp4", [time], "decode_error" if track else "no_face"))
    assert assessed(study_of({}), in_order(*parts)).loc[0, "tracking_losses"] == losses


def test_each_reason_says_what_is_wrong() -> None:
    baseline = {"start_s": -1.0, "end_s": 0.0}
    study = study_of(
        {"onset_s": 1.0},
        {"file": "b.mp4", "respondent": "ben", "onset_s": 1.0},
        {"file": "c.mp4", "respondent": "cora", "onset_s": 1.0},
        {"file": "d.mp4", "respondent": "dora", "onset_s": 1.0},
        {"file": "e.mp4", "respondent": "emil", "onset_s": 9.0},
        {"file": "f.mp4", "respondent": "fred", "onset_s": 1.0},
        {"file": "g.mp4", "respondent": "gina", "onset_s": 1.0},
        refused=("ben",),
        baseline=baseline,
        min_usable=0.6,
    )
    table = in_order(
        watched("a.mp4", [0, 1, 2, 3, 4, 5], [0.1] * 6),
        watched("d.mp4", [0, 1, 2, 3], [0.1] * 4),
        empty("d.mp4", [4, 5, 6]),
        watched("e.mp4", [0, 1, 2], [0.1] * 3),
        empty("f.mp4", [0]),
        watched("f.mp4", [1, 2], [0.1] * 2),
        watched("g.mp4", [0], [0.1]),
        empty("g.mp4", [1, 2]),
    )
    found = assessed(study, table, c="it is not a video")
    assert found["included"].tolist() == [True, *[False] * 6]
    assert found["reason"].tolist() == [
        "",
        "the respondent has not agreed to be analysed",
        "the video cannot be read: it is not a video",
        "too few usable frames: 3 of 6 frames are usable (why in 3); min_usable=0.6 asks for more",
        "the video ends before the onset of the stimulus",
        "no usable face in the baseline, -1 to 0 seconds from the onset: why in 1",
        "no frame has a usable face: why in 2",
    ]
    assert found["frames"].tolist() == [5, 0, 0, 6, 0, 2, 2]
    assert found.loc[[1, 2, 4], "usable_share"].tolist() == [0, 0, 0]
    assert found.loc[[1, 2, 4], ["brightness", "people"]].isna().all(axis=None)


def test_the_least_usable_share_counts_and_a_frame_is_needed_even_without_one() -> None:
    table = in_order(watched("a.mp4", [0, 1], [0.1] * 2), empty("a.mp4", [2, 3]))
    assert assessed(study_of({}), table).loc[0, "included"]
    assert not assessed(study_of({}, min_usable=0.51), table).loc[0, "included"]
    reason = assessed(study_of({}, min_usable=0.0), empty("a.mp4", [0])).loc[0, "reason"]
    assert reason == "no frame has a usable face: why in 1"


def test_consent_that_was_withdrawn_counts_whatever_was_extracted() -> None:
    table = in_order(watched("a.mp4", [0, 1], [0.1] * 2))
    assert not assessed(study_of({}, refused=("anna",)), table).loc[0, "included"]


def test_two_stimuli_of_one_file_are_two_recordings() -> None:
    table = in_order(watched("a.mp4", [0, 1], [0.1] * 2), empty("a.mp4", [2, 3]))
    found = assessed(study_of({"offset_s": 2.0}, {"onset_s": 2.0, "condition": "sound"}), table)
    assert found["frames"].tolist() == [2, 2] and found["usable_share"].tolist() == [1, 0]
    np.testing.assert_array_equal(found["included"], [True, False])


def test_runs_of_earlier_versions_do_not_tell_the_number_of_people() -> None:
    table = in_order(watched("a.mp4", [0, 1], [0.1] * 2)).drop(columns=["yaw", "pitch", "roll", "faces"])
    found = assessed(study_of({}), table).loc[0]
    assert found["included"] and pd.isna(found["people"])


def test_a_run_without_rows_leaves_every_recording_out() -> None:
    found = assessed(study_of({}), watched("a.mp4", [0], [0.1]).iloc[:0])
    assert found["reason"].tolist() == ["the video cannot be read: no frame could be decoded"]


def test_a_dark_recording_and_one_out_of_the_frame_have_other_reasons() -> None:
    study = study_of({}, {"file": "b.mp4", "respondent": "ben"}, min_usable=0.9)
    dark = empty("a.mp4", [1, 2, 3], "low_quality").assign(reason="darker than 0.1")
    away = empty("b.mp4", [1, 2, 3]).assign(reason=["no face was found", "no face was found", "darker than 0.1"])
    table = in_order(watched("a.mp4", [0], [0.1]), dark, watched("b.mp4", [0], [0.1]), away)
    assert assessed(study, table)["reason"].tolist() == [
        "too few usable frames: 1 of 4 frames are usable (darker than 0.1 in 3); min_usable=0.9 asks for more",
        "too few usable frames: 1 of 4 frames are usable (no face was found in 2, darker than 0.1 in 1); "
        "min_usable=0.9 asks for more",
    ]
