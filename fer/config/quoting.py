"""Overrides as users type them, in the grammar of Hydra, which reads `a=b.mp4` or `clip (1).mp4` as no value at all.

A value that Hydra would not read as it stands is quoted before Hydra sees it, where its key is a text; a map such as
``class_map`` takes entries that it does not have yet. What Hydra understands keeps its meaning.
"""

import os
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, Quote, QuotedString
from hydra.errors import HydraException
from omegaconf.errors import GrammarParseError
from omegaconf.grammar_parser import parse as parse_interpolation

from fer.config import Config
from fer.config.key_docs import iter_keys
from fer.core.expansion import exists, expand_path, names_place
from fer.errors import ConfigError

# Of Hydra's own keys.
DIRECTORY_KEYS = ("hydra.run.dir", "hydra.sweep.dir")
TEXT_KEYS = (*DIRECTORY_KEYS, "hydra.sweeper.storage")
_OPENING, _CLOSING = "([{", ")]}"
_OVERRIDE = re.compile(r"(\+{0,2})([^=+~][^=]*)=(.*)", re.DOTALL)
# Characters that Hydra's grammar takes in the key of a map.
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
# Names that can stand behind the last dot of a key.
_ENTRY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*|0|[1-9][0-9]*")
_RESERVED_KEYS = ("null", "true", "false", "inf", "nan")


def quote_literally(text: str) -> str:
    """Quote a text so that Hydra and OmegaConf give back exactly it, whatever characters it has."""
    return quote(escape_interpolations(text))


def quote(text: str) -> str:
    """Quote a text so that Hydra gives back exactly it; OmegaConf still sees its interpolations."""
    # A shell takes the whole override in single quotes.
    return str(QuotedString(text, Quote.single if '"' in text else Quote.double).with_quotes())


def escape_interpolations(text: str) -> str:
    """Write a text so that OmegaConf takes no part of it for an interpolation."""
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


