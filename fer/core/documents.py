"""YAML and JSON from files that may come from anybody: read as plain data, within bounds that no honest file meets.

Every reader of such a file goes through here, so that size, nesting, aliases and numbers are bounded in one place.
"""

import copy
import json
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from fer.core.io import read_at_most
from fer.core.plain_yaml import is_plain_yaml, parse_plain_yaml
from fer.errors import shorten_error

# Run files and bundles have some kilobytes and a few hundred nodes. PyYAML reads some 100 kB a second.
MAX_YAML_BYTES, MAX_YAML_NODES = 128 << 10, 5_000
# What a person lists: a study of a thousand recordings has a quarter of a megabyte and twenty thousand nodes.
MAX_LIST_BYTES, MAX_LIST_NODES = 2 << 20, 200_000
# metrics.json has some ten kilobytes, with groups and slices a few hundred; media.json a line or five an image.
MAX_JSON_BYTES, MAX_JSON_NODES = 32 << 20, 1_000_000
# What reads them afterwards calls itself for each level.
MAX_DEPTH = 64
# No count, size or seed needs more; Python itself refuses to print larger ones.
MAX_INTEGER_BITS = 64
# Characters of one; YAML's numbers to the base of 60 take time that grows with the square.
MAX_NUMBER_LENGTH = 100


class DocumentError(ValueError):
    """A file is no YAML or JSON, or beyond a bound; the message says why, without a name."""


