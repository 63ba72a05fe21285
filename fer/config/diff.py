"""Differences of saved configurations; values are not checked, so that runs of any version can be compared."""

import json
from pathlib import Path
from typing import Any

from fer.core.documents import read_yaml
from fer.core.flatten import flatten_dict
from fer.core.run_layout import RUN_YAML
from fer.errors import ConfigError, shorten_error


class _Absent:
    """The value of a key that a configuration does not have."""

    def __repr__(self) -> str:
        return "(absent)"


ABSENT = _Absent()


def read_saved_config(source: Path) -> dict[str, Any]:
    """Read a saved configuration without checking it.

    Args:
        source: A run directory, or a YAML file.

    Returns:
        Values by dotted key; lists and empty sections are values.

    Raises:
        ConfigError: The file cannot be read.
    """
    path = source / RUN_YAML if source.is_dir() else source
    try:
        content = read_yaml(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else shorten_error(error)
        raise ConfigError(f"{path}: cannot be read ({reason}); name a run directory or its run.yaml") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: holds no keys; name a run directory or its run.yaml")
    content.pop("defaults", None)
    return flatten_dict(content, keep_empty=True)


def canonicalize(value: Any) -> str:
    """Return a text that is the same for two values only if they are equal; 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True, default=repr)


def find_differing_keys(configurations: list[dict[str, Any]]) -> list[str]:
    """Find the keys that do not have the same value in all configurations, in their order."""
    keys = dict.fromkeys(key for config in configurations for key in config)
    return [key for key in keys if _differs([config.get(key, ABSENT) for config in configurations])]


def _differs(values: list[Any]) -> bool:
    """Whether ``canonicalize`` gives more than one text; most keys have the same plain value in all runs."""
    first, kind = values[0], type(values[0])
    if kind not in (list, dict) and all(type(value) is kind and value == first for value in values):
        return False
    return len(set(map(canonicalize, values))) > 1


def format_override_value(value: Any) -> str:
    """Format a value as an override: null, true, [fit, test]; text that would not show becomes JSON."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(format_override_value, value))}]"
    if isinstance(value, dict):
        pairs = (f"{format_override_value(key)}: {format_override_value(inner)}" for key, inner in value.items())
        return f"{{{', '.join(pairs)}}}"
    text = str(value)
    readable = not isinstance(value, str) or (text.isprintable() and text.strip() == text != "")
    return text if readable and not (value is None or isinstance(value, bool)) else json.dumps(value)


def format_differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Format each key that differs as `key: a -> b`."""
    return [
        f"{format_override_value(key)}: {format_override_value(one.get(key, ABSENT))} -> "
        f"{format_override_value(other.get(key, ABSENT))}"
        for key in find_differing_keys([one, other])
    ]
