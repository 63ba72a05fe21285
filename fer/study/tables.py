"""Tables of people: where their header is, what their columns are called, and what a row says."""

import logging
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from fer.config.study_loading import raise_problems, shorten_name
from fer.errors import StudyError

# A title, a date and a remark may stand above the header.
_HEADER_ROWS = 30
# What nobody sees, and spaces of other widths.
_INVISIBLE = re.compile("[\u200b-\u200f\u2060-\u2064\ufeff\u00ad]")
_SPACES = re.compile(r"\s+")
_UNIT = re.compile(r"\s*(?:[(\[]\s*(?:s|sec|secs|seconds|sek|sekunden)\.?\s*[)\]]|\bin\s+(?:s|seconds|sekunden))$")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")
_SECONDS = re.compile(r"\s*(?:s|sec|sek)\.?$")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rows:
    """The texts of a table.

    Attributes:
        source: Key and path of the file, with which messages begin.
        word: What a row is called: `line`, or `sheet recordings, row`.
        rows: (number of the row, its fields), the header's among them.
    """

    source: str
    word: str
    rows: Sequence[tuple[int, Sequence[str]]]


@dataclass(frozen=True)
class Columns:
    """What the columns of a table are called.

    Attributes:
        required: Those that it must have.
        optional: Those that it may have.
        open: Whether every further column means something: groups of respondents.
        aliases: Other names of columns.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    open: bool = False
    aliases: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Record:
    """A row: what its user calls it, and its values by column; empty ones are left out."""

    place: str
    values: dict[str, str]


def read_records(table: Rows, columns: Columns) -> list[Record]:
    """Find the header of a table, and read the rows below it.

    Args:
        table: The table; blank rows mean nothing.
        columns: What its columns may be called, in capitals or not, with spaces or hyphens, with a unit behind.

    Returns:
        The rows; names of further columns stand as they are written.

    Raises:
        StudyError: A column is missing, stands twice, or has a name that is nearly one of ``columns``; or a value
            stands in a column without a name.
    """
    filled = [(number, fields) for number, fields in table.rows if any(map(clean_text, fields))]
    if not filled:
        raise StudyError(f"{table.source}: {_describe_table(table)} is empty; it needs {', '.join(columns.required)}")
    start, names = _find_header(table, filled, columns)
    records, problems = [], []
    for number, fields in filled[start:]:
        place = f"{table.word} {number}"
        cells = [(_clean_value(text, name), name) for text, name in _pair(fields, names)]
        if stray := next((text for text, name in cells if text and not name), None):
            problems.append(
                f"{table.source}: {place}: {shorten_name(stray)!r} stands in a column without a name; name it, or put "
                "double quotes around a field that has the separator in it"
            )
        records.append(Record(place, {name: text for text, name in cells if text and name}))
    raise_problems(problems)
    return records


def clean_text(text: str) -> str:
    """Return a text without what nobody sees: spaces around it, marks without width, spaces of other kinds."""
    return _SPACES.sub(" ", _INVISIBLE.sub("", unicodedata.normalize("NFC", text))).strip()


def _clean_value(text: str, column: str) -> str:
    """A field without what nobody sees; inside of a file's name it stays, for the file may have it."""
    return text.strip("\ufeff\u200b\xa0 \t\r\n") if column.endswith("file") else clean_text(text)


def clean_number(text: str) -> str:
    """Return a number of seconds as programs write it: `1,5` and `1.5 s` are 1.5; what is none stays as it is."""
    number = _SECONDS.sub("", text.replace("\u2212", "-"))
    return number.replace(",", ".") if _DECIMAL_COMMA.fullmatch(number) else number


def fold_name(name: str) -> str:
    """Return what two names share that differ in capitals, width, spaces, or in how a number is written."""
    folded = clean_text(unicodedata.normalize("NFKC", name)).casefold()
    return re.sub(r"^0+(?=\d)", "", re.sub(r"\.0+$", "", folded)) if re.fullmatch(r"\d+(\.0+)?", folded) else folded


