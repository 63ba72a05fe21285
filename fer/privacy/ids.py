"""Ids of respondents: which of them can be searched for in any text, and where tables and lists hold the others."""

import csv
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import fer
from fer.core.documents import read_json, read_yaml_texts
from fer.core.parquet import read_parquet
from fer.privacy.search import build_pattern

_RESPONDENT = "respondent"
# Three characters stand in any megabyte of packed bytes by chance.
_MIN_LENGTH = 4
_SOURCES = {".css", ".j2", ".js", ".json", ".py", ".yaml"}


def is_searchable(identifier: str, others: Iterable[str] = ()) -> bool:
    """Whether a text that holds an id tells of the respondent.

    A number, one of a few characters, and one that is a word of the program's own (`mean`, `neutral`) stand in files
    for many reasons.

    Args:
        identifier: The id.
        others: Texts that hold what the run's files tell of others.
    """
    pattern = build_pattern([identifier])
    if pattern is None or len(identifier) < _MIN_LENGTH or not any(map(str.isalpha, identifier)):
        return False
    # What looks around itself is searched for slowly.
    texts = (text for text in (*others, *_read_own_texts()) if identifier in text)
    return not any(map(pattern.search, texts))


@cache
def _read_own_texts() -> tuple[str, ...]:
    """What the program's own files hold, and so may be written into any run."""
    folder = Path(fer.__file__).parent
    paths = sorted(path for path in folder.rglob("*") if path.suffix in _SOURCES and path.is_file())
    return tuple(path.read_text(encoding="utf-8", errors="replace") for path in paths)


def build_list_pattern(identifier: str) -> re.Pattern[str]:
    """What finds an id that no text is searched for where a sentence about a study lists it; the id is group 1."""
    before = r"(?:no consent: |respondents without )(?:.*?(?:, | of )|.*: )"
    return re.compile(rf"{before}({re.escape(identifier)})(?=,| left out| and |\s*$)")


def find_id(directory: Path, identifier: str) -> list[Path]:
    """Find the tables and lists of a directory that name a respondent: columns and keys `respondent`, `respondents`.

    Args:
        directory: It is searched with all below it: CSV, Parquet, JSON and YAML.
        identifier: The id.

    Returns:
        The files, relative to ``directory``, in order.
    """
    paths = (path for path in sorted(directory.rglob("*")) if path.is_file() and not path.is_symlink())
    return [path.relative_to(directory) for path in paths if identifier in _iter_ids(path)]


def _iter_ids(path: Path) -> Iterator[str]:
    """The ids that a file names; what cannot be read names nobody."""
    with suppress(ValueError, OSError, csv.Error, pa.ArrowException):
        if path.suffix == ".parquet":
            if _RESPONDENT in pq.read_schema(path).names:
                yield from map(str, read_parquet(path, [_RESPONDENT])[_RESPONDENT].unique())
        elif path.suffix == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as file:
                table = csv.DictReader(file)
                if _RESPONDENT in (table.fieldnames or ()):
                    yield from (str(row[_RESPONDENT]) for row in table)
        elif path.suffix == ".json":
            yield from _iter_content(read_json(path))
        elif path.suffix in (".yaml", ".yml"):
            # Ids are texts: 01 is not 1.
            yield from _iter_content(read_yaml_texts(path))


def _iter_content(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        for key, value in content.items():
            if key == _RESPONDENT and isinstance(value, str | int):
                yield str(value)
            elif key == f"{_RESPONDENT}s" and isinstance(value, list | dict):
                yield from map(str, value)
            yield from _iter_content(value)
    elif isinstance(content, list):
        for value in content:
            yield from _iter_content(value)
