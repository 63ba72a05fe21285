"""What AWS's own description of an API allows in a request: patterns, ranges, lengths, enumerations.

boto3 checks names and types before it sends a request; all else it leaves to AWS.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

# Python's patterns lack classes of Unicode. Here a class is its members in ASCII and one character that stands, by
# `_replace_by_class`, for all others.
UNICODE_CLASSES = {
    "L": "A-Za-z\u00e9",
    "M": "\u0301",
    "N": "0-9\u00b2",
    "Z": " \u00a0",
    "Zs": " \u00a0",
    "P": r"!-#%-*,-/:;?@\[-\]_{}" + "\u00b7",
    "S": r"$+<->^`|~" + "\u00a9",
    "Alnum": "A-Za-z0-9",
}
STAND_INS = {"L": "\u00e9", "M": "\u0301", "N": "\u00b2", "Z": "\u00a0", "P": "\u00b7", "S": "\u00a9"}
MAX_SHOWN = 60  # characters of a value in a message
MAX_CHOICES = 12  # of an enumeration in a message
# By these a member of a list is named in a message.
NAMING_MEMBERS = ("Name", "Key", "ChannelName", "InputName", "OutputName", "MetricName")


@dataclass(frozen=True)
class Violation:
    """A value that AWS would refuse.

    Attributes:
        place: Where it stands in the request, such as ``ResourceConfig.InstanceType``.
        value: The value, shortened; empty where it must not be shown.
        rule: What is wrong with it.
    """

    place: str
    value: str
    rule: str

    def __str__(self) -> str:
        shown = f"{self.place}={self.value}" if self.value else self.place
        return f"{shown}: {self.rule}"


def find_violations(shape: Any, value: Any, place: str = "") -> Iterator[Violation]:
    """Yield what of a value breaks the rules of a shape of botocore's service model.

    Names and types are not looked at: botocore's own ParamValidator does that.

    Args:
        shape: The shape, such as the input shape of an operation.
        value: The value, such as the parameters of a request.
        place: Where the value stands, for messages.
    """
    rule = find_broken_rule(shape, value)
    if rule is not None:
        yield Violation(place, "" if _is_hidden(shape) else _shorten(value), rule)
    elif shape.type_name == "structure" and isinstance(value, Mapping):
        for name, inner in value.items():
            if name in shape.members:
                yield from find_violations(shape.members[name], inner, f"{place}.{name}" if place else name)
    elif shape.type_name == "list" and isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from find_violations(shape.member, inner, f"{place}[{_name_member(inner, number)}]")
    elif shape.type_name == "map" and isinstance(value, Mapping):
        for key, inner in value.items():
            yield from find_violations(shape.key, key, f"{place}.{_shorten(key)}")
            yield from find_violations(shape.value, inner, f"{place}.{_shorten(key)}")


def find_broken_rule(shape: Any, value: Any) -> str | None:
    """Return what is wrong with one value, without those inside it; None where it is right or of another type."""
    rules, kind = shape.metadata, shape.type_name
    if kind in ("string", "list", "map") and isinstance(value, str | list | tuple | Mapping):
        size, unit = len(value), "characters" if kind == "string" else "entries"
        problem = _check_range(size, rules, f"has {size} {unit}")
    elif kind in ("integer", "long", "float", "double") and isinstance(value, int | float):
        problem = _check_range(value, rules, "is out of range")
    else:
        return None
    if problem is not None or not isinstance(value, str):
        return problem
    if (choices := rules.get("enum")) and value not in choices:
        return _format_choices(value, choices)
    pattern = compile_pattern(rules["pattern"]) if "pattern" in rules else None
    if pattern is not None and not pattern.fullmatch(_replace_by_class(value)):
        return f"must match {rules['pattern']}"
    return None


@cache
def compile_pattern(text: str) -> re.Pattern[str] | None:
    """Return a pattern of AWS as Python has it; None for the few that are none there either."""
    for name, members in UNICODE_CLASSES.items():
        text = text.replace(rf"\p{{{name}}}", members)
    # Some carry a length behind their end: `(…)${1,128}`.
    text = re.sub(r"\$\{\d+,\d+\}$", "", text)
    try:
        return re.compile(text, re.ASCII)
    except re.error:
        return None


def _replace_by_class(value: str) -> str:
    """Return the text with one letter for all letters beyond ASCII, one digit for all digits, and so on."""
    if value.isascii():
        return value
    return "".join(char if char.isascii() else STAND_INS.get(unicodedata.category(char)[0], char) for char in value)


def _check_range(size: float, rules: Mapping[str, Any], what: str) -> str | None:
    low, high = rules.get("min"), rules.get("max")
    if (low is None or size >= low) and (high is None or size <= high):
        return None
    allowed = " and ".join(
        f"{word} {limit}" for word, limit in (("at least", low), ("at most", high)) if limit is not None
    )
    return f"{what}; AWS takes {allowed}"


def _format_choices(value: str, choices: list[str]) -> str:
    if len(choices) <= MAX_CHOICES:
        return f"AWS takes {', '.join(choices)}"
    near = get_close_matches(value, choices, n=1, cutoff=0.8)
    return f"is none of the {len(choices)} that AWS takes{f'; did you mean {near[0]}?' if near else ''}"


def _is_hidden(shape: Any) -> bool:
    return bool(shape.metadata.get("sensitive"))


def _name_member(member: Any, number: int) -> str:
    names = [member.get(name) for name in NAMING_MEMBERS] if isinstance(member, Mapping) else []
    return _shorten(next((name for name in names if isinstance(name, str) and name), number))


def _shorten(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"
