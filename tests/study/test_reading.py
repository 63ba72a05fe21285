"""A study's file as people write it: YAML, CSV from any spreadsheet, Excel with one sheet or several."""

import datetime
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import yaml

from fer.config.study import Study
from fer.errors import ConfigError
from fer.study import excel
from fer.study.reading import dump_study, read_study

YAML = """
name: Spring
stimuli:
  spotA: {file: stimuli/a.mp4, events: [{name: logo, time_s: 12}], cuts: yes}
  1: {duration_s: 30}
respondents:
  010: {consent: yes, groups: {age: 18-29, smoker: no, born: 1990-01-02}}
  "020": {consent: false}
  1:30: {consent: x}
recordings:
- {file: clips/1.mp4, respondent: 010, stimulus: spotA, onset_s: 1.5}
- {file: s3://bucket/2.mp4, respondent: 020, stimulus: 1, condition: on}
contrasts:
- {kind: between, factor: smoker, a: no, b: yes}
"""


def write(folder: Path, text: str, name: str = "study.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def refuse(path: Path) -> str:
    """What is said about a file, without its name."""
    with pytest.raises(ConfigError) as raised:
        read_study(path)
    prefix = f"extraction.study={path}: "
    lines = str(raised.value).splitlines()
    assert all(line.startswith(prefix) for line in lines)
    return "\n".join(line.removeprefix(prefix) for line in lines)


def list_recordings(study: Study, folder: Path) -> list[tuple[Any, ...]]:
    return [
        (item.file.removeprefix(f"{folder}/"), item.respondent, item.stimulus, item.onset_s, item.offset_s)
        for item in study.recordings
    ]


def test_names_stay_as_yaml_has_them_and_paths_become_absolute(tmp_path: Path) -> None:
    study = read_study(write(tmp_path, YAML, "study.yaml"))
    assert list(study.respondents) == ["010", "020", "1:30"]
    assert study.respondents["010"].groups == {"age": "18-29", "smoker": "no", "born": "1990-01-02"}
    assert [person.consent for person in study.respondents.values()] == [True, False, True]
    assert list(study.stimuli) == ["spotA", "1"]
    assert study.stimuli["spotA"].file == str(tmp_path / "stimuli" / "a.mp4") and study.stimuli["spotA"].cuts
    assert study.recordings[0].file == str(tmp_path / "clips" / "1.mp4")
    assert study.recordings[1].file == "s3://bucket/2.mp4" and study.recordings[1].condition == "on"


def test_what_is_dumped_is_read_as_the_same_from_anywhere(tmp_path: Path) -> None:
    study = read_study(write(tmp_path, YAML, "study.yaml"))
    (tmp_path / "run").mkdir()
    copy = write(tmp_path / "run", yaml.safe_dump(dump_study(study)), "study.yaml")
    assert read_study(copy) == study


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            ("onset_s: 1.5", "onst_s: 1.5"),
            "recordings.1 (clips/1.mp4): onst_s: there is no such key; did you mean onset_s?",
        ),
        (
            ("onset_s: 1.5", "onset_s: 4,09"),
            "recordings.1 (clips/1.mp4): 09: there is no such key; a decimal comma? write 4.09",
        ),
        (
            ("onset_s: 1.5", 'onset_s: "4,09"'),
            "recordings.1 (clips/1.mp4): onset_s=4,09: must be a number; a decimal comma? write 4.09",
        ),
        (
            ("age: 18-29", "age: 4,5"),
            "respondents.010.groups.5: a value is needed; a decimal comma? write 4.5",
        ),
        (("onset_s: 1.5", "onset_s: -1"), "recordings.1 (clips/1.mp4): onset_s=-1: must be at least 0.0"),
        (("onset_s: 1.5", "offset_s: soon"), "recordings.1 (clips/1.mp4): offset_s=soon: must be a number"),
        (("onset_s: 1.5", "onset_s: 5, offset_s: 4"), "recordings.1 (clips/1.mp4): offset_s must be behind onset_s"),
        (("respondent: 010, ", ""), "recordings.1 (clips/1.mp4): respondent: a value is needed"),
        (("respondent: 010", "respondent: "), "recordings.1 (clips/1.mp4): respondent: a value is needed"),
        (
            ("consent: x", "consent: perhaps"),
            "respondents.1:30.consent: 'perhaps' is neither yes nor no; write yes or no",
        ),
        (("kind: between", "kind: betwen"), "contrasts.1.kind=betwen: did you mean between?"),
        (("kind: between, ", ""), "contrasts.1.kind: a value is needed; it is between or within or mixed"),
        (("factor: smoker, ", ""), "contrasts.1.factor: a value is needed"),
        (
            ("name: logo, time_s", "name: logo, tme_s"),
            "stimuli.spotA.events.1.time_s: a value is needed\n"
            "stimuli.spotA.events.1.tme_s: there is no such key; did you mean time_s?",
        ),
        (("name: Spring", "nam: Spring"), "nam: there is no such key; did you mean name?"),
        (
            ("recordings:", "respondents:"),
            "is no YAML that can be read: the key 'respondents' stands twice, in lines 6 and 10",
        ),
        (
            ("1: {duration_s", "spotA: {duration_s"),
            "is no YAML that can be read: the key 'spotA' stands twice, in lines 4 and 5",
        ),
        (
            ("name: Spring", "\tname: x"),
            "is no YAML that can be read: found character '\\t' that cannot start any token in line 2",
        ),
        (
            ("name: Spring", "name: !!python/name:os.system"),
            "is no YAML that can be read: could not determine a constructor "
            "for the tag 'tag:yaml.org,2002:python/name:os.system' in line 2",
        ),
    ],
)
def test_a_mistake_in_yaml_is_one_sentence(change: tuple[str, str], sentence: str, tmp_path: Path) -> None:
    assert change[0] in YAML
    assert refuse(write(tmp_path, YAML.replace(*change), "study.yaml")) == sentence


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    assert refuse(write(tmp_path, "", "study.ods")).startswith("is no study by its suffix '.ods'; allowed are .yaml")
    assert refuse(tmp_path / "none.yaml") == "cannot be read (No such file or directory)"
    assert refuse(tmp_path).startswith("is a directory; name the study's file, or write one with `")
    assert refuse(write(tmp_path, "", "study.yaml")).startswith("holds no keys; its keys are name, stimuli")
    assert (
        refuse(write(tmp_path, "recordings: []", "study.yaml")) == "recordings: there is none; at least one is needed"
    )


