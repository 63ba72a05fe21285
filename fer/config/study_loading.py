"""From what a study's file holds to a checked ``Study``; a mistake is a line that names the place and the remedy."""

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fer.config.error_messages import format_value_error
from fer.config.study import (
    BetweenContrast,
    Event,
    MixedContrast,
    Recording,
    Respondent,
    Scene,
    Stimulus,
    Study,
    Window,
    WithinContrast,
)
from fer.errors import StudyError

# A place in the content: keys and numbers from the root on.
Place = tuple[int | str, ...]
MAX_PROBLEMS, _MAX_SHOWN = 20, 100
# A name that is less like another one is none of its misspellings: difflib's own bound.
_ALIKE = 0.6
_CONTRASTS: dict[str, type[BaseModel]] = {
    "between": BetweenContrast,
    "within": WithinContrast,
    "mixed": MixedContrast,
}


def parse_study(content: Any, source: str, places: Mapping[Place, str] | None = None) -> Study:
    """Check the content of a study's file.

    Args:
        content: What the file holds: plain maps, lists and texts.
        source: Key and path of the file, with which every message begins.
        places: What a user calls parts of the content that were rows of a table: ``("recordings", 3): "line 5"``.

    Raises:
        StudyError: What is wrong, a line each, with the key, the value, what is allowed and the nearest name.
    """
    if not isinstance(content, dict):
        raise StudyError(f"{source}: holds no keys; its keys are {', '.join(Study.model_fields)}")
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        details = error.errors()
        locations = [detail["loc"] for detail in details]
        # A list whose items are wrong is counted as empty, too.
        details = [
            detail
            for detail, place in zip(details, locations, strict=True)
            if not any(len(other) > len(place) and other[: len(place)] == place for other in locations)
        ]
        places = {**_name_recordings(content), **(places or {})}
        lines = [f"{source}: {_format_problem(detail, places)}{_explain_comma(detail, content)}" for detail in details]
        raise_problems(list(dict.fromkeys(lines)))
        raise


def raise_problems(lines: Sequence[str]) -> None:
    """Raise StudyError with a line for each problem, of very many the first ones; none raises nothing."""
    if not lines:
        return
    shown = list(lines[:MAX_PROBLEMS])
    if len(lines) > MAX_PROBLEMS:
        shown.append(f"… and {len(lines) - MAX_PROBLEMS} more of the kind")
    raise StudyError("\n".join(shown))


def shorten_name(name: str) -> str:
    """Return a name that someone wrote, cut to what fits into a sentence."""
    return name if len(name) <= _MAX_SHOWN else f"{name[:_MAX_SHOWN]}…"


def suggest_name(name: str, known: Sequence[str], most: int = 8) -> str:
    """Say which of the known names is the nearest; all of them where none is near and they are few."""
    if not known:
        return ""
    matcher = SequenceMatcher(b=name[:_MAX_SHOWN].casefold(), autojunk=False)
    likeness = []
    for text in known:
        matcher.set_seq1(text[:_MAX_SHOWN].casefold())
        likeness.append(matcher.ratio())
    nearest = shorten_name(known[likeness.index(max(likeness))])
    if max(likeness) >= _ALIKE:
        return f"; did you mean {nearest}?"
    if len(known) > most:
        return f"; of {len(known)} the nearest is {nearest}"
    return f"; allowed are {', '.join(map(shorten_name, known))}"


def _name_recordings(content: dict[str, Any]) -> dict[Place, str]:
    """What a user calls the recordings of a YAML file: their number, from one, and their file."""
    recordings = content.get("recordings")
    places: dict[Place, str] = {}
    for index, recording in enumerate(recordings if isinstance(recordings, list) else ()):
        file = recording.get("file") if isinstance(recording, dict) else None
        places["recordings", index] = f"recordings.{index + 1}" + (
            f" ({shorten_name(file)})" if isinstance(file, str) and file else ""
        )
    return places


