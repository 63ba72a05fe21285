"""A study's file as people write it: YAML, CSV from any spreadsheet, Excel with one sheet or several."""

from pathlib import Path

import pytest
import yaml

from fer.study.reading import dump_study, read_study
from tests.helpers.study_files import HEADER, list_recordings, refuse, write

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
