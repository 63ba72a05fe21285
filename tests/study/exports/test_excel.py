"""The workbook as openpyxl reads it."""

import dataclasses
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest

from fer.core.csv import neutralise
from fer.reports.study_data import StudyData
from fer.study.exports import excel
from fer.study.exports.excel import SHEETS
from fer.study.exports.export import export_study
from tests.helpers.exported_study import DEFINITIONS


def open_book(study: StudyData, directory: Path) -> openpyxl.Workbook:
    export_study(study, directory, ["excel"], DEFINITIONS)
    return openpyxl.load_workbook(directory / "study.xlsx")


def read_about(book: openpyxl.Workbook) -> str:
    return "\n".join(f"{name}: {text}" for name, text in book["about"].iter_rows(values_only=True))


def test_sheets_hold_the_tables(study: StudyData, tmp_path: Path) -> None:
    book = open_book(study, tmp_path)
    assert book.sheetnames == ["about", *SHEETS, "data dictionary"]
    for name in SHEETS:
        table = getattr(study, name)
        header, *rows = book[name].iter_rows(values_only=True)
        assert list(header) == list(table.columns)
        assert len(rows) == len(table)
        for row, wanted in zip(rows, table.itertuples(index=False, name=None), strict=True):
            for cell, value in zip(row, wanted, strict=True):
                if isinstance(value, float) and np.isinf(value):
                    assert cell == "inf"
                elif pd.isna(value) or value == "":
                    assert cell is None
                else:
                    # openpyxl writes one digit less than a float may need.
                    assert cell == (pytest.approx(value, rel=1e-15) if isinstance(value, float) else neutralise(value))
                    assert isinstance(cell, bool) == isinstance(value, bool | np.bool_)
    assert "Only three people." in read_about(book)
    meanings = {row[:2] for row in book["data dictionary"].iter_rows(min_row=2, max_col=2, values_only=True)}
    assert {("recordings", column) for column in study.recordings.columns} <= meanings


def test_headers_stay_in_sight_and_filter(study: StudyData, tmp_path: Path) -> None:
    sheet = open_book(study, tmp_path)["segment_values"]
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == f"A1:L{len(study.segment_values) + 1}"
    assert all(cell.font.bold for cell in sheet[1])
    assert not any(cell.font.bold for cell in sheet[2])
    assert all(8 <= sheet.column_dimensions[letter].width <= 60 for letter in "ABCDEFGHIJKL")


def test_no_cell_is_a_formula_and_no_name_breaks_the_file(hostile: StudyData, tmp_path: Path) -> None:
    texts = ["=1+1", "+1+cmd", "@SUM(A1)", "\x07=1+1", "#N/A", "a\x00b\ufffe\ud800", "x;=cmd", "#REF!", "-->\n\n"]
    hostile = dataclasses.replace(hostile, cautions=tuple(texts))
    book = open_book(hostile, tmp_path)
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert not {cell.data_type for cell in cells} & {"f", "e"}
    beginnings = [cell.value.lstrip()[:1] for cell in cells if isinstance(cell.value, str)]
    assert not set("=+-@") & set(beginnings)
    about = read_about(book)
    assert all(text in about for text in ("'=1+1", "'+1+cmd", "'@SUM(A1)", "#N/A", "caution: ab\n", "x;'=cmd", "#REF!"))
    who = [row[0] for row in book["respondents"].iter_rows(min_row=2, values_only=True)]
    assert who[:3] == ["../../etc/passwd", "'=cmd|' /C calc'!A0", "a/b"]


def test_what_excel_cannot_hold_is_told_in_a_sentence(
    study: StudyData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(excel, "MAX_ROWS", 11)
    monkeypatch.setattr(excel, "MAX_COLUMNS", 14)
    reasons = study.recordings.assign(file="z" * 40_000)
    book = open_book(dataclasses.replace(study, recordings=reasons), tmp_path)
    about = read_about(book)
    assert f"Sheet curves: Excel holds 11 rows; the first 10 of {len(study.curves)} are here" in about
    assert "Sheet contrasts: Excel holds 14 columns, of 25; all are in contrasts.csv." in about
    assert "Sheet recordings: Excel holds 32,767 characters in a cell; 10 texts are cut" in about
    assert [book[name].max_row for name in ("curves", "stimuli", "recordings")] == [11, 3, 11]
    long = book["recordings"]["B2"].value
    assert (len(long), long[-2:]) == (32_767, "z…")


def test_a_study_without_rows_has_all_sheets(empty: StudyData, tmp_path: Path) -> None:
    book = open_book(empty, tmp_path)
    assert book["contrasts"].max_row == 1
    assert book["contrasts"]["A1"].value == "contrast"
