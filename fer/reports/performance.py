"""What a page says of the model whose predictions it shows: accuracy, recalls, training data, and warnings."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# An emotion that is found less often than this is warned of.
MIN_RECALL = 0.5


@dataclass(frozen=True)
class _Recall:
    emotion: str
    samples: int | None
    recall: Mapping[str, float | None]
    low: bool


@dataclass(frozen=True)
class PerformanceContent:
    """The section on the model.

    Attributes:
        split: Of which images the figures are, "test" or "validation"; None where nothing is known.
        samples: Their number.
        unit: What they are: "images", or "clips" for a temporal model.
        accuracy: With its interval.
        recalls: Of each class of the page.
        rare: Those below MIN_RECALL, the lowest first.
        unknown: Classes whose recall is not known.
        data: Sentences on the training data.
        level: MIN_RECALL.
    """

    split: str | None
    samples: int | None
    accuracy: Mapping[str, float | None] | None
    recalls: list[_Recall]
    rare: list[_Recall]
    unknown: list[str]
    data: list[str]
    level: float = MIN_RECALL
    unit: str = "images"


def build_performance_content(performance: Mapping[str, Any] | None, classes: Sequence[str]) -> PerformanceContent:
    """Build the section on the model.

    Args:
        performance: ``split``, ``samples``, ``accuracy`` {value, low, high}, ``recalls`` by class with ``samples``,
            ``data``, and ``unit`` where samples are no images; None where nothing is known.
        classes: The classes of the page.
    """
    facts = performance or {}
    known = facts.get("recalls") or {}
    recalls = []
    for name in classes:
        figures = known.get(name) or {}
        value, samples = figures.get("value"), figures.get("samples")
        interval = {"value": value, "low": figures.get("low"), "high": figures.get("high")}
        if value is not None and samples and not _has_width(interval):
            interval |= _compute_wilson_interval(value, samples)
        recalls.append(_Recall(name, samples, interval, value is not None and value < MIN_RECALL))
    return PerformanceContent(
        split=facts.get("split"),
        samples=facts.get("samples"),
        accuracy=facts.get("accuracy"),
        recalls=recalls,
        rare=sorted((found for found in recalls if found.low), key=lambda found: found.recall["value"] or 0.0),
        unknown=[found.emotion for found in recalls if found.recall["value"] is None],
        data=list(facts.get("data") or []),
        unit=str(facts.get("unit") or "images"),
    )


def _has_width(interval: Mapping[str, float | None]) -> bool:
    """Whether there is an interval that says something: a bootstrap of all or of none found gives one point."""
    low, high = interval["low"], interval["high"]
    return low is not None and high is not None and low < high


def _compute_wilson_interval(fraction: float, samples: int) -> dict[str, float]:
    """The 95 % interval of a fraction (Wilson 1927)."""
    z = 1.959964
    middle = (fraction + z**2 / (2 * samples)) / (1 + z**2 / samples)
    half = z / (1 + z**2 / samples) * math.sqrt(fraction * (1 - fraction) / samples + z**2 / (4 * samples**2))
    return {"low": max(0.0, middle - half), "high": min(1.0, middle + half)}
