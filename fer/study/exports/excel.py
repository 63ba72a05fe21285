"""The study as a workbook of Excel: a sheet for each table that people read."""

import re
import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
import pandas as pd

from fer.core.csv import neutralise
from fer.core.io import atomic_write
from fer.study.exports.columns import TABLES
from fer.study.exports.prepared import PreparedStudy

# Excel's own limits.
MAX_ROWS, MAX_CHARACTERS, MAX_COLUMNS = 1_048_576, 32_767, 16_384
# Of the others, which are for programs, a sheet would only be long.
SHEETS = (
    *("stimuli", "segments", "respondents", "recordings", "moments", "contrasts", "clusters", "mixed"),
    *("segment_summary", "segment_values", "curves", "reliability", "norms"),
)
_ABOUT, _DICTIONARY = "about", "data dictionary"
# What XML has no place for: most control characters, half pairs of UTF-16, two that are no characters.
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# The earliest time of a ZIP archive: the same study gives the same bytes.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MIN_WIDTH, _MAX_WIDTH, _WIDTH_ROWS = 8, 60, 200


def write_excel(study: PreparedStudy, directory: Path) -> list[Path]:
    """Write `study.xlsx`.

    Args:
        study: The study.
        directory: Where to.
    """
    from openpyxl import Workbook
    from openpyxl.writer.excel import ExcelWriter

    path = directory / "study.xlsx"
    sheets = {name: study.tables[name] for name in SHEETS} | {_DICTIONARY: study.dictionary}
    cleaned, notes = {}, []
    for name, table in sheets.items():
        cleaned[name], cut = _fit_table(table, name)
        notes += cut
    workbook = Workbook(write_only=True)
    workbook.properties.created = workbook.properties.modified = datetime(*_EPOCH)
    workbook.properties.creator = "fer-experiments"
    _write_about(workbook.create_sheet(_ABOUT), study, notes)
    for name, table in cleaned.items():
        _write_sheet(workbook.create_sheet(name), table)
    with atomic_write(path) as temporary, TemporaryFile() as draft:
        # Not Workbook.save, which enters the time of day.
        ExcelWriter(workbook, ZipFile(draft, "w", ZIP_DEFLATED)).save()
        _copy_without_times(draft, temporary)
    return [path]


def _fit_table(table: pd.DataFrame, name: str) -> tuple[pd.DataFrame, list[str]]:
    """A table as Excel can hold it, and a sentence for each thing that it cannot."""
    notes = []
    if len(table) >= MAX_ROWS:
        notes.append(
            f"Sheet {name}: Excel holds {MAX_ROWS:,} rows; the first {MAX_ROWS - 1:,} of {len(table):,} are here, all "
            f"of them in {name}.csv."
        )
        table = table.head(MAX_ROWS - 1)
    if len(table.columns) > MAX_COLUMNS:
        notes.append(
            f"Sheet {name}: Excel holds {MAX_COLUMNS:,} columns, of {len(table.columns):,}; all are in {name}.csv."
        )
        table = table.iloc[:, :MAX_COLUMNS]
    columns: dict[str, Any] = {}
    cut = 0
    for column, values in table.items():
        if not _is_number(values):
            values = values.map(_clean_text, na_action="ignore")
            is_long = values.map(lambda value: isinstance(value, str) and len(value) > MAX_CHARACTERS).astype(bool)
            cut += int(is_long.sum())
            values = values.where(~is_long, values.map(lambda value: str(value)[: MAX_CHARACTERS - 1] + "…"))
        columns[str(column)] = values
    if cut:
        notes.append(
            f"Sheet {name}: Excel holds {MAX_CHARACTERS:,} characters in a cell; {cut} texts are cut and end with …."
        )
    return table.assign(**columns), notes


def _is_number(values: "pd.Series[Any]") -> bool:
    return pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values)


def _clean_text(value: Any) -> Any:
    # What is removed may have hidden the beginning of a formula.
    return neutralise(_ILLEGAL.sub("", value)) if isinstance(value, str) else value


def _write_about(sheet: Any, study: PreparedStudy, notes: Sequence[str]) -> None:
    """The first sheet: title, cautions, and what each sheet holds."""
    sheet.column_dimensions["A"].width, sheet.column_dimensions["B"].width = 24, 110
    baseline = "changes from the baseline" if study.data.has_baseline else "as measured"
    rows = [("study", study.data.name), ("values", baseline)]
    rows += [("caution", text) for text in study.data.cautions]
    rows += [("note", text) for text in notes]
    rows += [(f"sheet {name}", TABLES[name]) for name in SHEETS]
    rows.append((f"sheet {_DICTIONARY}", "Every column of every table: meaning, unit, type, range"))
    rows.append(("other tables", f"{', '.join(name for name in TABLES if name not in SHEETS)}: as CSV and Parquet"))
    for name, text in rows:
        sheet.append([_make_cell(sheet, name, is_bold=True), _make_cell(sheet, _clean_text(text)[:MAX_CHARACTERS])])


def _write_sheet(sheet: Any, table: pd.DataFrame) -> None:
    from openpyxl.utils import get_column_letter

    # Widths and the frozen row are written before the rows.
    sheet.freeze_panes = "A2"
    headers = [_clean_text(str(column))[:MAX_CHARACTERS] for column in table.columns]
    for number, header in enumerate(headers, 1):
        sheet.column_dimensions[get_column_letter(number)].width = _measure_width(header, table.iloc[:, number - 1])
    if headers:
        sheet.auto_filter.ref = f"A1:{get_column_letter(len(headers))}{len(table) + 1}"
    sheet.append([_make_cell(sheet, header, is_bold=True) for header in headers])
    for row in zip(*(_list_values(table.iloc[:, number]) for number in range(len(headers))), strict=True):
        sheet.append([_make_cell(sheet, value) if isinstance(value, str) else value for value in row])


def _make_cell(sheet: Any, text: str, is_bold: bool = False) -> Any:
    """A cell that is a text, whatever it begins with or is spelled like."""
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font

    cell = WriteOnlyCell(sheet, text)
    cell.data_type = "s"
    if is_bold:
        cell.font = Font(bold=True)
    return cell


def _list_values(values: "pd.Series[Any]") -> list[Any]:
    """The cells of a column in types of Python: None where there is nothing; infinity, which Excel lacks, in words."""
    cells = values.astype(object).where(values.notna(), None).tolist()
    if pd.api.types.is_float_dtype(values):
        return [str(cell) if cell is not None and np.isinf(cell) else cell for cell in cells]
    return [cell if cell is None or isinstance(cell, bool | int | float | str) else str(cell) for cell in cells]


def _measure_width(header: str, values: "pd.Series[Any]") -> float:
    head = values.head(_WIDTH_ROWS)
    longest = 12 if pd.api.types.is_float_dtype(head) else max((len(str(value)) for value in head), default=0)
    return float(min(max(len(header) + 4, longest + 2, _MIN_WIDTH), _MAX_WIDTH))


def _copy_without_times(draft: IO[bytes], path: Path) -> None:
    """Copy an archive, every member of which then has one and the same time."""
    with ZipFile(draft) as source, ZipFile(path, "w", ZIP_DEFLATED) as target:
        for name in source.namelist():
            member = ZipInfo(name, _EPOCH)
            member.compress_type = ZIP_DEFLATED
            with source.open(name) as reader, target.open(member, "w") as writer:
                shutil.copyfileobj(reader, writer, 1 << 20)
