"""The folder in the manner of BIDS: read back as its tools do, by the names of files and their sidecars."""

import dataclasses
import gzip
import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fer.reports.study_data import StudyData
from fer.study.exports.export import export_study
from tests.helpers.exported_study import DEFINITIONS

pytestmark = pytest.mark.slow

STEM = re.compile(r"sub-([A-Za-z0-9]+)_task-([A-Za-z0-9]+)(_acq-[A-Za-z0-9]+)?(_run-[0-9]+)?")


def read_physio(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    sidecar = json.loads(path.with_name(path.name.replace(".tsv.gz", ".json")).read_text())
    text = gzip.decompress(path.read_bytes()).decode()
    table = pd.read_csv(StringIO(text), sep="\t", header=None, names=sidecar["Columns"], na_values="n/a")
    return table, sidecar


def test_the_folder_has_what_bids_asks_for(study: StudyData, tmp_path: Path) -> None:
    export_study(study, tmp_path, ["bids"], DEFINITIONS)
    root = tmp_path / "bids"
    described = json.loads((root / "dataset_description.json").read_text())
    assert (described["Name"], described["DatasetType"]) == (study.name, "derivative")
    assert described["BIDSVersion"]
    assert described["GeneratedBy"][0]["Name"] == "fer-experiments"
    people = pd.read_csv(root / "participants.tsv", sep="\t", na_values="n/a", keep_default_na=False)
    assert people["participant_id"].tolist() == ["sub-P1", "sub-P2", "sub-P3"]
    assert people["age_group"].tolist() == ["18-29", "30-49", "18-29"]
    assert people["Sex"].isna().tolist() == [False, False, True]
    assert set(json.loads((root / "participants.json").read_text())) == set(people.columns)
    folders = sorted(path.name for path in root.iterdir() if path.is_dir())
    assert folders == people["participant_id"].tolist()
    assert {path.name for path in (root / "sub-P1" / "beh").iterdir()} == {
        f"sub-P1_task-{task}{how}_{what}"
        for task in ("ada", "adb")
        for how in ("", "_acq-sound")
        for what in ("physio.tsv.gz", "physio.json", "events.tsv", "events.json")
    }
    labels = pd.read_csv(tmp_path / "bids_labels.csv").values.tolist()
    assert ["task", "ad_a", "ada"] in labels
    assert ["acq", "sound", "sound"] in labels


def test_measures_have_a_constant_rate_and_the_nearest_frames_values(study: StudyData, tmp_path: Path) -> None:
    export_study(study, tmp_path, ["bids"], DEFINITIONS)
    table, sidecar = read_physio(tmp_path / "bids/sub-P2/beh/sub-P2_task-ada_acq-sound_physio.tsv.gz")
    frames = study.frames.query("respondent == 'P2' and stimulus == 'ad_a' and condition == 'sound'")
    assert sidecar["Columns"] == ["happiness", "valence", "people"]
    assert sidecar["TaskName"] == "ad_a"
    assert sidecar["valence"] == {"Description": "How pleasant", "Units": "-1 to 1"}
    assert sidecar["SamplingFrequency"] == pytest.approx(4, rel=0.1)
    assert sidecar["StartTime"] == pytest.approx(frames["time_s"].min())
    times = sidecar["StartTime"] + np.arange(len(table)) / sidecar["SamplingFrequency"]
    assert times[-1] == pytest.approx(frames["time_s"].max(), abs=0.6 / sidecar["SamplingFrequency"])
    known = frames["time_s"].to_numpy()
    for time_s, row in zip(times, table.to_numpy(), strict=True):
        nearest = np.abs(known - time_s).argmin()
        if abs(known[nearest] - time_s) > 0.5 / sidecar["SamplingFrequency"] + 1e-6:
            assert np.isnan(row).all()
        else:
            wanted = frames.iloc[nearest][sidecar["Columns"]].to_numpy(dtype=float)
            np.testing.assert_allclose(row, wanted, rtol=1e-9)
    # Lines end as on Unix, and no row is empty.
    text = gzip.decompress((tmp_path / "bids/sub-P2/beh/sub-P2_task-ada_acq-sound_physio.tsv.gz").read_bytes())
    assert text.count(b"\n") == len(table)
    assert b"\r" not in text
    # The gap of a second, and the frames without a face.
    assert table["people"].isna().sum() >= 3
    assert table["valence"].isna().sum() > table["people"].isna().sum()


def test_events_are_those_of_the_stimulus(study: StudyData, tmp_path: Path) -> None:
    export_study(study, tmp_path, ["bids"], DEFINITIONS)
    stem = tmp_path / "bids/sub-P1/beh/sub-P1_task-adb_events"
    events = pd.read_csv(stem.with_suffix(".tsv"), sep="\t", keep_default_na=False)
    assert events.values.tolist() == [
        [0.0, 4.0, "whole", "whole"],
        [0.0, 2.0, "scene", "intro"],
        [1.0, 2.0, "event", "intro"],
        [1.5, 2.5, "scene", "'=end & <b>"],
    ]
    assert set(events.columns) < set(json.loads(stem.with_suffix(".json").read_text()))


def test_hostile_names_have_labels_of_letters_and_digits(hostile: StudyData, tmp_path: Path) -> None:
    export_study(hostile, tmp_path, ["bids"], DEFINITIONS)
    root = tmp_path / "bids"
    files = [path for path in root.rglob("sub-*_*") if path.is_file()]
    assert files
    for path in files:
        found = STEM.match(path.name)
        assert found
        assert path.parent == root / f"sub-{found[1]}" / "beh"
    included = hostile.recordings["included"].sum()
    assert len([path for path in files if path.name.endswith("physio.tsv.gz")]) == included
    labels = pd.read_parquet(tmp_path / "bids_labels.parquet")
    people = labels[labels["entity"] == "sub"]
    assert people["name"].tolist() == hostile.respondents["respondent"][hostile.respondents["consent"]].tolist()
    assert people["label"].str.lower().is_unique
    assert labels.query("entity == 'sub' and name == '01'")["label"].item() == "01"
    for path in root.rglob("*.tsv"):
        lines = path.read_text().split("\n")
        assert len({line.count("\t") for line in lines[:-1]}) == 1
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028]", path.read_text())


def test_who_saw_a_thing_twice_has_two_runs(study: StudyData, tmp_path: Path) -> None:
    again = study.frames[study.frames["recording"] == "000.mp4"].assign(recording="again.mp4")
    export_study(dataclasses.replace(study, frames=pd.concat([study.frames, again])), tmp_path, ["bids"], DEFINITIONS)
    names = {path.name for path in (tmp_path / "bids/sub-P1/beh").glob("*task-ada_*physio.json")}
    assert names == {
        *("sub-P1_task-ada_physio.json", "sub-P1_task-ada_acq-sound_physio.json"),
        "sub-P1_task-ada_run-2_physio.json",
    }


@pytest.mark.parametrize("count", [0, 1, 2])
def test_recordings_of_few_frames_are_written_too(count: int, study: StudyData, tmp_path: Path) -> None:
    frames = study.frames[study.frames["respondent"] == "P1"].head(count)
    export_study(dataclasses.replace(study, frames=frames), tmp_path, ["bids"], DEFINITIONS)
    tables = [read_physio(path)[0] for path in tmp_path.rglob("*physio.tsv.gz")]
    assert [len(table) for table in tables] == [count] * bool(count)
