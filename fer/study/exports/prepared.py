"""A study as the exports take it: its tables by name, both shapes for statistics programs, dictionary, labels."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fer.reports.study_data import StudyData
from fer.study.exports.bids_labels import list_bids_labels
from fer.study.exports.columns import Description
from fer.study.exports.dictionary import build_dictionary
from fer.study.exports.labels import make_labels
from fer.study.exports.shapes import Shape, build_long, build_wide

# A file's name has this before and a suffix behind it.
_MAX_FILE_LABEL = 60


@dataclass(frozen=True)
class PreparedStudy:
    """What every format is written from.

    Attributes:
        data: The study.
        tables: Its tables by name, as they are written: those of ``data``, `study_long`, `study_wide`, `bids_labels`.
        wide: A row a respondent.
        long: A row a value.
        dictionary: Every column of those of ``tables`` that are exported.
        definitions: Meaning and unit of each measure.
        labels: What stands for each stimulus in names of files.
        media: The video of each stimulus that has one here.
    """

    data: StudyData
    tables: dict[str, pd.DataFrame]
    wide: Shape
    long: Shape
    dictionary: pd.DataFrame
    definitions: Mapping[str, tuple[str, str]]
    labels: dict[str, str]
    media: Mapping[str, Path]


def prepare_study(
    data: StudyData, definitions: Mapping[str, tuple[str, str]], media: Mapping[str, Path], described: Iterable[str]
) -> PreparedStudy:
    """Bring a study into the shapes that are written.

    Args:
        data: The study.
        definitions: Meaning and unit of each measure.
        media: The video of each stimulus that has one here.
        described: Tables that are in the dictionary beside those of ``data``.
    """
    tables = list_tables(data)
    names = {*tables, *described}
    long, wide = build_long(data), build_wide(data, definitions)
    tables |= {"study_long": long.table, "study_wide": wide.table, "bids_labels": list_bids_labels(data)}
    descriptions = {
        "respondents": {column: Description(f"Group of the respondent: {column}", "") for column in data.group_columns},
        "study_long": long.descriptions,
        "study_wide": wide.descriptions,
    }
    exported = {name: table for name, table in tables.items() if name in names}
    dictionary = build_dictionary(exported, definitions, descriptions)
    labels = make_labels(data.stimuli["stimulus"], "stimulus", max_length=_MAX_FILE_LABEL)
    return PreparedStudy(data, tables, wide, long, dictionary, definitions, labels, media)


def list_tables(data: StudyData) -> dict[str, pd.DataFrame]:
    """List the tables of a study by name."""
    values = {field.name: getattr(data, field.name) for field in dataclasses.fields(data)}
    return {name: value for name, value in values.items() if isinstance(value, pd.DataFrame)}