def test_a_csv_of_a_european_spreadsheet_is_read(tmp_path: Path) -> None:
    text = (
        "Wave 1;;;;;;;\r\n;;;;;;;\r\n"
        "File;RESPONDENT ;Stimulus;Onset (s);offset;Condition;Consent;Gender\r\n"
        "a.mp4;01; spotA;1,5;20,25;sound;JA;f\r\n\r\n"
        "b.mp4;02;spot\xa0B\u200b;;12 s;;;m\r\n;;;;;;;\r\n"
        "c.mp4;03;spotA;0;;;1;\r\n"
    )
    study = read_study(write(tmp_path, text, encoding="utf-8-sig"))
    assert list_recordings(study, tmp_path) == [
        ("a.mp4", "01", "spotA", 1.5, 20.25),
        ("b.mp4", "02", "spot B", 0.0, 12.0),
        ("c.mp4", "03", "spotA", 0.0, None),
    ]
    assert study.recordings[0].condition == "sound"
    assert {name: (person.consent, person.groups) for name, person in study.respondents.items()} == {
        "01": (True, {"Gender": "f"}),
        "02": (False, {"Gender": "m"}),
        "03": (True, {}),
    }


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("told", [False, True])
def test_any_separator_is_found_or_told(separator: str, told: bool, tmp_path: Path) -> None:
    rows = [["file", "respondent", "stimulus", "stimulus_file", "duration_s"], ["a.mp4", "p1", "A", "s.mp4", "30"]]
    text = f"sep={separator}\n" * told + "\n".join(separator.join(row) for row in rows)
    study = read_study(write(tmp_path, text))
    assert list_recordings(study, tmp_path) == [("a.mp4", "p1", "A", 0.0, None)]
    assert study.stimuli["A"].file == str(tmp_path / "s.mp4") and study.stimuli["A"].duration_s == 30