def unescape_interpolations(text: str) -> str:
    """The text that ``escape_interpolations`` was given."""
    return re.sub(r"(\\+)\$\{", lambda match: "\\" * ((len(match.group(1)) - 1) // 2) + "${", text)


def _encode_map_key(key: str) -> str:
    """Write a key so that Hydra reads it as text; ``fer.config.base.decode_map_key`` gives it back."""
    if _PLAIN_KEY.fullmatch(key) and key.lower() not in _RESERVED_KEYS:
        return key
    if key.isascii() and key.isdigit() and str(int(key)) == key:
        return key
    encoded = [
        char if _PLAIN_KEY.fullmatch(f"x{char}") and (index or char.isalpha() or char == "_") else f"\\u{ord(char):06x}"
        for index, char in enumerate(key)
    ]
    if key.lower() in _RESERVED_KEYS:
        encoded[0] = f"\\u{ord(key[0]):06x}"
    return "".join(encoded)


@cache
def _compile_keys(holds: str) -> re.Pattern[str]:
    """The keys whose values are texts, or maps; ``<name>`` stands for any name."""
    names = [key.name for key in iter_keys(Config) if key.holds == holds]
    if holds == "map":
        outer = [key.name for key in iter_keys(Config) if key.holds == "maps"]
        # The longer first: an entry of a map of maps is a map.
        names += [*(f"{name}.<name>" for name in outer), *outer]
    names += TEXT_KEYS if holds == "text" else ["dataset.sources"]
    return re.compile("|".join(re.escape(name).replace("<name>", "[^.]+") for name in names))


def is_text_key(key: str) -> bool:
    """Whether the value of a dotted key is a text, or a list of texts."""
    return _compile_keys("text").fullmatch(key) is not None


def _find_map(key: str) -> re.Match[str] | None:
    """A dotted key that is a map (group 1) or an entry of one (group 2 is its name)."""
    return re.fullmatch(f"({_compile_keys('map').pattern})(?:\\.(.+))?", key, re.DOTALL)


def quote_overrides(arguments: Sequence[str], multirun: bool = False) -> list[str]:
    """Quote the values that Hydra would not read as they stand.

    Args:
        arguments: Of a command line, overrides among them.
        multirun: Whether commas separate the values of a sweep.

    Raises:
        ConfigError: A path begins with an environment variable that is not set.
    """
    return [_quote_override(argument, multirun) for argument in arguments]


def _quote_override(argument: str, multirun: bool) -> str:
    match = None if argument.startswith("-") else _OVERRIDE.fullmatch(argument)
    if match is None:
        return argument
    sign, key, value = match.groups()
    if is_text_key(key):
        if key in DIRECTORY_KEYS:
            value, multirun = _expand_directory(key, value), False
        return f"{sign}{key}={_quote_text(value, multirun)}"
    if found := _find_map(key):
        name, entry = found.groups()
        # A key of a source that is there is no entry of the map of sources.
        if name != "dataset.sources" or "." not in (entry or ""):
            return _add_to_map(name, entry, value)
    if value.lstrip().startswith("{") and _parse(value) is None:
        return f"{sign}{key}={_requote(value)}"
    return argument


def _expand_directory(key: str, value: str) -> str:
    """One directory of Hydra, which no section of the configuration checks: `~` and variables are expanded."""
    written_out = names_place(value) or names_place(os.path.dirname(value))
    if not value or ("${" in value and not written_out):
        # An interpolation is not known before Hydra has composed.
        return value
    parsed = _parse(value)
    content = None if parsed is None else parsed.value()
    typed = content.text if isinstance(content, QuotedString) else content
    text = value if ("${" in value and written_out) or names_place(value) or not isinstance(typed, str) else typed
    try:
        expanded = expand_path(text)
    except ValueError as error:
        raise ConfigError(f"{key}={value}: {error}") from None
    if "${" in expanded and "${" not in (relative := os.path.relpath(expanded)):
        # For the jobs of a sweep Hydra would take it for an interpolation.
        expanded = relative
    return value if expanded == typed else quote_literally(expanded)


def read_text(key: str, value: str) -> str:
    """The text that a value of the command line stands for, `~` and environment variables expanded.

    Raises:
        ConfigError: It is none, or begins with a variable that is not set.
    """
    parsed = _parse(_quote_text(value, multirun=False))
    text = None if parsed is None or parsed.is_sweep_override() else parsed.value()
    if not isinstance(text, str | QuotedString):
        raise ConfigError(f"{key}={value}: must be one text")
    text = text if isinstance(text, str) else text.text
    try:
        return expand_path(unescape_interpolations(text))
    except ValueError as error:
        raise ConfigError(f"{key}={value}: {error}") from None


def _add_to_map(key: str, entry: str | None, value: str) -> str:
    """An override that adds to a map, or replaces, what is given: Hydra would ask for `+` before what is new."""
    if entry is not None and _ENTRY.fullmatch(entry) is None:
        entry, value = None, f"{{{entry}: {value}}}"
    if value.lstrip().startswith("{"):
        parsed = _parse(value)
        exact = parsed is not None and (parsed.is_sweep_override() or _has_text_keys(parsed.value()))
        # A sweep has several of them.
        value = value if exact else ",".join(_requote(piece) for piece in _split(value, ","))
    return f"++{key}{'' if entry is None else f'.{entry}'}={value}"


def _has_text_keys(value: Any) -> bool:
    """Whether all keys of a map are what was typed: Hydra makes a number of 1e1 and null of `null`."""
    return not isinstance(value, dict) or all(
        (isinstance(key, str) or type(key) is int) and _has_text_keys(inner) for key, inner in value.items()
    )


def _parse(value: str) -> Override | None:
    """What Hydra makes of a value; None where it makes nothing of it."""
    try:
        return OverridesParser.create().parse_override(f"key={value}")
    except (HydraException, GrammarParseError):
        return None


def _quote_text(value: str, multirun: bool) -> str:
    """Quote the value of a key that is a text, where Hydra would make something else of it."""
    if value.strip().lower() in ("", "null"):
        return value
    parsed = _parse(value)
    content = None if parsed is None else parsed.value()
    if names_place(value):
        return value if content == value and "${" not in value else quote_literally(value)
    if parsed is None:
        if multirun and len(pieces := _split(value, ",")) > 1:
            return ",".join(_quote_text(piece, False) for piece in pieces)
        return _requote(value, as_text=True)
    if isinstance(content, dict):
        return quote_literally(value)
    if parsed.is_sweep_override():
        simple = isinstance(content, ChoiceSweep) and content.simple_form
        return ",".join(_requote(piece, as_text=True) for piece in _split(value, ",")) if simple else value
    return value if isinstance(content, str | QuotedString) else _requote(value, as_text=True)


def _requote(value: str, as_text: bool = False) -> str:
    """Keep lists and maps, and quote every text in them that Hydra would not read as it stands.

    Args:
        value: As it was typed.
        as_text: Whether numbers and true or false are texts as well.
    """
    value = value.strip()
    if value[:1] in ("[", "{") and _find_closing(value) == len(value) - 1:
        items = _split(value[1:-1], ",") if value[1:-1].strip() else []
        if value[0] == "[":
            return f"[{','.join(_requote(item, as_text) for item in items)}]"
        pairs = [_split(item, ":", maximum=1) for item in items]
        if all(len(pair) == 2 for pair in pairs):
            return f"{{{','.join(f'{_encode_map_key(_unquote(key))}: {_requote(item)}' for key, item in pairs)}}}"
    parsed = _parse(value)
    if parsed is not None and not parsed.is_sweep_override():
        content = parsed.value()
        if not as_text or content is None or isinstance(content, str | QuotedString):
            return value
    if not exists(value) and "${" in value and is_readable(value):
        return quote(value)
    return quote_literally(value)


def is_readable(text: str) -> bool:
    """Whether OmegaConf takes a text, with its interpolations if it has any."""
    try:
        return "${" not in text or parse_interpolation(text) is not None
    except GrammarParseError:
        return False


def _unquote(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _scan(text: str) -> list[int]:
    """For each character how many brackets are open behind it; quotation marks inside names (`it's`) open nothing."""
    depths, depth, quote, before = [], 0, "", ","
    for char in text:
        if quote:
            quote = "" if char == quote and before != "\\" else quote
        elif char in "'\"" and before in ",:[{(":
            quote = char
        elif char in _OPENING:
            depth += 1
        elif char in _CLOSING:
            depth -= 1
        depths.append(depth + (1 if quote else 0))
        before = char if quote or not char.isspace() else before
    return depths


def _find_closing(text: str) -> int:
    """Index at which the bracket is closed that a text begins with; -1 where it never is."""
    return next((index for index, depth in enumerate(_scan(text)) if depth == 0), -1)


def _split(text: str, separator: str, maximum: int = 0) -> list[str]:
    """Split at separators outside brackets and quotation marks; at all where the brackets do not match."""
    depths = _scan(text)
    matched = not depths or (depths[-1] == 0 and min(depths) == 0)
    cuts = [index for index, char in enumerate(text) if char == separator and (not matched or depths[index] == 0)]
    cuts = cuts[:maximum] if maximum else cuts
    return [text[start + 1 : stop].strip() for start, stop in zip([-1, *cuts], [*cuts, len(text)], strict=True)]
