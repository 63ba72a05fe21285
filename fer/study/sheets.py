"""From tables of people to the content of a study's file: one table of recordings, or a workbook with a sheet each."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fer.config.study import parse_flag
from fer.config.study_loading import Place, parse_study, raise_problems, shorten_name, suggest_name
from fer.errors import StudyError
from fer.study.tables import Columns, Record, Rows, clean_number, clean_text, fold_name, read_records

SHEETS: dict[str, Columns] = {
    "recordings": Columns(
        required=("file", "respondent", "stimulus"),
        optional=("onset_s", "offset_s", "condition", "consent", "stimulus_file", "duration_s"),
        open=True,
    ),
    "respondents": Columns(required=("respondent",), optional=("consent",), open=True),
    "stimuli": Columns(
        required=("stimulus",), optional=("file", "duration_s", "cuts"), aliases={"stimulus_file": "file"}
    ),
    "events": Columns(
        required=("stimulus", "name", "time_s"), optional=("end_s",), aliases={"event": "name", "start": "time_s"}
    ),
    "scenes": Columns(required=("stimulus", "name", "start_s", "end_s"), aliases={"scene": "name"}),
    "contrasts": Columns(
        required=("kind",),
        optional=("factor", "a", "b", "stimuli", "measures", "over_time"),
        aliases={"factors": "factor", "stimulus": "stimuli", "measure": "measures"},
    ),
}
log = logging.getLogger(__name__)


@dataclass
class _Content:
    """The content of a study's file that is being built, and what users call its parts."""

    values: dict[str, Any] = field(
        default_factory=lambda: {"stimuli": {}, "respondents": {}, "recordings": [], "contrasts": []}
    )
    places: dict[Place, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def build_content(tables: dict[str, Rows], source: str) -> tuple[dict[str, Any], dict[Place, str]]:
    """Build the content of a study's file from tables.

    Where there is no sheet of respondents or stimuli, those of the recordings are taken.

    Args:
        tables: Tables by the name of their sheet, in capitals or not; a single one holds the recordings.
        source: Key and path of the file, with which messages begin.

    Returns:
        The content, and what a user calls parts of it, see ``parse_study``.

    Raises:
        StudyError: A table lacks what it needs, or its rows contradict each other; a line each.
    """
    sheets = _choose_sheets(tables, source)
    records: dict[str, list[Record]] = {}
    problems: list[str] = []
    for name, table in sheets.items():
        try:
            records[name] = read_records(table, SHEETS[name])
        except StudyError as error:
            problems += str(error).splitlines()
    raise_problems(problems)
    content = _Content()
    for record in records.get("stimuli", []):
        _add_stimulus(content, record)
    for record in records.get("respondents", []):
        _add_respondent(content, record)
    for record in records["recordings"]:
        _add_recording(content, record, "stimuli" in records, "respondents" in records)
    for name in ("events", "scenes"):
        for record in records.get(name, []):
            _add_part(content, name, record)
    for record in records.get("contrasts", []):
        _add_contrast(content, record)
    problems = [f"{source}: {problem}" for problem in dict.fromkeys(content.problems)]
    if problems and content.values["recordings"]:
        # What is wrong with single values is told in the same go.
        try:
            parse_study(content.values, source, content.places)
        except StudyError as error:
            problems += str(error).splitlines()
    raise_problems(problems)
    return content.values, content.places


def _choose_sheets(tables: dict[str, Rows], source: str) -> dict[str, Rows]:
    """The sheets that mean something, by their names in small letters. Raises StudyError."""
    filled = {
        title: table
        for title, table in tables.items()
        if any(clean_text(text) for _, fields in table.rows for text in fields)
    }
    known = {title: clean_text(title).casefold() for title in filled}
    sheets = {name: filled[title] for title, name in known.items() if name in SHEETS}
    if len(filled or tables) == 1 and not sheets:
        return {"recordings": next(iter((filled or tables).values()))}
    absent = [name for name in SHEETS if name not in sheets]
    others = [title for title, name in known.items() if name not in SHEETS]
    for title in others:
        hint = suggest_name(title, absent) if absent else ""
        if hint.startswith("; did you mean"):
            raise StudyError(f"{source}: there is no use for a sheet {shorten_name(title)!r}{hint}")
    if "recordings" not in sheets:
        named = ", ".join(map(shorten_name, filled)) or "none with anything in it"
        raise StudyError(f"{source}: has no sheet recordings (its sheets: {named}); name one so")
    if others:
        log.warning("%s: sheets that mean nothing: %s", source, ", ".join(map(shorten_name, others)))
    return sheets


def _find_known(name: str, known: Sequence[str]) -> str:
    """The known name that is written so, or as the same number: spreadsheets make 1 of 01, and 1.0 of 1."""
    if name in known or not fold_name(name).isdigit():
        return name
    same = [other for other in known if fold_name(other) == fold_name(name)]
    return same[0] if len(same) == 1 else name


def _put_once(content: _Content, target: dict[str, Any], values: dict[str, str], record: Record, whose: str) -> None:
    """Enter values that belong to a stimulus or person, and not to a row: rows must not contradict each other."""
    for key, value in values.items():
        earlier = target.setdefault(key, value)
        if earlier != value:
            content.problems.append(
                f"{record.place}: {whose} has {key}={shorten_name(value)} here and {shorten_name(earlier)} before; it "
                "can have one (what differs between recordings is the condition)"
            )


def _add_stimulus(content: _Content, record: Record) -> None:
    name = record.values.get("stimulus", "")
    stimuli = content.values["stimuli"]
    if not name:
        content.problems.append(f"{record.place}: has no stimulus")
    elif name in stimuli:
        content.problems.append(f"{record.place}: the stimulus {shorten_name(name)} stands twice; leave one out")
    else:
        stimuli[name] = {key: record.values[key] for key in ("file", "cuts") if key in record.values}
        if "duration_s" in record.values:
            stimuli[name]["duration_s"] = clean_number(record.values["duration_s"])
        content.places["stimuli", name] = record.place


def _add_respondent(content: _Content, record: Record) -> None:
    name = record.values.get("respondent", "")
    respondents = content.values["respondents"]
    if not name:
        content.problems.append(f"{record.place}: has no respondent")
    elif name in respondents:
        content.problems.append(f"{record.place}: the respondent {shorten_name(name)} stands twice; leave one out")
    else:
        groups = {key: value for key, value in record.values.items() if key not in ("respondent", "consent")}
        respondents[name] = {"consent": record.values.get("consent", ""), "groups": groups}
        content.places["respondents", name] = record.place


def _add_recording(content: _Content, record: Record, has_stimuli: bool, has_respondents: bool) -> None:
    values = record.values
    if missing := [name for name in SHEETS["recordings"].required if name not in values]:
        content.problems.append(
            f"{record.place}: has no {' and no '.join(missing)} (of merged cells the first one alone holds the value)"
        )
        return
    stimuli, respondents = content.values["stimuli"], content.values["respondents"]
    stimulus = _find_known(values["stimulus"], list(stimuli)) if has_stimuli else values["stimulus"]
    respondent = _find_known(values["respondent"], list(respondents)) if has_respondents else values["respondent"]
    recording = {"file": values["file"], "respondent": respondent, "stimulus": stimulus}
    recording |= {key: clean_number(values[key]) for key in ("onset_s", "offset_s") if key in values}
    if "condition" in values:
        recording["condition"] = values["condition"]
    content.places["recordings", len(content.values["recordings"])] = record.place
    content.values["recordings"].append(recording)
    # A name that a sheet of stimuli or respondents lacks is a mistake, which is found later.
    if not has_stimuli or stimulus in stimuli:
        content.places.setdefault(("stimuli", stimulus), record.place)
        facts = {"file": values["stimulus_file"]} if "stimulus_file" in values else {}
        if "duration_s" in values:
            facts["duration_s"] = clean_number(values["duration_s"])
        _put_once(content, stimuli.setdefault(stimulus, {}), facts, record, f"the stimulus {shorten_name(stimulus)}")
    if not has_respondents or respondent in respondents:
        whose = f"the respondent {shorten_name(respondent)}"
        person = respondents.get(respondent)
        if person is None:
            person = respondents[respondent] = {"consent": values.get("consent", ""), "groups": {}}
            content.places["respondents", respondent] = record.place
        elif not has_respondents or "consent" in values:
            _check_same_consent(content, person, values.get("consent", ""), record, whose)
        columns = SHEETS["recordings"]
        groups = {key: text for key, text in values.items() if key not in (*columns.required, *columns.optional)}
        _put_once(content, person["groups"], groups, record, whose)


def _check_same_consent(content: _Content, person: dict[str, Any], consent: str, record: Record, whose: str) -> None:
    """Consent belongs to a person: an empty field beside a yes may mean that it was withdrawn."""
    try:
        differs = parse_flag(person["consent"]) != parse_flag(consent)
    except ValueError:
        differs = person["consent"] != consent
    if differs:
        content.problems.append(
            f"{record.place}: {whose} has consent={shorten_name(consent) or 'nothing'} here and "
            f"{shorten_name(person['consent']) or 'nothing'} before; write the same in each row of a person"
        )


def _add_part(content: _Content, kind: str, record: Record) -> None:
    """Add an event or a scene to its stimulus."""
    stimuli = content.values["stimuli"]
    name = _find_known(record.values.get("stimulus", ""), list(stimuli))
    if name not in stimuli:
        content.problems.append(
            f"{record.place}: stimulus={shorten_name(name) or 'nothing'}: there is no such stimulus"
            f"{suggest_name(name, list(stimuli))}"
        )
        return
    parts = stimuli[name].setdefault(kind, [])
    content.places["stimuli", name, kind, len(parts)] = record.place
    parts.append(
        {
            key: clean_number(value) if key.endswith("_s") else value
            for key, value in record.values.items()
            if key in (*SHEETS[kind].required, *SHEETS[kind].optional) and key != "stimulus"
        }
    )


def _add_contrast(content: _Content, record: Record) -> None:
    known = (*SHEETS["contrasts"].required, *SHEETS["contrasts"].optional)
    contrast: dict[str, Any] = {key: value for key, value in record.values.items() if key in known}
    contrast["kind"] = contrast.get("kind", "").casefold()
    if contrast["kind"] == "mixed" and "factor" in contrast:
        contrast["factors"] = _split_list(contrast.pop("factor"))
    for key in ("stimuli", "measures"):
        if key in contrast:
            contrast[key] = _split_list(contrast[key])
    content.places["contrasts", len(content.values["contrasts"])] = record.place
    content.values["contrasts"].append(contrast)


def _split_list(text: str) -> list[str]:
    """The names of a field: with commas, semicolons or + between them."""
    separator = next((mark for mark in ";,+" if mark in text), ",")
    return [name for name in map(clean_text, text.split(separator)) if name]
