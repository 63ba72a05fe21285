"""The files of SPSS as pyreadstat reads them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat

from fer.reports.study_data import StudyData
from fer.study.exports.export import export_study
from tests.helpers.exported_study import DEFINITIONS


def test_wide_is_read_back_with_its_labels(study: StudyData, tmp_path: Path) -> None:
    export_study(study, tmp_path, ["csv", "spss"], DEFINITIONS)
    wanted = pd.read_parquet(tmp_path / "study_wide.parquet")
    table, meta = pyreadstat.read_sav(tmp_path / "study.sav")
    assert list(table.columns) == list(wanted.columns)
    assert table["respondent"].tolist() == wanted["respondent"].tolist()
    numbers = wanted.columns[3:]
    np.testing.assert_array_equal(table[numbers].to_numpy(), wanted[numbers].to_numpy())
    assert meta.variable_value_labels["Sex"] == {1.0: "f", 2.0: "m"}
    assert table["Sex"].tolist()[:2] == [1.0, 2.0]
    assert np.isnan(table["Sex"][2])
    assert np.isnan(table["ad_a_whole_happiness_mean"][0])
    labels = meta.column_names_to_labels
    assert labels["ad_a_sound_intro_valence_area"] == (
        "valence: integral over time; scene 'intro' of 'ad_a', condition 'sound' (-1 to 1 × s)"
    )
    assert labels["age_group"] == "Group of the respondent: age group"
    assert meta.variable_measure["Sex"] == "nominal"
    assert meta.variable_measure["ad_a_whole_happiness_mean"] == "scale"
    assert meta.file_label == study.name


def test_long_is_read_back_with_its_labels(study: StudyData, tmp_path: Path) -> None:
    export_study(study, tmp_path, ["csv", "spss"], DEFINITIONS)
    wanted = pd.read_parquet(tmp_path / "study_long.parquet")
    table, meta = pyreadstat.read_sav(tmp_path / "study_long.sav", apply_value_formats=True)
    for name in ("respondent", "stimulus", "measure", "age_group"):
        assert table[name].astype(str).tolist() == wanted[name].tolist()
    # No condition is a missing one.
    assert table["condition"].isna().tolist() == (wanted["condition"] == "").tolist()
    np.testing.assert_array_equal(table[["second", "value"]].to_numpy(), wanted[["second", "value"]].to_numpy())
    assert meta.variable_measure["measure"] == "nominal"


def test_hostile_names_and_long_texts_are_held(hostile: StudyData, tmp_path: Path) -> None:
    export_study(hostile, tmp_path, ["csv", "spss"], DEFINITIONS)
    wanted = pd.read_parquet(tmp_path / "study_wide.parquet")
    table, meta = pyreadstat.read_sav(tmp_path / "study.sav")
    assert list(table.columns) == list(wanted.columns)
    assert "x" * 300 in set(table["respondent"])
    assert "漢字" in set(table["respondent"])
    assert all(len(label.encode()) <= 255 for label in meta.column_labels)
    values = meta.variable_value_labels["group_cmd" if "group_cmd" in table else "cmd"]
    # Two names of 300 letters are one label of 120 bytes, but two values.
    assert sum(label == "x" * 120 for label in values.values()) == 2
    assert all(label.isprintable() for label in values.values())


def test_a_study_without_rows_has_its_columns(empty: StudyData, tmp_path: Path) -> None:
    export_study(empty, tmp_path, ["spss"], DEFINITIONS)
    assert pyreadstat.read_sav(tmp_path / "study.sav")[0].columns.tolist() == ["respondent", "sex"]
    table, _ = pyreadstat.read_sav(tmp_path / "study_long.sav")
    assert (len(table), list(table.columns)[-2:]) == (0, ["measure", "value"])
