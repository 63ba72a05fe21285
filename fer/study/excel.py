"""The sheets of an Excel workbook as texts, whoever made it: sizes are bounded, formulas are not computed."""

import datetime
import warnings
import zipfile
from pathlib import Path
from typing import Any

from fer.core.archive import ArchiveLimits, open_zip
from fer.core.bounded_stream import StreamError
from fer.core.csv import MAX_COLUMNS
from fer.core.extras import require_packages
from fer.errors import StudyError, shorten_error

# Rows of a sheet; XML of tables is packed to a tenth or less, and a workbook of so many rows has some megabytes.
MAX_ROWS = 20_000
LIMITS = ArchiveLimits(max_members=1000, max_bytes=128 << 20, max_ratio=100)
# Sheets that are formatted down to the last row have a million empty ones.
_MAX_BLANK_ROWS = 1000
# Of each part of a workbook: where XML declares entities, which an honest one does not.
_HEAD_BYTES = 4096


def read_workbook(path: Path, source: str) -> dict[str, list[tuple[int, list[str]]]]:
    """Read every sheet of a workbook.

    Args:
        path: The .xlsx file.
        source: Key and path of the file, with which messages begin.

    Returns:
        By the name of the sheet: (number of the row, texts of its cells) for each row, the blank ones included; whole
        numbers without a point, days as 2026-01-31.

    Raises:
        StudyError: It is no workbook, is beyond a bound, or a cell holds an error.
    """
    require_packages("openpyxl", purpose=source)
    import openpyxl

    try:
        _check_parts(path)
        with warnings.catch_warnings():
            # Of styles and validations, which nobody asks for here.
            warnings.simplefilter("ignore")
            workbook = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
            try:
                return {sheet.title: _read_sheet(sheet, source) for sheet in workbook.worksheets}
            finally:
                workbook.close()
    except StudyError:
        raise
    except OSError as error:
        raise StudyError(f"{source}: cannot be read ({error.strerror or error})") from None
    except StreamError as error:
        raise StudyError(f"{source}: is refused: {error}") from None
    except Exception as error:
        # A damaged workbook raises whatever its reader meets.
        hint = "is damaged, no Excel workbook (.xlsx) or locked by a password; save it again as .xlsx"
        raise StudyError(f"{source}: {hint} ({shorten_error(error)})") from None


def _check_parts(path: Path) -> None:
    """Refuse a workbook that expands too far, or that declares entities. Raises StreamError, zipfile.BadZipFile."""
    with open_zip(path, LIMITS) as archive:
        for member in archive.infolist():
            with archive.open(member) as part:
                head = part.read(_HEAD_BYTES).replace(b"\0", b"")
            if b"<!DOCTYPE" in head or b"<!ENTITY" in head:
                raise StreamError("it declares entities")
        if "[Content_Types].xml" not in archive.namelist():
            raise zipfile.BadZipFile("a ZIP archive of something else")


def _read_sheet(sheet: Any, source: str) -> list[tuple[int, list[str]]]:
    rows: list[tuple[int, list[str]]] = []
    blank = 0
    # What a sheet says of its size may be wrong.
    sheet.reset_dimensions()
    for number, cells in enumerate(sheet.iter_rows(max_col=MAX_COLUMNS + 1), 1):
        texts = [_format_cell(cell, f"{source}: sheet {sheet.title}") for cell in cells]
        blank = blank + 1 if not any(texts) else 0
        if blank > _MAX_BLANK_ROWS:
            break
        if texts[MAX_COLUMNS:] and texts[MAX_COLUMNS]:
            raise StudyError(f"{source}: sheet {sheet.title} has more than {MAX_COLUMNS} columns; keep those needed")
        if number > MAX_ROWS and not blank:
            raise StudyError(f"{source}: sheet {sheet.title} has more than {MAX_ROWS:,} rows; keep those needed")
        rows.append((number, texts))
    return rows


def _format_cell(cell: Any, place: str) -> str:
    """The text of a cell. Raises StudyError where it holds an error."""
    value = cell.value
    if cell.data_type == "e":
        raise StudyError(f"{place}, cell {cell.coordinate}: holds the error {value}; correct its formula")
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return str(int(value)) if value.is_integer() else format(value, ".15g")
        case datetime.datetime() if value.time() == datetime.time():
            return value.date().isoformat()
        case _:
            return str(value)
