"""The study in the manner of BIDS: a folder a respondent, measures as `_physio`, scenes and events as `_events`."""

import gzip
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer import __version__
from fer.core.csv import neutralise
from fer.core.tables import write_table
from fer.study.exports.labels import make_labels
from fer.study.exports.prepared import PreparedStudy

BIDS_DIR = "bids"
_VERSION = "1.10.0"
_KEYS = ["recording", "respondent", "stimulus", "condition"]
_NOT_MEASURES = frozenset([*_KEYS, "frame", "recording_s", "time_s", "status", "emotion"])
# What would end a cell or a line.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_README = """What fer-experiments measured in videos of faces, in the manner of BIDS.

`sub-…_physio.tsv.gz` has the measures of one recording, at a constant rate from the onset of the stimulus: `StartTime`
of the file beside it is the time of the first row, `Columns` names the columns. `sub-…_events.tsv` has the stimulus and
its scenes and events. `task` is the stimulus, `acq` the condition.
"""


def write_bids(study: PreparedStudy, directory: Path) -> list[Path]:
    """Write the folder `bids`, in place of an earlier one, and beside it `bids_labels`: what its labels stand for.

    Args:
        study: The study.
        directory: Where to.
    """
    target, temporary = directory / BIDS_DIR, directory / f".{BIDS_DIR}.{os.getpid()}.part"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        for path, content in _iter_files(study):
            (temporary / path).parent.mkdir(parents=True, exist_ok=True)
            (temporary / path).write_bytes(content)
        # Nobody's recordings stay who has left the study since.
        if target.exists():
            shutil.rmtree(target)
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    labels = directory / "bids_labels.csv"
    write_table(study.tables["bids_labels"], labels)
    return [*sorted(path for path in target.rglob("*") if path.is_file()), labels, labels.with_suffix(".parquet")]


def _iter_files(study: PreparedStudy) -> Iterator[tuple[str, bytes]]:
    """Every file of the folder and what it holds."""
    yield "README.md", _README.encode()
    yield "dataset_description.json", _dump_json(_describe_dataset(study))
    listed = study.tables["bids_labels"].to_dict("records")
    labels = {(row["entity"], row["name"]): row["label"] for row in listed}
    frames = study.data.frames
    measures = make_labels((name for name in frames.columns if name not in _NOT_MEASURES), "measure")
    fallback_step = _find_step(frames["time_s"].groupby([frames[key] for key in _KEYS]).diff())
    people: dict[str, str] = {}
    counts: dict[str, int] = {}
    for key, rows in frames.groupby(_KEYS, sort=False):
        _, respondent, stimulus, condition = map(str, key)
        person = f"sub-{labels['sub', respondent]}"
        people[person] = respondent
        name = f"{person}_task-{labels['task', stimulus]}"
        name += f"_acq-{labels['acq', condition]}" if condition else ""
        # Somebody may have seen one thing twice.
        counts[name] = counts.get(name, 0) + 1
        name += f"_run-{counts[name]}" if counts[name] > 1 else ""
        task = {"TaskName": stimulus, **({"Condition": condition} if condition else {})}
        table, frequency, start_s = _resample(rows, list(measures), fallback_step)
        yield f"{person}/beh/{name}_physio.tsv.gz", _compress(_format_numbers(table))
        sidecar = {
            **task,
            "SamplingFrequency": frequency,
            "StartTime": start_s,
            "Columns": list(measures.values()),
            "Resampling": "Each row has the nearest sampled frame of the video, within half a step; n/a is none",
            **{label: _describe_measure(study, measure) for measure, label in measures.items()},
        }
        yield f"{person}/beh/{name}_physio.json", _dump_json(sidecar)
        yield f"{person}/beh/{name}_events.tsv", _format_table(_list_events(study, stimulus))
        yield f"{person}/beh/{name}_events.json", _dump_json({**task, **_EVENT_COLUMNS})
    yield from _iter_participants(study, people)


def _describe_dataset(study: PreparedStudy) -> dict[str, Any]:
    return {
        "Name": _CONTROL.sub(" ", study.data.name).strip() or "study",
        "BIDSVersion": _VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "fer-experiments", "Version": __version__}],
    }


def _describe_measure(study: PreparedStudy, measure: str) -> dict[str, str]:
    found = study.dictionary[(study.dictionary["table"] == "frames") & (study.dictionary["column"] == measure)]
    meaning, unit = found[["meaning", "unit"]].iloc[0]
    return {"Description": meaning or measure, "Units": unit or "arbitrary"}


def _find_step(differences: "pd.Series[float]") -> float:
    """The usual time between two frames, seconds; 1 where there is none."""
    positive = differences[differences > 0]
    return float(positive.median()) if len(positive) else 1.0


def _resample(rows: pd.DataFrame, measures: list[str], fallback_step: float) -> tuple[pd.DataFrame, float, float]:
    """Measures at a constant rate, that rate in hertz, and the time of the first row.

    Videos have frames at uneven times, and gaps; BIDS wants a constant rate.
    """
    rows = rows.dropna(subset="time_s").sort_values("time_s", kind="stable").drop_duplicates("time_s")
    times = rows["time_s"].to_numpy(dtype=float)
    frequency = round(1 / (_find_step(rows["time_s"].diff()) if len(rows) > 1 else fallback_step), 6)
    start_s = round(float(times[0]), 6) if len(times) else 0.0
    count = int((times[-1] - times[0]) * frequency + 0.5) + 1 if len(times) else 0
    grid = start_s + np.arange(count) / frequency
    right = np.searchsorted(times, grid).clip(0, max(len(times) - 1, 0))
    left = (right - 1).clip(0)
    nearest = np.where(np.abs(times[left] - grid) <= np.abs(times[right] - grid), left, right) if count else right
    table = rows[measures].astype("float64").iloc[nearest].reset_index(drop=True)
    # A microsecond covers rounding.
    is_far = np.abs(times[nearest] - grid) > 0.5 / frequency + 1e-6
    table.loc[is_far] = np.nan
    return table, frequency, start_s


_EVENT_COLUMNS = {
    "onset": {"Description": "Beginning, from the onset of the stimulus", "Units": "s"},
    "duration": {"Description": "Length", "Units": "s"},
    "trial_type": {
        "Description": "What it is",
        "Levels": {"whole": "The whole stimulus", "scene": "A part of it", "event": "Something that happens in it"},
    },
    "segment": {"Description": "Name of the scene or event"},
}


def _list_events(study: PreparedStudy, stimulus: str) -> pd.DataFrame:
    segments = study.data.segments[study.data.segments["stimulus"] == stimulus].sort_values("start_s", kind="stable")
    return pd.DataFrame(
        {
            "onset": segments["start_s"].astype("float64"),
            "duration": (segments["end_s"] - segments["start_s"]).astype("float64").round(6),
            "trial_type": segments["kind"],
            "segment": segments["segment"],
        }
    )


def _iter_participants(study: PreparedStudy, people: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """Who has a folder, with the groups."""
    names = make_labels(study.data.group_columns, "group", max_length=32, used=("participant_id",))
    respondents = study.data.respondents.drop_duplicates("respondent").set_index("respondent")
    table = respondents.reindex(list(people.values()))[list(names)].rename(columns=names).reset_index(drop=True)
    table.insert(0, "participant_id", pd.Series(list(people), dtype="str"))
    yield "participants.tsv", _format_table(table)
    groups = {label: {"Description": f"Group of the respondent: {column}"} for column, label in names.items()}
    yield "participants.json", _dump_json({"participant_id": {"Description": "Label of the respondent"}, **groups})


def _format_numbers(table: pd.DataFrame) -> bytes:
    """Rows without a header, as `_physio` has them."""
    text = table.to_csv(sep="\t", index=False, header=False, na_rep="n/a", float_format="%.10g", lineterminator="\n")
    return str(text).encode()


def _format_table(table: pd.DataFrame) -> bytes:
    """A header, and rows of which no cell ends before its tab."""
    rows = [tuple(table.columns), *table.map(_format_cell).itertuples(index=False, name=None)]
    return "".join("\t".join(row) + "\n" for row in rows).encode()


def _format_cell(value: Any) -> str:
    if pd.isna(value):
        return "n/a"
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(neutralise(_CONTROL.sub(" ", str(value)).strip())) or "n/a"


def _compress(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def _dump_json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode()
