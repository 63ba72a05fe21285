"""A study's file in Excel, as people fill it in."""

import datetime
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from fer.study import excel
from fer.study.reading import read_study
from tests.helpers.study_files import HEADER, list_recordings, refuse, write


def build_workbook(path: Path, **sheets: list[list[Any]]) -> Path:
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.worksheets[0])
    for name, rows in sheets.items():
        sheet = workbook.create_sheet(name)
        for row in rows:
            sheet.append(row)
    workbook.save(path)
    return path


SHEETS: dict[str, list[list[Any]]] = {
    "Recordings": [
        ["Study of spring"],
        [],
        ["File", "Respondent", "Stimulus", "Onset s", "condition"],
        ["a.mp4", 1, "spotA", 1.5, None],
        ["b.mp4", 2.0, "spotA", "0,5", "loud"],
        [],
        ["c.mp4", "p3", "spotB", None, None],
    ],
    # A title over two columns, as merged cells have it.
    "RESPONDENTS ": [
        ["Respondent", "Consent", "Demographics", None],
        [None, None, "Gender", "Born"],
        ["01", True, "f", datetime.datetime(1990, 1, 2)],
        ["2", "x", "m", None],
        ["p3", None, 1, None],
    ],
    "stimuli": [["stimulus", "file", "duration", "cuts", "note"], ["spotA", "a.mp4", 30, "yes", "-"], ["spotB"]],
    "Events": [["stimulus", "event", "time_s"], ["spotA", "logo", 12.25]],
    "scenes": [["stimulus", "scene", "start", "end"], ["spotA", "intro", 0, 12]],
    "contrasts": [
        ["kind", "factor", "a", "b", "measures"],
        ["Between", "Gender", "f", "m", "happiness; valence"],
        ["mixed", "Gender + stimulus"],
    ],
    "Notes": [["whatever"]],
    "Tabelle3": [],
}


def test_a_workbook_with_sheets_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    study = read_study(build_workbook(tmp_path / "study.xlsx", **SHEETS))
    assert list_recordings(study, tmp_path) == [
        ("a.mp4", "01", "spotA", 1.5, None),
        ("b.mp4", "2", "spotA", 0.5, None),
        ("c.mp4", "p3", "spotB", 0.0, None),
    ]
    assert {name: (person.consent, person.groups) for name, person in study.respondents.items()} == {
        "01": (True, {"Gender": "f", "Born": "1990-01-02"}),
        "2": (True, {"Gender": "m"}),
        "p3": (False, {"Gender": "1"}),
    }
    spot = study.stimuli["spotA"]
    assert (spot.file, spot.duration_s, spot.cuts) == (str(tmp_path / "a.mp4"), 30, True)
    assert [(event.name, event.time_s) for event in spot.events] == [("logo", 12.25)]
    assert [(scene.name, scene.start_s, scene.end_s) for scene in spot.scenes] == [("intro", 0, 12)]
    assert [contrast.kind for contrast in study.contrasts] == ["between", "mixed"]
    assert study.contrasts[0].measures == ("happiness", "valence")
    assert getattr(study.contrasts[1], "factors") == ("Gender", "stimulus")  # noqa: B009
    assert "sheets that mean nothing: Notes" in caplog.text and "columns that mean nothing: note" in caplog.text


def test_a_workbook_of_one_sheet_is_the_table_whatever_its_name(tmp_path: Path) -> None:
    rows = [["file", "respondent", "stimulus", "consent"], ["a.mp4", 7, "A", "ja"], ["b.mp4", 8.0, "A", None]]
    study = read_study(build_workbook(tmp_path / "study.xlsx", Tabelle1=rows, Tabelle2=[]))
    assert {name: person.consent for name, person in study.respondents.items()} == {"7": True, "8": False}


