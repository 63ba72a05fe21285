"""Nested dictionaries as one level of joined keys."""

from collections.abc import Mapping
from typing import Any


def flatten_dict(
    tree: Mapping[Any, Any], separator: str = ".", *, keep_empty: bool = False, expand_lists: bool = False
) -> dict[str, Any]:
    """Return the leaves of a nested dictionary by their joined keys, in the order in which they stand.

    Args:
        tree: Any nesting, however deep: files that others wrote come here, so it is not walked by recursion.
        separator: What joins the keys.
        keep_empty: Whether an empty dictionary is a value; otherwise it vanishes.
        expand_lists: Whether list items are leaves of their own (``name[0]``); otherwise a list is a value.

    Examples:
        >>> flatten_dict({"a": {"b": 1, "c": [2]}})
        {'a.b': 1, 'a.c': [2]}
    """
    flat: dict[str, Any] = {}
    pending = [(str(key), value) for key, value in tree.items()][::-1]
    while pending:
        name, value = pending.pop()
        if isinstance(value, Mapping) and (value or not keep_empty):
            pending += [(f"{name}{separator}{key}", inner) for key, inner in value.items()][::-1]
        elif isinstance(value, list) and expand_lists:
            pending += [(f"{name}[{index}]", item) for index, item in enumerate(value)][::-1]
        else:
            flat[name] = value
    return flat
