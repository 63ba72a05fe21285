"""The data dictionary: every column of every exported table, its meaning, unit, type and range."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from fer.core.csv import write_csv
from fer.core.io import write_text
from fer.study.exports.columns import TABLES, Description, describe_column

COLUMNS = ("table", "column", "meaning", "unit", "type", "range", "missing")
_MAX_VALUES, _MAX_TEXT = 10, 40


def build_dictionary(
    tables: Mapping[str, pd.DataFrame],
    definitions: Mapping[str, tuple[str, str]],
    descriptions: Mapping[str, Mapping[str, Description]],
) -> pd.DataFrame:
    """Describe every column of tables.

    Args:
        tables: The tables by name.
        definitions: Meaning and unit of each measure.
        descriptions: Of columns that only this study has, by table and column.

    Returns:
        A row a column: `table, column, meaning, unit, type, range, missing`; range tells the values that occur, and
        missing how many are. A column that nobody describes has no meaning.
    """
    rows = []
    for name, table in tables.items():
        own = descriptions.get(name, {})
        for column in map(str, table.columns):
            found = own.get(column) or describe_column(name, column) or _describe_measure(column, definitions)
            values = table[column]
            rows.append((name, column, *found, _name_type(values), _tell_range(values), int(values.isna().sum())))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def write_dictionary(dictionary: pd.DataFrame, directory: Path, title: str) -> list[Path]:
    """Write `data_dictionary.csv` for people, and `data_dictionary.json` for programs.

    Args:
        dictionary: What ``build_dictionary`` says.
        directory: Where to.
        title: The study's title.
    """
    write_csv(dictionary, directory / "data_dictionary.csv", lineterminator="\n")
    tables: dict[str, Any] = {}
    for row in dictionary.to_dict("records"):
        entry = tables.setdefault(row["table"], {"meaning": TABLES[row["table"]], "columns": {}})
        entry["columns"][row["column"]] = {key: row[key] for key in COLUMNS[2:]}
    text = json.dumps({"study": title, "tables": tables}, ensure_ascii=False, indent=2)
    write_text(directory / "data_dictionary.json", text + "\n")
    return [directory / "data_dictionary.csv", directory / "data_dictionary.json"]


def _describe_measure(column: str, definitions: Mapping[str, tuple[str, str]]) -> Description:
    if column in definitions:
        return Description(*definitions[column])
    emotion = column.removeprefix("leads_")
    if emotion != column:
        return Description(f"Whether {emotion} is the strongest emotion in a frame of the step", "")
    return Description("", "")


def _name_type(values: "pd.Series[Any]") -> str:
    if pd.api.types.is_bool_dtype(values):
        return "boolean"
    if pd.api.types.is_integer_dtype(values):
        return "integer"
    return "number" if pd.api.types.is_numeric_dtype(values) else "text"


def _tell_range(values: "pd.Series[Any]") -> str:
    present = values.dropna()
    if present.empty:
        return ""
    if _name_type(values) in ("integer", "number"):
        return f"{present.min():.6g} to {present.max():.6g}"
    texts = sorted({str(value) for value in present})
    if len(texts) > _MAX_VALUES:
        return f"{len(texts)} different texts"
    return "; ".join(text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…" for text in texts)