def read_yaml(path: Path) -> Any:
    """Read a YAML file as plain data. Raises OSError and DocumentError."""
    return parse_yaml(read_bounded_text(path, MAX_YAML_BYTES))


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises OSError and DocumentError."""
    return parse_json(read_bounded_text(path, MAX_JSON_BYTES))


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object. Raises OSError and DocumentError."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise DocumentError("it holds no JSON object")
    return content


def read_bounded_text(path: Path, max_bytes: int) -> str:
    """Read a file in UTF-8, of which no more is read than is allowed. Raises OSError and DocumentError."""
    data = read_at_most(path, max_bytes)
    if data is None:
        raise DocumentError(f"it is larger than {max_bytes >> 10:,} KiB")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise DocumentError(f"it is not UTF-8: {shorten_error(error)}") from None


def parse_yaml(text: str) -> Any:
    """Return what a YAML document holds, as plain data.

    Args:
        text: The document.

    Raises:
        DocumentError: It is no YAML, names a type of Python, or is beyond a bound of size, nesting or aliases.
    """
    if len(text) > MAX_YAML_BYTES:
        raise DocumentError(f"it is larger than {MAX_YAML_BYTES >> 10:,} KiB")
    return copy.deepcopy(_parse_bounded(text))


@lru_cache(maxsize=16)
def _parse_bounded(text: str) -> Any:
    """What ``parse_yaml`` copies: a run reads the description of its model several times, and PyYAML is slow."""
    try:
        content = _load(text)
    except DocumentError:
        raise
    except Exception as error:
        # Beside YAMLError, what stands for a date or a number may be none: ValueError, OverflowError.
        raise DocumentError(shorten_error(error)) from None
    _check_integers(content, MAX_YAML_NODES)
    return content


def _load(text: str) -> Any:
    if is_plain_yaml(text):
        # What is wrong with a text is told by the parser of all others.
        with suppress(Exception):
            return parse_plain_yaml(text)
    return yaml.load(text, Loader=_BoundedLoader)


def read_yaml_texts(path: Path) -> Any:
    """Read a YAML file whose values stay texts, see ``parse_yaml_texts``. Raises OSError and DocumentError."""
    return parse_yaml_texts(read_bounded_text(path, MAX_LIST_BYTES))


def parse_yaml_texts(text: str) -> Any:
    """Return what a YAML document holds, each value as the text that stands there, and null as None.

    Names stay as people wrote them: YAML takes 010 for the number 8, 1:30 for 90, `no` for false, 2026-01-02 for a day.

    Args:
        text: The document.

    Raises:
        DocumentError: As for ``parse_yaml``, or a key stands twice in a map; it tells the line.
    """
    try:
        content = yaml.load(text, Loader=_TextLoader)
        # Half a character, as "\ud800" writes it, is a text that no file can hold.
        json.dumps(content, ensure_ascii=False).encode()
        return content
    except UnicodeEncodeError:
        raise DocumentError("it has half a character (a surrogate such as \\ud800), which no file can hold") from None
    except DocumentError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f" in line {mark.line + 1}" if mark is not None else ""
        raise DocumentError(f"{error.problem or error.context}{line}") from None
    except Exception as error:
        raise DocumentError(shorten_error(error)) from None


def parse_json(text: str) -> Any:
    """Return what a JSON document holds.

    Args:
        text: The document.

    Raises:
        DocumentError: It is no JSON, or is beyond a bound of size, nesting or numbers.
    """
    if len(text) > MAX_JSON_BYTES or text.count(",") + text.count("[") + text.count("{") > MAX_JSON_NODES:
        raise DocumentError(f"it is larger than {MAX_JSON_BYTES >> 20} MiB or {MAX_JSON_NODES:,} values")
    try:
        content = json.loads(text)
    except RecursionError:
        raise DocumentError(_TOO_DEEP) from None
    except ValueError as error:
        raise DocumentError(shorten_error(error)) from None
    _check_integers(content, 2 * MAX_JSON_NODES)
    return content


_TOO_DEEP = f"it is nested more than {MAX_DEPTH} levels deep"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class _BoundedLoader(yaml.SafeLoader):
    """PyYAML's safe loader, which Hydra's is too, with bounds of depth and of what aliases stand for."""

    max_nodes = MAX_YAML_NODES

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        # Of each node that is complete: how many nodes it stands for, and how many levels it has.
        self._sizes: dict[int, tuple[int, int]] = {}
        self._inner: list[list[tuple[int, int]]] = [[]]

    def fetch_flow_collection_start(self, token_class: Any) -> None:
        """Begin a list or map in brackets, as PyYAML does, which reads ahead of their nodes. Raises DocumentError."""
        if self.flow_level >= MAX_DEPTH:
            raise DocumentError(_TOO_DEEP)
        super().fetch_flow_collection_start(token_class)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a node, as PyYAML does. Raises DocumentError."""
        if self.check_event(yaml.AliasEvent):
            node = super().compose_node(parent, index)
            if id(node) not in self._sizes:
                raise DocumentError("an alias stands inside of what it means")
        else:
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise DocumentError(_TOO_DEEP)
            self._inner.append([])
            node = super().compose_node(parent, index)
            if isinstance(node, yaml.ScalarNode) and node.tag in _NUMBERS and len(node.value) > MAX_NUMBER_LENGTH:
                raise DocumentError(f"it holds a number of {len(node.value):,} characters")
            inner = self._inner.pop()
            self._depth -= 1
            self._sizes[id(node)] = (
                1 + sum(size for size, _ in inner),
                1 + max((levels for _, levels in inner), default=0),
            )
        size, levels = self._sizes[id(node)]
        self._inner[-1].append((size, levels))
        if self._depth + levels > MAX_DEPTH:
            raise DocumentError(_TOO_DEEP)
        if size > self.max_nodes or len(self._sizes) > self.max_nodes:
            raise DocumentError(f"it holds more than {self.max_nodes:,} values, aliases included")
        return node


class _TextLoader(_BoundedLoader):
    """Knows null and the merging of maps; whatever else stands there plainly is a text. No key stands twice."""

    max_nodes = MAX_LIST_NODES
    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] in ("null", "merge")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a map, as PyYAML does. Raises DocumentError where a key stands twice."""
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                line = key.start_mark.line + 1
                if key.value in lines:
                    raise DocumentError(f"the key {key.value!r} stands twice, in lines {lines[key.value]} and {line}")
                lines[key.value] = line
        return node


def _check_integers(content: Any, max_nodes: int) -> None:
    """Refuse too large integers, and too deep or many values. Raises DocumentError."""
    level, count = [content], 0
    for _ in range(MAX_DEPTH + 1):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += value.values()
                inner += (key for key in value if isinstance(key, int))
            elif isinstance(value, list | tuple):
                inner += value
            elif isinstance(value, int) and value.bit_length() > MAX_INTEGER_BITS:
                raise DocumentError(f"it holds an integer of {value.bit_length():,} bits")
        count += len(inner)
        if count > max_nodes:
            raise DocumentError(f"it holds more than {max_nodes:,} values")
        if not inner:
            return
        level = inner
    raise DocumentError(_TOO_DEEP)
