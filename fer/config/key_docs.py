"""Documentation of the keys: their dotted names, types and meanings, and the name nearest to a misspelt one."""

import types
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class _Key:
    """One key of the configuration; ``<name>`` in its dotted name stands for a name that the user chooses."""

    name: str
    allowed: str
    description: str
    # What an override of the key is made of.
    holds: Literal["text", "map", "maps", "other"] = "other"


def find_sections(annotation: Any) -> list[type[BaseModel]]:
    """Find the section classes inside a type, through unions and annotations."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, types.UnionType, Annotated):
        return [section for inner in get_args(annotation) for section in find_sections(inner)]
    return []


def _format_type(annotation: Any) -> str:
    """Describe a type to a user."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(str(choice) for choice in arguments)
    if origin is Annotated:
        return _format_type(arguments[0])
    if origin in (Union, types.UnionType):
        return " or ".join(map(_format_type, arguments))
    if origin is tuple and arguments[-1] is not Ellipsis:
        return f"list of {len(arguments)} of {_format_type(arguments[0])}s"
    if origin in (tuple, list):
        return f"list of {_format_type(arguments[0])}"
    if origin is dict:
        return f"map of {_format_type(arguments[0])} to {_format_type(arguments[1])}"
    names = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): "null"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _format_range(field: FieldInfo) -> str:
    """Describe the limits of a number, such as "≥ 0, < 1"."""
    metadata = list(field.metadata)
    for inner in get_args(field.annotation):
        metadata += list(getattr(inner, "__metadata__", ()))
    signs = ((Gt, ">", "gt"), (Ge, "≥", "ge"), (Lt, "<", "lt"), (Le, "≤", "le"))
    return ", ".join(
        f"{sign} {getattr(limit, attribute)}"
        for limit in metadata
        for kind, sign, attribute in signs
        if isinstance(limit, kind)
    )


def iter_keys(section: type[BaseModel], prefix: str = "") -> Iterator[_Key]:
    """Yield every key below a section, depth first, in the order of the fields."""
    for name, field in section.model_fields.items():
        dotted = f"{prefix}{name}"
        annotation = field.annotation
        if get_origin(annotation) is dict and (kinds := find_sections(get_args(annotation)[1])):
            yield from _iter_inner_keys(kinds, f"{dotted}.<name>.")
        elif get_origin(annotation) is tuple and (kinds := find_sections(get_args(annotation)[0])):
            yield from _iter_inner_keys(kinds, f"{dotted}[].")
        elif inner := find_sections(annotation):
            if type(None) in get_args(annotation):
                yield _Key(dotted, "null, or the keys below", field.description or "")
            yield from _iter_inner_keys(inner, f"{dotted}.")
        else:
            limits = _format_range(field)
            allowed = _format_type(annotation) + (f" {limits}" if limits else "")
            yield _Key(dotted, allowed, field.description or "", _find_content(annotation))


def _iter_inner_keys(kinds: list[type[BaseModel]], prefix: str) -> Iterator[_Key]:
    """Yield every key of a section that is of one kind, or of several."""
    return iter_keys(kinds[0], prefix) if len(kinds) == 1 else _iter_kind_keys(kinds, prefix)


def _find_content(annotation: Any) -> Literal["text", "map", "maps", "other"]:
    """Whether a type is a map, a map of maps, or a text or a list of texts."""
    if get_origin(annotation) is Annotated:
        return _find_content(get_args(annotation)[0])
    if get_origin(annotation) is dict:
        return "maps" if _find_content(get_args(annotation)[1]) == "map" else "map"
    return "text" if annotation is str or any(_find_content(a) == "text" for a in get_args(annotation)) else "other"


def get_kind(section: type[BaseModel]) -> str:
    """Return the value of the key `kind` in a section of this class."""
    return str(get_args(section.model_fields["kind"].annotation)[0])


def _iter_kind_keys(kinds: list[type[BaseModel]], prefix: str) -> Iterator[_Key]:
    """Yield every key of the kinds of a section once; a meaning that not all have follows the names of its kinds."""
    keys_by_name: dict[str, dict[str, _Key]] = {}
    for kind in kinds:
        for key in iter_keys(kind, prefix):
            keys_by_name.setdefault(key.name, {})[get_kind(kind)] = key
    for name, keys in keys_by_name.items():
        meanings: dict[str, list[str]] = {}
        for kind_name, key in keys.items():
            meanings.setdefault(key.description, []).append(kind_name)
        common = len(meanings) == 1 and len(keys) == len(kinds)
        yield _Key(
            name,
            ", ".join(dict.fromkeys(key.allowed for key in keys.values())),
            "; ".join(text if common else f"({', '.join(names)}) {text}" for text, names in meanings.items()),
            next((key.holds for key in keys.values() if key.holds != "other"), "other"),
        )


def find_nearest(name: str, known: list[str], cutoff: float) -> str | None:
    """Find the known name that a misspelt one most likely means.

    A key that exists in another section comes first (`trainer.lr`: `optimizer.lr`), then the most similar whole name,
    then the most similar last component.

    Args:
        name: The misspelt name.
        known: The names that exist.
        cutoff: Least similarity, 0 to 1.

    Returns:
        One of ``known``, or None where none is similar.
    """
    last = {key.rsplit(".", 1)[-1]: key for key in reversed(known) if "." in key} if "." in name else {}
    leaf = name.rsplit(".", 1)[-1]
    if leaf in last:
        return get_close_matches(name, [key for key in known if key.endswith(f".{leaf}")], n=1, cutoff=0)[0]
    # Long names are alike by their sections alone: the last components must be alike too.
    close = get_close_matches(name, known, n=1, cutoff=cutoff)
    if close and get_close_matches(leaf, [close[0].rsplit(".", 1)[-1]], cutoff=0.5):
        return close[0]
    close = get_close_matches(leaf, list(last), n=1, cutoff=cutoff)
    return last[close[0]] if close else None