def _pair(fields: Sequence[str], names: Sequence[str]) -> list[tuple[str, str]]:
    """Each field with its column's name, "" beyond the last one."""
    return [(field, names[index] if index < len(names) else "") for index, field in enumerate(fields)]


def _describe_table(table: Rows) -> str:
    return table.word.removesuffix(", row") if table.word != "line" else "the table"


def _find_header(table: Rows, filled: Sequence[tuple[int, Sequence[str]]], columns: Columns) -> tuple[int, list[str]]:
    """(index of the first row of values, names of the columns); a header of two rows is taken together."""
    headers = [[_normalize_name(clean_text(field), columns) for field in row] for _, row in filled[:_HEADER_ROWS]]
    index = next((index for index, names in enumerate(headers) if set(columns.required) <= set(names)), None)
    if index is None:
        raise _build_missing_error(table, headers[0], columns)
    names = headers[index]
    below = [clean_text(field) for field in filled[index + 1][1]] if index + 1 < len(filled) else []
    cells = dict(zip(names, below, strict=False))
    start = index + 1
    if any(below) and not any(cells.get(name) for name in columns.required):
        # Merged cells: a title over several columns, whose names stand below it.
        lower = [_normalize_name(field, columns) for field in below]
        width = max(len(names), len(lower))
        padded = [[*row, *[""] * (width - len(row))] for row in (names, lower)]
        names, start = [second or first for first, second in zip(*padded, strict=True)], index + 2
    _check_names(table, names, columns)
    known = (*columns.required, *columns.optional)
    if not columns.open and (unused := [name for name in names if name and name not in known]):
        log.warning("%s: %s: columns that mean nothing: %s", table.source, _describe_table(table), ", ".join(unused))
    return start, names


def _normalize_name(field: str, columns: Columns) -> str:
    """The column that a header means, or its own text."""
    known = (*columns.required, *columns.optional)
    name = re.sub(r"[\s_-]+", "_", _UNIT.sub("", field.casefold()).strip())
    name = (columns.aliases or {}).get(name, name)
    if name in known:
        return name
    return f"{name}_s" if f"{name}_s" in known else field


def _build_missing_error(table: Rows, names: Sequence[str], columns: Columns) -> StudyError:
    missing = [name for name in columns.required if name not in names]
    near = [get_close_matches(name, [text.casefold() for text in names], n=1, cutoff=0.6) for name in missing]
    hints = [
        f"rename {shorten_name(found[0])} if it is {name}" for name, found in zip(missing, near, strict=True) if found
    ]
    return StudyError(
        f"{table.source}: {_describe_table(table)} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}"
        f"{'; ' if hints else ''}{', '.join(hints)}; its header must name {', '.join(columns.required)}"
        + (f", and may name {', '.join(columns.optional)}" if columns.optional else "")
    )


def _check_names(table: Rows, names: Sequence[str], columns: Columns) -> None:
    """Refuse a column that stands twice, or whose name is nearly one that means something. Raises StudyError."""
    given = [name for name in names if name]
    folded = [fold_name(name) for name in given]
    problems = [
        f"{table.source}: {_describe_table(table)} has two columns {shorten_name(name)}; leave one of them out"
        for name, fold in zip(given, folded, strict=True)
        if folded.count(fold) > 1
    ]
    absent = [name for name in (*columns.required, *columns.optional) if name not in given]
    for name in given:
        if name in columns.required or name in columns.optional:
            continue
        written = re.sub(r"[\s_-]+", "_", name.casefold())
        if near := get_close_matches(written, absent, n=1, cutoff=0.8):
            problems.append(
                f"{table.source}: {_describe_table(table)} has a column {shorten_name(name)}; did you mean {near[0]}? "
                "Otherwise give it a name that is not so near"
            )
    raise_problems(list(dict.fromkeys(problems)))
