"""How pages and figures write numbers. A missing number (None, NaN) is written as a dash."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime

NO_BREAK = "\N{NO-BREAK SPACE}"
DASH = "\N{EN DASH}"


def percent(fraction: float | None) -> str:
    """Format a fraction (0-1) in percent with one decimal: 0.8611 -> ``86.1 %``."""
    return DASH if _is_missing(fraction) else f"{fraction:.1%}".replace("%", f"{NO_BREAK}%")


def decimals(value: float | None) -> str:
    """Format a number with three decimals, for losses and calibration errors: 0.4712 -> ``0.471``."""
    return DASH if _is_missing(value) else f"{value:.3f}"


def significant(value: float | None) -> str:
    """Format a number with at least three significant digits, for rates: 0.00025, 92.4, 12,345."""
    if value is None or math.isnan(value):
        return DASH
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def p_value(value: float | None) -> str:
    """Format a p-value with three decimals; smaller ones are only called smaller: 0.0004 -> ``< 0.001``."""
    return f"<{NO_BREAK}0.001" if value is not None and value < 0.001 else decimals(value)


def points(fraction: float | None) -> str:
    """Format a difference of fractions in percentage points, with its sign: -0.0213 -> ``−2.1``."""
    if fraction is None or math.isnan(fraction):
        return DASH
    return with_sign(100 * fraction, 1)


def signed(value: float | None) -> str:
    """Format a number with two decimals and its sign: -0.4 -> ``−0.40``."""
    return DASH if value is None or math.isnan(value) else with_sign(value, 2)


def with_sign(value: float, digits: int) -> str:
    """Format a number with its sign; what is rounded to 0 has none: -0.04 with one digit -> ``0.0``."""
    text = f"{value:+z.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}") if float(text) else text[1:]


def count(value: int) -> str:
    """Format a whole number with thousands separated: 28558 -> ``28,558``."""
    return f"{value:,d}"


def interval(metric: Mapping[str, float | None]) -> str:
    """Format the bounds `low` and `high` of a fraction (0-1) in percent: ``84.9–87.3``; empty without bounds."""
    low, high = metric["low"], metric["high"]
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return ""
    return f"{100 * low:.1f}{DASH}{100 * high:.1f}"


def short_duration(seconds: float | None) -> str:
    """Format a time span of at most seconds: 0.01234 -> ``12.3 ms``; 1.18 -> ``1.18 s``."""
    if seconds is None or math.isnan(seconds):
        return DASH
    return f"{significant(seconds)}{NO_BREAK}s" if seconds >= 1 else f"{significant(1000 * seconds)}{NO_BREAK}ms"


def seconds(value: float | None) -> str:
    """Format a time in seconds with one decimal, to be compared with others: 0.196 -> ``0.2 s``."""
    return DASH if _is_missing(value) else f"{value:.1f}{NO_BREAK}s"


def date(text: str) -> str:
    """Format a moment of ISO 8601 to the minute, in UTC: ``2026-11-28 12:00 UTC``; other texts stay as they are."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if moment.tzinfo is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def duration(seconds: float | None) -> str:
    """Format a time span in its two largest units: 754 -> ``12 min 34 s``."""
    if seconds is None or math.isnan(seconds):
        return DASH
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours}{NO_BREAK}h {minutes}{NO_BREAK}min"
    if minutes:
        return f"{minutes}{NO_BREAK}min {rest}{NO_BREAK}s"
    return f"{seconds:.1f}{NO_BREAK}s"


def clock(seconds: float) -> str:
    """Format a moment of a video as players do, with tenths: 754.26 -> ``12:34.3``; 3754.26 -> ``1:02:34.3``."""
    if math.isnan(seconds):
        return DASH
    tenths = round(10 * seconds)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    end = f"{rest // 10:02d}.{rest % 10}"
    return f"{hours}:{minutes:02d}:{end}" if hours else f"{minutes}:{end}"


def _is_missing(value: float | None) -> bool:
    return value is None or math.isnan(value)
