"""A study's tables as its page reads them: every column there, numbers as numbers, texts as texts."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pandas as pd

from fer.reports.study_data import StudyData

# (texts, numbers) that the page reads. An analysis that finds nothing may leave a table without any column.
_COLUMNS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "stimuli": ("stimulus", "duration_s"),
        "segments": ("stimulus kind segment", "start_s end_s"),
        "respondents": ("respondent", ""),
        "recordings": (
            "recording respondent stimulus condition reason",
            "onset_s frames usable_share tracking_losses brightness people",
        ),
        "steps": ("respondent stimulus condition", "second"),
        "curves": ("stimulus condition group_column group measure", "second respondents mean low high share"),
        "segment_summary": (
            "stimulus condition kind segment group_column group measure statistic",
            "respondents mean low high",
        ),
        "contrasts": (
            "contrast kind factor a b stimulus segment measure",
            "n_a n_b mean_a mean_b difference difference_low difference_high p p_corrected p_smallest hedges_g "
            "hedges_g_low hedges_g_high cliffs_delta cliffs_delta_low cliffs_delta_high power",
        ),
        "clusters": ("contrast stimulus measure", "start_s end_s p"),
        "mixed": ("contrast measure term", "estimate low high p p_corrected"),
        "reliability": (
            "stimulus condition measure",
            "respondents split_half split_half_low split_half_high icc icc_low icc_high band needed_respondents",
        ),
        "moments": ("stimulus condition measure", "rank start_s peak_s end_s value low high respondents"),
        "norms": ("stimulus segment measure", "value percentile studies stimuli"),
    }
)


def complete_tables(data: StudyData) -> StudyData:
    """Return a study whose tables have every column that the page reads; a missing text is ``""``."""
    completed = {}
    for name, (texts, numbers) in _COLUMNS.items():
        table = getattr(data, name).reset_index(drop=True)
        table = table.assign(**{column: _read_texts(table, column) for column in texts.split()})
        completed[name] = table.assign(**{column: _read_numbers(table, column) for column in numbers.split()})
    recordings = completed["recordings"]
    included = recordings["included"] if "included" in recordings else pd.Series(False, index=recordings.index)
    completed["recordings"] = recordings.assign(included=included.fillna(False).astype(bool))
    groups = {column: _read_texts(completed["respondents"], column) for column in data.group_columns}
    completed["respondents"] = completed["respondents"].assign(**groups)
    return replace(data, **completed)


def list_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table, a dictionary each."""
    return [{str(column): value for column, value in row.items()} for row in table.to_dict("records")]


def _read_texts(table: pd.DataFrame, column: str) -> pd.Series:
    found = table[column] if column in table else pd.Series("", index=table.index, dtype=object)
    return found.astype(object).where(found.notna(), "").map(str).astype(object)


def _read_numbers(table: pd.DataFrame, column: str) -> pd.Series:
    found = table[column] if column in table else pd.Series(float("nan"), index=table.index)
    return pd.to_numeric(found, errors="coerce").astype(float)