@pytest.mark.parametrize("word", ["yes", "Y", "TRUE", "1", "x", "X", "ja", "oui", " Yes "])
def test_words_for_consent(word: str, tmp_path: Path) -> None:
    study = read_study(write(tmp_path, f"file,respondent,stimulus,consent\na,p,A,{word}\n"))
    assert study.respondents["p"].consent


@pytest.mark.parametrize("word", ["no", "N", "FALSE", "0", "", "nein", "-"])
def test_words_against_it(word: str, tmp_path: Path) -> None:
    study = read_study(write(tmp_path, f"file,respondent,stimulus,consent\na,p,A,{word}\n"))
    assert not study.respondents["p"].consent


HEADER = "file,respondent,stimulus,onset_s,consent,gender\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the table is empty; it needs file, respondent, stimulus"),
        ("\n ,\n", "the table is empty; it needs file, respondent, stimulus"),
        (HEADER, "recordings: there is none; at least one is needed"),
        (HEADER + "a,p,A,0:30,yes,f\n", "line 2: onset_s=0:30: must be a number"),
        (HEADER + "a,p,A,-1,yes,f\n", "line 2: onset_s=-1: must be at least 0.0"),
        (HEADER + "\na,p,A,0,maybe,f\n", "line 3: consent: 'maybe' is neither yes nor no; write yes or no"),
        (HEADER + "a,p,,0,yes,f\n", "line 2: has no stimulus (of merged cells the first one alone holds the value)"),
        (
            HEADER + "a,p,A,0,yes,f\nb,p,B,0,yes,m\n",
            "line 3: the respondent p has gender=m here and f before; it can have "
            "one (what differs between recordings is the condition)",
        ),
        (
            HEADER + "a,p,A,0,yes,f\nb,p,B,0,,f\n",
            "line 3: the respondent p has consent=nothing here and yes before; write the same in each row of a person",
        ),
        (
            HEADER + "a,p,A,1,5,yes,f\n",
            "line 2: 'f' stands in a column without a name; name it, or put double quotes "
            "around a field that has the separator in it",
        ),
        (
            HEADER.replace("consent", "consnt") + "a,p,A,1,yes,f\n",
            "the table has a column consnt; did you mean consent? Otherwise give it a name that is not so near",
        ),
        (HEADER.replace("gender", "onset"), "the table has two columns onset_s; leave one of them out"),
        (HEADER.replace("gender", "Consent "), "the table has two columns consent; leave one of them out"),
        (
            HEADER.replace("file", "filename"),
            "the table lacks the column file; rename filename if it is file; its header "
            "must name file, respondent, stimulus, and may name onset_s, offset_s, condition, consent, stimulus_file, "
            "duration_s",
        ),
        (
            'file,respondent,stimulus\n"a,p,A\n',
            "line 2 cannot be read as CSV (unexpected end of data); export it again as CSV",
        ),
    ],
)
def test_a_mistake_in_a_table_is_one_sentence_with_the_line(text: str, sentence: str, tmp_path: Path) -> None:
    assert refuse(write(tmp_path, text)) == sentence


def test_every_mistake_of_a_table_is_told_at_once(tmp_path: Path) -> None:
    text = HEADER + "a,p,A,0,yes,f\nb,,A,0,yes,f\nc,p,,0,yes,m\n"
    assert [line.split(":")[0] for line in refuse(write(tmp_path, text)).splitlines()] == ["line 3", "line 4"]


def test_names_of_windows_and_macs_are_found(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    for name in ("clips/a.mp4", "e\u0301.mp4", "two  spaces.mp4"):
        (tmp_path / name).touch()
    text = "file,respondent,stimulus\nclips\\a.mp4,p1,A\n\xe9.mp4,p2,A\ntwo  spaces.mp4,p3,A\n"
    study = read_study(write(tmp_path, text))
    assert all(Path(item.file).is_file() for item in study.recordings)


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
