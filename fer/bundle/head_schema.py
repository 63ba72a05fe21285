"""The entry `head` of the bundle.yaml of a model with a fitted head, written and read, and what its weights must be."""

from collections.abc import Mapping
from typing import Any

from fer.bundle.schema import parse_integer
from fer.models.head_format import HEAD_KINDS, HeadFormat

# Configurations allow no more of any; trees have two nodes a leaf, less one.
MAX_FEATURES, MAX_HIDDEN, MAX_ROUNDS, MAX_NODES, MAX_DEPTH = 16384, 2048, 500, 125, 12


def dump_head(format: HeadFormat) -> dict[str, Any]:
    """Return the entry `head`, without what a head of this kind does not have."""
    sizes = {
        "mlp": {"hidden": format.hidden},
        "gradient_boosting": {"rounds": format.rounds, "nodes": format.nodes, "depth": format.depth},
    }
    return {"kind": format.kind, "features": format.features, **sizes.get(format.kind, {})}


def parse_head(content: Mapping[str, Any]) -> HeadFormat:
    """Read the entry `head`. Raises KeyError, TypeError, ValueError."""
    kind = next((kind for kind in HEAD_KINDS if content["kind"] == kind), None)
    if kind is None:
        raise ValueError(f"head.kind must be one of {', '.join(HEAD_KINDS)}")
    features = parse_integer(content["features"], "head.features", 1, MAX_FEATURES)
    if kind == "mlp":
        return HeadFormat(kind, features, hidden=parse_integer(content["hidden"], "head.hidden", 1, MAX_HIDDEN))
    if kind != "gradient_boosting":
        return HeadFormat(kind, features)
    return HeadFormat(
        kind,
        features,
        rounds=parse_integer(content["rounds"], "head.rounds", 1, MAX_ROUNDS),
        nodes=parse_integer(content["nodes"], "head.nodes", 1, MAX_NODES),
        depth=parse_integer(content["depth"], "head.depth", 1, MAX_DEPTH),
    )
