"""All exports together: every column described, the same bytes again, nothing outside, nothing left over."""

import json
import time
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from fer.config.extraction import Export
from fer.core import extras
from fer.errors import UserError
from fer.reports.study_data import StudyData
from fer.study.exports.columns import TABLES
from fer.study.exports.export import FORMATS, check_formats, export_study
from fer.study.exports.prepared import list_tables
from tests.helpers.exported_study import DEFINITIONS, list_files

pytestmark = pytest.mark.slow

ALL = [name for name in FORMATS if name != "highlights"]


def test_every_format_is_one_of_the_configuration() -> None:
    assert set(FORMATS) == set(get_args(Export))


def test_tables_are_read_back_as_they_were(study: StudyData, tmp_path: Path) -> None:
    written = export_study(study, tmp_path, [], DEFINITIONS)
    for name, table in list_tables(study).items():
        assert {tmp_path / f"{name}.csv", tmp_path / f"{name}.parquet"} <= set(written)
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / f"{name}.parquet"), table, check_dtype=False)
        text = pd.read_csv(tmp_path / f"{name}.csv", keep_default_na=False)
        assert list(text.columns) == list(table.columns)
        assert len(text) == len(table)
    assert sorted(written) == sorted(path for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", ["study", "hostile", "empty"])
def test_every_column_of_every_table_is_described(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    export_study(request.getfixturevalue(kind), tmp_path, ["csv", "bids"], DEFINITIONS)
    listed = pd.read_csv(tmp_path / "data_dictionary.csv", keep_default_na=False)
    assert listed[listed["meaning"] == ""].empty
    described = json.loads((tmp_path / "data_dictionary.json").read_text())["tables"]
    files = {path.stem for path in tmp_path.glob("*.parquet")}
    assert set(described) == files == set(TABLES)
    for name in files:
        columns = list(pd.read_parquet(tmp_path / f"{name}.parquet").columns)
        assert list(described[name]["columns"]) == columns
        assert (listed["table"] == name).sum() == len(columns)


def test_the_dictionary_tells_units_types_and_what_occurs(study: StudyData, tmp_path: Path) -> None:
    export_study(study, tmp_path, ["csv"], DEFINITIONS)
    tables = json.loads((tmp_path / "data_dictionary.json").read_text())["tables"]
    valence = tables["frames"]["columns"]["valence"]
    values = study.frames["valence"]
    assert (valence["meaning"], valence["unit"], valence["type"]) == (*DEFINITIONS["valence"], "number")
    assert valence["range"] == f"{values.min():.6g} to {values.max():.6g}"
    assert valence["missing"] == values.isna().sum()
    sex = tables["respondents"]["columns"]["Sex"]
    assert (sex["type"], sex["range"], sex["missing"]) == ("text", "f; m", 1)
    area = tables["study_wide"]["columns"]["ad_a_sound_intro_valence_area"]
    assert area["unit"] == "-1 to 1 × s"
    assert "scene 'intro' of 'ad_a', condition 'sound'" in area["meaning"]


def test_the_same_study_gives_the_same_bytes_at_another_time(
    study: StudyData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_study(study, tmp_path / "a", ALL, DEFINITIONS)
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    # ZIP archives count in steps of two seconds.
    time.sleep(2.1)
    export_study(study, tmp_path / "b", ALL, DEFINITIONS)
    monkeypatch.undo()
    time.tzset()
    assert list_files(tmp_path / "a") == list_files(tmp_path / "b")


@pytest.mark.parametrize("kind", ["hostile", "empty"])
def test_nothing_is_written_outside(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    written = export_study(request.getfixturevalue(kind), tmp_path / "in" / "side", ALL, DEFINITIONS)
    directory = tmp_path / "in" / "side"
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["side"]
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert sorted(files) == sorted(written)
    assert all(path.is_relative_to(directory) and path.name.isprintable() for path in files)
    assert all(len(path.name) < 256 and not path.name.startswith((".", "-", "=")) for path in files)


def test_who_left_the_study_leaves_its_exports(study: StudyData, empty: StudyData, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    export_study(study, tmp_path, ALL, DEFINITIONS)
    assert any("P1" in path.name for path in tmp_path.rglob("*"))
    written = export_study(empty, tmp_path, ["elan"], DEFINITIONS)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {*written, tmp_path / "notes.txt"}
    assert not list(tmp_path.glob("bids*"))


def test_a_format_without_its_package_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "_is_importable", lambda package: package != "pyreadstat")
    check_formats(["csv", "excel", "webvtt", "bids", "elan", "highlights"])
    with pytest.raises(UserError, match=r"extraction.exports=spss: needs pyreadstat; .*\[study\]"):
        check_formats(["csv", "spss"])


def test_what_is_infinite_or_missing_is_told_apart(study: StudyData, tmp_path: Path) -> None:
    export_study(study, tmp_path, ["csv"], DEFINITIONS)
    assert np.isinf(pd.read_csv(tmp_path / "reliability.csv")["needed_respondents"]).all()
    wide = pd.read_csv(tmp_path / "study_wide.csv")
    assert wide["ad_a_whole_happiness_mean"].isna().sum() == 1
