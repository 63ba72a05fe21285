"""What AWS's own description of an API says about each parameter: patterns, lengths, ranges, enumerations."""

import re
from functools import cache
from typing import Any

from tests.helpers.aws_simulator.protocols import service_model

# Classes of Unicode, which Python's patterns lack, as ranges that stand inside brackets.
UNICODE = {
    **{r"\p{L}": r"A-Za-z\u00c0-\u02ff\u0370-\u1fff\u3000-\ud7ff", r"\p{M}": r"\u0300-\u036f", r"\p{N}": "0-9"},
    **{r"\p{Z}": r" \u00a0\u2000-\u200a\u2028\u2029", r"\p{P}": r"!-#%-*,-/:;?@\[-\]_{}\u00a1-\u00bf\u2010-\u2027"},
    # By itself, and beyond the first plane as Java has it.
    **{r"\p{Print}": r"[ -~\u00a1-\ud7ff]", r"\uD800\uDC00-\uDBFF\uDFFF": r"\U00010000-\U0010ffff"},
    r"\p{S}": r"$+<->^`|~\u00a2-\u00b8\u00d7\u00f7\u2030-\u2bff",
}


@cache
def pattern_of(text: str) -> re.Pattern[str]:
    for name, same in UNICODE.items():
        text = text.replace(name, same)
    # Some patterns of the API's description carry a length behind the end: `(…)${1,128}`.
    return re.compile(re.sub(r"\$\{\d+,\d+\}$", "", text))


def broken(service: str, operation: str, given: Any) -> str | None:
    """The sentence with which AWS refuses the parameters of a call; None where they keep to the description."""
    found = faults_of(service_model(service).operation_model(operation).input_shape, given, "")
    if not found:
        return None
    return f"{len(found)} validation error{'s' * (len(found) > 1)} detected: {'; '.join(found)}"


def faults_of(shape: Any, value: Any, place: str) -> list[str]:
    found = [
        f"Value '{value}' at '{place}' failed to satisfy constraint: Member must {rule}"
        for rule in rules_against(shape, value)
    ]
    if shape.type_name == "structure":
        for name, inner in value.items():
            if name in shape.members:
                at = name[0].lower() + name[1:]
                found += faults_of(shape.members[name], inner, f"{place}.{at}" if place else at)
    elif shape.type_name == "list":
        for index, inner in enumerate(value, 1):
            found += faults_of(shape.member, inner, f"{place}.{index}.member")
    elif shape.type_name == "map":
        for key, inner in value.items():
            found += faults_of(shape.key, key, f"{place}.{key}.key")
            found += faults_of(shape.value, inner, f"{place}.{key}.value")
    return found


def rules_against(shape: Any, value: Any) -> list[str]:
    """The rules of one parameter that its value breaks."""
    rules, broken_rules = shape.metadata, []
    if shape.type_name in ("string", "list", "map"):
        size, what = len(value), "length"
    elif shape.type_name in ("integer", "long", "float", "double"):
        size, what = value, "value"
    else:
        return []
    if size < rules.get("min", size):
        broken_rules.append(f"have {what} greater than or equal to {rules['min']}")
    if size > rules.get("max", size):
        broken_rules.append(f"have {what} less than or equal to {rules['max']}")
    if "pattern" in rules and not pattern_of(rules["pattern"]).fullmatch(value):
        broken_rules.append(f"satisfy regular expression pattern: {rules['pattern']}")
    if "enum" in rules and value not in rules["enum"]:
        broken_rules.append(f"satisfy enum value set: [{', '.join(rules['enum'])}]")
    return broken_rules
