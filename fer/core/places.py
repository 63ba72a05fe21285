"""Absolute paths in what is passed on: only their last part is shown, for the rest tells of a machine and its user.

run.yaml and provenance.json keep the whole paths, by which a run is repeated.
"""

import re
from pathlib import Path
from typing import Any

ELSEWHERE = "…/"
# An absolute path of at least two parts within a text; no address of the web, no share such as and/or, no tag.
_PATH = re.compile(
    r"(?:(?<![\w.~/:)>…<-])|(?<=\w:)(?=/(?:home|Users|root|tmp|var)/)|\b(?:file|sqlite)://(?=/))"
    r"/+(?:[^\s/'\"`<>|,;:()\[\]{}=&]+/)+(?P<name>[^\s/'\"`<>|,;:()\[\]{}=&]*)"
    r"|\b[A-Za-z]:\\(?:[^\s\\'\"]+\\)+(?P<windows>[^\s\\'\"]*)"
    r"|(?<![\w/])~[\w.-]*/(?:[^\s/'\"`<>|,;:()\[\]{}=&]+/)*(?P<home>[^\s/'\"`<>|,;:()\[\]{}=&]*)"
)
# A whole value of YAML, or of an argument: it may hold blanks.
_VALUE = re.compile(
    r"(?m)(?P<key>^\s*(?:- )?(?:[\w.+~-]+(?:: |=))?)(?P<quote>['\"]?)(?P<path>[/~][^\n'\"]*)(?P=quote)$"
)
_QUOTED = re.compile(r"(?P<quote>['\"])(?P<path>[/~][^'\"\n]*)(?P=quote)")
# Images and scripts within pages may look like paths.
_DATA, _MAX_LENGTH = "data:", 200_000


def hide_places(text: str) -> str:
    """Return a text in which every absolute path is replaced by ``…/`` and its last part.

    Below the current directory, a path becomes relative to it.

    Args:
        text: A path, an argument, a sentence, or several lines of YAML.

    Examples:
        >>> hide_places("root: /home/anna/study 7/faces.zip")
        'root: …/faces.zip'
    """
    if text.startswith(_DATA) or len(text) > _MAX_LENGTH or not ("/" in text or "\\" in text):
        return text
    # Both may hold blanks. What is below the current directory is where it was; the rest is found as a path then.
    for folder, short in ((Path.cwd(), ""), (Path.home(), "~/")):
        if folder != Path("/"):
            text = text.replace(f"{folder}/", short)
    text = _VALUE.sub(lambda match: match["key"] + _shorten_quoted(match), text)
    text = _QUOTED.sub(_shorten_quoted, text)
    return _PATH.sub(lambda match: ELSEWHERE + (match["name"] or match["windows"] or match["home"] or ""), text)


def _shorten_quoted(match: re.Match[str]) -> str:
    path = match["path"].rstrip("/")
    shown = ELSEWHERE + path.rpartition("/")[2] if "/" in path else match["path"]
    return f"{match['quote']}{shown}{match['quote']}"


def hide_places_within(content: Any) -> Any:
    """Return JSON content in whose texts, keys excepted, every absolute path is replaced."""
    if isinstance(content, dict):
        return {key: hide_places_within(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [hide_places_within(value) for value in content]
    return hide_places(content) if isinstance(content, str) else content