@pytest.mark.parametrize(
    ("sheet", "row", "sentence"),
    [
        (
            "scenes",
            ["spotAA", "end", 1, 2],
            "sheet scenes, row 3: stimulus=spotAA: there is no such stimulus; did you mean spotA?",
        ),
        ("scenes", ["spotA", "end", 2, 1], "sheet scenes, row 3: end_s must be behind start_s"),
        ("stimuli", ["spotB"], "sheet stimuli, row 4: the stimulus spotB stands twice; leave one out"),
        ("RESPONDENTS ", ["2", "x"], "sheet RESPONDENTS , row 6: the respondent 2 stands twice; leave one out"),
        ("contrasts", ["sideways"], "sheet contrasts, row 4: kind=sideways: allowed are between, within, mixed"),
        ("Events", ["spotA", "x", "late"], "sheet Events, row 3: time_s=late: must be a number"),
    ],
)
def test_a_mistake_in_a_workbook_is_told_with_sheet_and_row(
    sheet: str, row: list[Any], sentence: str, tmp_path: Path
) -> None:
    sheets = {**SHEETS, sheet: [*SHEETS[sheet], row]}
    assert refuse(build_workbook(tmp_path / "study.xlsx", **sheets)) == sentence


def test_sheets_that_are_called_otherwise_are_told(tmp_path: Path) -> None:
    one = {"Recording": SHEETS["Recordings"], "stimuli": SHEETS["stimuli"]}
    assert refuse(build_workbook(tmp_path / "a.xlsx", **one)) == (
        "there is no use for a sheet 'Recording'; did you mean recordings?"
    )
    other = {"Sheet1": SHEETS["Recordings"], "stimuli": SHEETS["stimuli"]}
    assert refuse(build_workbook(tmp_path / "b.xlsx", **other)) == (
        "has no sheet recordings (its sheets: Sheet1, stimuli); name one so"
    )


def test_a_cell_with_an_error_is_told_by_its_place(tmp_path: Path) -> None:
    rows = [["file", "respondent", "stimulus"], ["a.mp4", "#REF!", "A"]]
    path = build_workbook(tmp_path / "study.xlsx", Sheet1=rows)
    assert refuse(path) == "sheet Sheet1, cell B2: holds the error #REF!; correct its formula"


def test_hostile_and_broken_workbooks_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "study.xlsx"
    for content in (b"", b"PK\x03\x04 and no more", b"\xd0\xcf\x11\xe0" + bytes(600)):
        path.write_bytes(content)
        assert refuse(path).startswith("is damaged, no Excel workbook (.xlsx) or locked by a password; save it again")
    for member, content, sentence in (
        ("[Content_Types].xml", b" " * (40 << 20), "is refused: it expands to more than 100 times its size"),
        ("a.xml", b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><x/>', "is refused: it declares entities"),
        ("a.xml", '<!DOCTYPE x [<!ENTITY a "b">]><x/>'.encode("utf-16"), "is refused: it declares entities"),
        ("word/document.xml", b"<x/>", "is damaged, no Excel workbook"),
    ):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(member, content)
        assert refuse(path).startswith(sentence)
    monkeypatch.setattr(excel, "MAX_ROWS", 3)
    rows = [["file", "respondent", "stimulus"], *([f"{number}.mp4", number, "A"] for number in range(3))]
    assert refuse(build_workbook(path, Sheet1=rows)) == "sheet Sheet1 has more than 3 rows; keep those needed"
    wide = [[*rows[0], *(f"g{number}" for number in range(98))]]
    assert refuse(build_workbook(path, Sheet1=wide)) == "sheet Sheet1 has more than 100 columns; keep those needed"


def test_mistakes_of_every_kind_and_sheet_are_told_at_once(tmp_path: Path) -> None:
    text = HEADER + "a,p,A,soon,yes,f\nb,,A,0,yes,f\nc,q,A,0,maybe,m\n"
    lines = refuse(write(tmp_path, text)).splitlines()
    assert sorted(line.split(":")[0] for line in lines) == ["line 2", "line 3", "line 4"]
    text = HEADER + "a,p,A,1,5,yes,f\nb,q,A,1,5,yes,f\n"
    assert [line.split(":")[0] for line in refuse(write(tmp_path, text)).splitlines()] == ["line 2", "line 3"]
    text = HEADER.replace("onset_s", "onste_s").replace("consent", "consnt") + "a,p,A,1,yes,f\n"
    assert refuse(write(tmp_path, text)).count("did you mean") == 2
    sheets = {**SHEETS, "Events": [["stimulus", "name"], ["spotA", "x"]], "scenes": [["stimulus", "nam", "start"], [1]]}
    lines = refuse(build_workbook(tmp_path / "study.xlsx", **sheets)).splitlines()
    assert [line.split(" lacks")[0] for line in lines] == ["sheet Events", "sheet scenes"]
