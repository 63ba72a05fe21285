"""YAML as run files have it, parsed by libyaml, which is several times faster than PyYAML's own parser.

The two read such text alike. Whatever else YAML has (anchors, tags, blocks of text, lists and maps in brackets,
documents, letters beyond ASCII) is left to the parser in Python, so that no file gets another meaning.
"""

import re
from typing import Any

import yaml

# A key, an entry of a list or both, with a word, a text in quotes or an empty list or map; or a comment. Each column
# can begin a map and a list, so that the indentation bounds how deep they are nested.
_VALUE = r"(?:[A-Za-z0-9_./+]|-[0-9.])[A-Za-z0-9_./+ -]*|'[A-Za-z0-9_./+ :,@=-]*'|\[\]|\{\}"
_KEY = r"[A-Za-z_][A-Za-z0-9_.-]*:"
_LINE = re.compile(rf" {{0,24}}(?:- )?{_KEY}(?: (?:{_VALUE}))?| {{0,24}}- (?:{_VALUE})|#[ -~]*")
# A line can hold three nodes. No number is as long as a line.
_MAX_LINES, _MAX_LINE_LENGTH = 1_500, 100


def is_plain_yaml(text: str) -> bool:
    """Tell whether a text has nothing but what every parser reads alike, within the bounds of `fer.core.documents`."""
    lines = text.removesuffix("\n").split("\n")
    return len(lines) <= _MAX_LINES and all(
        _LINE.fullmatch(line) and (len(line) <= _MAX_LINE_LENGTH or line.startswith("#")) for line in lines
    )


def parse_plain_yaml(text: str) -> Any:
    """Return what a text of `is_plain_yaml` holds.

    Raises:
        yaml.YAMLError, ValueError, OverflowError: It is none.
    """
    return yaml.load(text, Loader=yaml.CSafeLoader)
