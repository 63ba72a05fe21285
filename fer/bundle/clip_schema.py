"""The entry `temporal` of the bundle.yaml of a model of clips, written and read."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from fer.bundle.schema import parse_flag, parse_integer, parse_number
from fer.models.clip_format import CLIP_KINDS, HEAD_KINDS, POSITIONS, TemporalFormat

# Configurations allow no more of any.
MAX_LENGTH, MAX_STEP_S, MAX_HIDDEN, MAX_LAYERS = 64, 10.0, 2048, 8
Choice = TypeVar("Choice", bound=str)


def dump_temporal(format: TemporalFormat) -> dict[str, Any]:
    """Return the entry `temporal`, without what a network of this kind does not have."""
    windows = {"kind": format.kind, "length": format.length, "step_s": format.step_s, "position": format.position}
    if format.kind == "video3d":
        return windows
    head = {"head": format.head, "hidden": format.hidden, "layers": format.layers}
    return {**windows, **head, **({"gray": True} if format.gray else {})}


def parse_temporal(content: Mapping[str, Any]) -> TemporalFormat:
    """Read the entry `temporal`. Raises KeyError, TypeError, ValueError."""
    kind = _parse_choice(content["kind"], "temporal.kind", CLIP_KINDS)
    length = parse_integer(content["length"], "temporal.length", 1, MAX_LENGTH)
    step_s = parse_number(content["step_s"], "temporal.step_s", 1e-3, MAX_STEP_S)
    position = _parse_choice(content["position"], "temporal.position", POSITIONS)
    if kind == "video3d":
        return TemporalFormat(kind, length, step_s, position)
    hidden = parse_integer(content["hidden"], "temporal.hidden", 8, MAX_HIDDEN)
    if hidden % 8:
        raise ValueError(f"temporal.hidden must be a multiple of 8, not {hidden}")
    return TemporalFormat(
        kind,
        length,
        step_s,
        position,
        _parse_choice(content["head"], "temporal.head", HEAD_KINDS),
        hidden,
        parse_integer(content["layers"], "temporal.layers", 1, MAX_LAYERS),
        parse_flag(content.get("gray", False), "temporal.gray"),
    )


def _parse_choice(value: Any, name: str, choices: Sequence[Choice]) -> Choice:
    """Return one of some words. Raises ValueError."""
    for choice in choices:
        if value == choice:
            return choice
    raise ValueError(f"{name} must be one of {', '.join(choices)}")
