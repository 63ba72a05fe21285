"""Long and wide: every value where it belongs, under names that statistics programs allow."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from fer.reports.study_data import StudyData
from fer.study.exports.columns import STATISTICS
from fer.study.exports.shapes import build_long, build_wide
from tests.helpers.exported_study import DEFINITIONS


def test_long_has_a_row_a_value(study: StudyData) -> None:
    long = build_long(study).table
    assert list(long.columns) == [
        *("respondent", "Sex", "age_group", "stimulus", "condition", "second", "measure", "value")
    ]
    back = long.pivot_table(
        index=["respondent", "stimulus", "condition", "second"], columns="measure", values="value", sort=False
    ).reset_index()
    pd.testing.assert_frame_equal(
        back.rename_axis(columns=None)[list(study.steps.columns[:-1])], study.steps.iloc[:, :-1], check_dtype=False
    )
    groups = study.respondents.set_index("respondent")
    assert (long["age_group"] == long["respondent"].map(groups["age group"])).all()
    assert long.loc[long["respondent"] == "P3", "Sex"].isna().all()


def test_a_missing_value_has_no_row(study: StudyData) -> None:
    steps = study.steps.assign(valence=np.nan)
    assert set(build_long(dataclasses.replace(study, steps=steps)).table["measure"]) == {"happiness", "people"}


def test_wide_has_every_value_in_a_column_of_its_own(study: StudyData) -> None:
    shape = build_wide(study, DEFINITIONS)
    wide = shape.table.set_index("respondent")
    assert wide.index.tolist() == ["P1", "P2", "P3"]
    assert list(wide.columns[:2]) == ["Sex", "age_group"]
    # Stimuli × conditions × segments × measures × statistics: the scene and the event of one name are two.
    assert len(wide.columns) == 2 + 2 * 2 * 3 * 2 * len(STATISTICS)
    for row in study.segment_values[study.segment_values["kind"] != "event"].to_dict("records"):
        parts = (row["stimulus"], row["condition"], row["segment"], row["measure"])
        for statistic in STATISTICS:
            value = wide.loc[row["respondent"], "_".join([*filter(None, parts), statistic])]
            np.testing.assert_equal(value, row[statistic])
    event = shape.descriptions["ad_a_intro_valence_peak_2"]
    assert event.meaning == "valence: largest value; event 'intro' of 'ad_a'"
    assert event.unit == "-1 to 1"


def test_a_scene_that_comes_twice_keeps_both(study: StudyData) -> None:
    first = study.segment_values.iloc[:1]
    twice = dataclasses.replace(study, segment_values=pd.concat([first.assign(mean=0.25), first.assign(mean=0.75)]))
    shape = build_wide(twice, DEFINITIONS)
    assert shape.table[["ad_a_whole_happiness_mean", "ad_a_whole_happiness_mean_2"]].values.tolist() == [[0.25, 0.75]]
    assert shape.descriptions["ad_a_whole_happiness_mean_2"].meaning.endswith("the 2. of this name")


@pytest.mark.parametrize("build", [build_long, lambda data: build_wide(data, DEFINITIONS)])
def test_names_are_legal_in_statistics_programs(build: object, hostile: StudyData) -> None:
    shape = build(hostile)  # type: ignore[operator]
    columns = shape.table.columns
    assert all(re.fullmatch("[A-Za-z][A-Za-z0-9_]{0,63}", name) for name in columns)
    assert len({name.lower() for name in columns}) == len(columns)
    assert len(shape.groups) == len(hostile.group_columns)


def test_hostile_names_mix_up_no_values(hostile: StudyData) -> None:
    shape = build_wide(hostile, DEFINITIONS)
    numbers = shape.table.drop(columns=["respondent", *shape.groups]).to_numpy(dtype=float)
    wanted = hostile.segment_values[list(STATISTICS)].to_numpy(dtype=float)
    np.testing.assert_array_equal(np.sort(numbers[~np.isnan(numbers)]), np.sort(wanted[~np.isnan(wanted)]))
    for _, row in shape.table.iterrows():
        own = hostile.segment_values[hostile.segment_values["respondent"] == row["respondent"]]
        present = row.drop(["respondent", *shape.groups]).dropna().astype(float)
        assert present.sum() == pytest.approx(own[list(STATISTICS)].sum().sum())
