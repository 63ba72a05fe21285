"""The measures of a study on its page: unit, definition, and how their values are written."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fer.emotions import CONTEMPT, EMOTIONS
from fer.reports.formats import DASH, NO_BREAK, percent, points, with_sign

# share: 0-1, written in percent; number: any, -1 to 1 mostly; count: of people.
Unit = Literal["share", "number", "degrees", "count"]
_MINUS = "\N{MINUS SIGN}"
# The emotions are shares; what is not here is a number.
_UNITS: Mapping[str, Unit] = {
    **dict.fromkeys((*EMOTIONS, CONTEMPT), "share"),
    **dict.fromkeys(("expressiveness", "positive", "negative", "engagement", "attention"), "share"),
    **dict.fromkeys(("yaw", "pitch", "roll"), "degrees"),
    "people": "count",
}
# Of these no baseline is subtracted.
_ABSOLUTE = {"attention", "people"}


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
        text = with_sign(value, digits) if sign else f"{value:z.{digits}f}".replace("-", _MINUS)
        return f"{text}{suffix}"


def build_measure(name: str, change: bool, definition: str) -> Measure:
    """Build what the page knows of a measure.

    Args:
        name: Of the measure.
        change: Whether the study has a baseline.
        definition: What it is, in words.
    """
    return Measure(name, _UNITS.get(name, "number"), definition, change and name not in _ABSOLUTE)


def _is_missing(value: float | None) -> bool:
    return value is None or math.isnan(value)
