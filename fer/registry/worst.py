"""The gate's limits on the class and on the group of people that are recognised worst."""

from collections.abc import Mapping
from typing import Any

from fer.registry.status import APPROVED, REJECTED, Status

CLASS_KEY, GROUP_KEY = "registry.gate.min_worst_class_recall", "registry.gate.min_worst_group_accuracy"


def check_worst_class(metrics: Mapping[str, Any], limit: float, subject: str) -> tuple[Status, str]:
    """Check the recall of the class that is recognised worst.

    Args:
        metrics: Those of one split, as metrics.json or bundle.yaml holds them.
        limit: The least recall.
        subject: Of which images the metrics are.

    Returns:
        The finding, rejected where a class has no recall: then nothing shows that the limit is kept.
    """
    recalls = {name: row.get("recall") or {} for name, row in (metrics.get("per_class") or {}).items()}
    recalls = recalls or metrics.get("recall") or {}
    values = {name: recall.get("value") for name, recall in recalls.items()}
    if not values:
        return REJECTED, (
            f"The metrics of {subject} hold no recall of the classes, which {CLASS_KEY}={limit:g} asks for; get them "
            "by train.py trainer.stages=[test] model_uri=MODEL with the data, and register that model's run."
        )
    if missing := [name for name, value in values.items() if value is None]:
        return REJECTED, (
            f"There is no image of {', '.join(missing)} in {subject}, so {CLASS_KEY}={limit:g} cannot be shown; "
            "evaluate on data with every class."
        )
    value, worst = min((float(value), name) for name, value in values.items() if value is not None)
    text = f"recall of the worst class, {worst}, on {subject}: {value:.3f} ({CLASS_KEY}={limit:g})."
    return (APPROVED, f"Kept: {text}") if value >= limit else (REJECTED, f"Not reached: {text}")


def check_worst_group(metrics: Mapping[str, Any], limit: float, subject: str) -> tuple[Status, str]:
    """Check the accuracy of the worst group of people among all groupings.

    Args:
        metrics: Those of one split, as metrics.json holds them.
        limit: The least accuracy.
        subject: Of which images the metrics are.

    Returns:
        The finding, rejected where no group is large enough to be judged.
    """
    worst = {name: entry["worst"] for name, entry in (metrics.get("groups") or {}).items() if entry["worst"]}
    if not worst:
        return REJECTED, (
            f"The metrics of {subject} hold no group that is judged, which {GROUP_KEY}={limit:g} asks for; train or "
            "evaluate with evaluation.groups=[COLUMN,…] on data that tell groups, such as RAF-DB with its annotations, "
            "and evaluation.min_group_size at most the size of the groups."
        )
    name = min(worst, key=lambda column: worst[column]["value"])
    group, value = worst[name]["group"], worst[name]["value"]
    text = f"accuracy of the worst group, {name}={group}, on {subject}: {value:.3f} ({GROUP_KEY}={limit:g})."
    return (APPROVED, f"Kept: {text}") if value >= limit else (REJECTED, f"Not reached: {text}")
