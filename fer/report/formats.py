"""How pages and figures write numbers. A missing number (None, NaN) is written as a dash."""

import math
from collections.abc import Mapping

NO_BREAK = "\N{NO-BREAK SPACE}"
DASH = "\N{EN DASH}"


def percent(share: float | None) -> str:
    """A share (0-1) in percent with one decimal: 0.8611 -> ``86.1 %``."""
    return DASH if _is_missing(share) else f"{share:.1%}".replace("%", f"{NO_BREAK}%")


def decimals(value: float | None) -> str:
    """A number with three decimals, for losses and calibration errors: 0.4712 -> ``0.471``."""
    return DASH if _is_missing(value) else f"{value:.3f}"


def significant(value: float | None) -> str:
    """A number with at least three significant digits, for rates: 0.00025, 92.4, 12,345."""
    if value is None or math.isnan(value):
        return DASH
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def count(value: int) -> str:
    """A whole number with thousands separated: 28558 -> ``28,558``."""
    return f"{value:,d}"


def interval(measure: Mapping[str, float | None]) -> str:
    """The bounds ``low`` and ``high`` of a share (0-1) in percent: ``84.9–87.3``; empty without bounds."""
    low, high = measure["low"], measure["high"]
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return ""
    return f"{100 * low:.1f}{DASH}{100 * high:.1f}"


def duration(seconds: float) -> str:
    """A time span in its two largest units: 754 -> ``12 min 34 s``."""
    if math.isnan(seconds):
        return DASH
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours}{NO_BREAK}h {minutes}{NO_BREAK}min"
    if minutes:
        return f"{minutes}{NO_BREAK}min {rest}{NO_BREAK}s"
    return f"{seconds:.1f}{NO_BREAK}s"


def _is_missing(value: float | None) -> bool:
    return value is None or math.isnan(value)