def _format_problem(error: ErrorDetails, places: Mapping[Place, str]) -> str:
    location = _remove_tag(error["loc"])
    key = _format_key(location, places)
    match error["type"]:
        case "extra_forbidden":
            section = _find_section(error["loc"][:-1])
            known = [name for name in section.model_fields if name != "kind"] if section else []
            # What a decimal comma has made a key is near to none.
            hint = "" if str(location[-1]).isdigit() else suggest_name(str(location[-1]), known, most=12)
            return f"{key}: there is no such key{hint}"
        case "union_tag_not_found":
            return f"{_join(key, 'kind')}: a value is needed; it is {' or '.join(_CONTRASTS)}"
        case "union_tag_invalid":
            tag = str(error["ctx"]["tag"])
            return f"{_join(key, 'kind')}={shorten_name(tag)}: {suggest_name(tag, list(_CONTRASTS))[2:]}"
        case "model_type" | "model_attributes_type" | "dict_type":
            names = "" if error["type"] != "dict_type" else ", such as NAME: {…}"
            return f"{key}: must be a map of keys to values{names}{_list_keys(_find_section(error['loc']))}"
        case "value_error":
            return f"{key}: {error['ctx']['error']}" if key else str(error["ctx"]["error"])
        case "too_short":
            return f"{key}: there is none; at least one is needed"
        case "string_type" if error["input"] is None:
            return f"{key}: a value is needed"
        case "string_too_short":
            return f"{key}: is empty; a text is needed"
        case _:
            return format_value_error(error, key)


def _explain_comma(error: ErrorDetails, content: Any) -> str:
    """What to write where a decimal comma stands: in a map of one line it makes `4,09` the value 4 and the key 09."""
    value = error["input"]
    if error["type"] == "float_parsing" and re.fullmatch(r"[+-]?\d*,\d+", str(value).strip()):
        return f"; a decimal comma? write {str(value).strip().replace(',', '.')}"
    *above, key = _remove_tag(error["loc"]) or ("",)
    if value is not None or not re.fullmatch(r"[0-9]+", str(key)):
        return ""
    for part in above:
        content = content[part]
    if not isinstance(content, dict):
        return ""
    keys = list(content)
    before = content[keys[keys.index(key) - 1]] if keys.index(key) else None
    if not isinstance(before, str) or not re.fullmatch(r"[+-]?[0-9]+", before):
        return ""
    return f"; a decimal comma? write {before}.{key}"


def _remove_tag(location: Place) -> Place:
    """A place without the kind of a contrast, which Pydantic adds."""
    is_tagged = location[:1] == ("contrasts",) and len(location) > 2
    return (*location[:2], *location[3:]) if is_tagged else location


def _format_key(location: Place, places: Mapping[Place, str]) -> str:
    """A place as its user knows it: `recordings.3.onset_s` in YAML, `line 5: onset_s` in a table."""
    for length in range(len(location), 0, -1):
        if location[:length] in places:
            rest = ".".join(map(str, location[length:]))
            return f"{places[location[:length]]}{': ' if rest else ''}{rest}"
    # People count from one.
    shown = [f"{part + 1}" if isinstance(part, int) else shorten_name(str(part)) for part in location]
    return ".".join(shown)


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if ":" not in key and not key.startswith(("line ", "sheet ")) else f"{key}: {name}"


def _find_section(location: Place) -> type[BaseModel] | None:
    """The section whose keys stand at a place, the kinds of contrasts as Pydantic names them included."""
    match location:
        case ():
            return Study
        case ("stimuli", _):
            return Stimulus
        case ("stimuli", _, "events", _):
            return Event
        case ("stimuli", _, "scenes", _):
            return Scene
        case ("respondents", _):
            return Respondent
        case ("recordings", _):
            return Recording
        case ("baseline",):
            return Window
        case ("contrasts", _, str() as kind):
            return _CONTRASTS.get(kind)
    return None


def _list_keys(section: type[BaseModel] | None) -> str:
    return f"; its keys are {', '.join(section.model_fields)}" if section else ""
