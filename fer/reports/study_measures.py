"""The measures of a study on its page: unit, definition, and how their values are written."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from fer.emotions import CONTEMPT, EMOTIONS
from fer.reports.formats import DASH, NO_BREAK, percent, points

# share: 0-1, written in percent; number: any, -1 to 1 mostly; count: of people.
Unit = Literal["share", "number", "degrees", "count"]
_MINUS = "\N{MINUS SIGN}"
_DERIVED: Mapping[str, tuple[Unit, str]] = MappingProxyType(
    {
        "valence": (
            "number",
            "how pleasant the expression looks, from −1 to 1: the mean of the emotions’ circumplex coordinates, weighted "
            "by their probabilities. Derived from the seven probabilities, not measured by itself",
        ),
        "arousal": ("number", "how activated the expression looks, from −1 to 1, derived like valence"),
        "expressiveness": ("share", "1 less the probability of neutral: how much of any expression is seen"),
        "positive": ("share", "the probability of expressions that look pleasant"),
        "negative": ("share", "the probabilities of expressions that look unpleasant together"),
        "engagement": ("share", "expressiveness where the face is towards the camera"),
        "attention": ("share", "the share of time with a face towards the camera, judged by its pose, not by the eyes"),
        "yaw": ("degrees", "how far the head is turned to a side"),
        "pitch": ("degrees", "how far the head is raised or lowered"),
        "roll": ("degrees", "how far the head is tilted"),
        "people": ("count", "the number of faces found in the picture"),
    }
)


@dataclass(frozen=True)
class Measure:
    """A measure; with ``change`` its values are changes from a baseline."""

    name: str
    unit: Unit
    definition: str
    change: bool = False

    def write(self, value: float | None) -> str:
        """Format a value: ``62.0 %``, ``+0.31``, ``4.2°``; a change has its sign."""
        if self.unit == "share" and not self.change:
            return percent(value)
        return self.write_difference(value) if self.change or self.unit == "number" else self._write_plain(value, "")

    def write_difference(self, value: float | None) -> str:
        """Format a difference with its sign: ``+12.1 points``, ``−0.20``."""
        if _is_missing(value):
            return DASH
        return f"{points(value)}{NO_BREAK}points" if self.unit == "share" else self._write_plain(value, "+")

    def write_range(self, low: float | None, high: float | None, difference: bool = False) -> str:
        """Format an interval, its unit written once: ``+4.0 to +20.2 points``; empty without one."""
        if _is_missing(low) or _is_missing(high):
            return ""
        write = self.write_difference if difference else self.write
        first, last = write(low), write(high)
        for unit in (f"{NO_BREAK}points", f"{NO_BREAK}%"):
            first = first.removesuffix(unit)
        return f"{first} to {last}"

    def _write_plain(self, value: float | None, sign: str) -> str:
        if value is None or math.isnan(value):
            return DASH
        digits, suffix = {"degrees": (1, "°"), "count": (1, "")}.get(self.unit, (2, ""))
        return f"{value:{sign}.{digits}f}{suffix}".replace("-", _MINUS)


def build_measure(name: str, change: bool, definition: str | None = None) -> Measure:
    """Build what the page knows of a measure; ``definition`` replaces its own words."""
    if name in (*EMOTIONS, CONTEMPT):
        unit, own = "share", f"the probability that the classifier gives to {name}"
    else:
        unit, own = _DERIVED.get(name, ("number", ""))
    return Measure(name, unit, definition or own, change)  # type: ignore[arg-type]


def _is_missing(value: float | None) -> bool:
    return value is None or math.isnan(value)
