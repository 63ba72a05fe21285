"""Types and ranges of what a bundle.yaml says: it may come from anybody, and arrays are made by its numbers.

Without pydantic, which the containers that serve a package lack.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

# Pixels; configurations allow no more of either.
MAX_SIDE = 1024
MIN_IMAGE_SIZE = 8
MAX_CLASSES = 100
# Names of columns and keys of answers.
_CLASS_NAME = re.compile(r"\w[\w .-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def parse_integer(value: Any, name: str, low: int, high: int) -> int:
    """Return a whole number from ``low`` to ``high``. Raises TypeError and ValueError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number")
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low} to {high}, not {value}")
    return value


def parse_number(value: Any, name: str, low: float, high: float) -> float:
    """Return a finite number from ``low`` to ``high``. Raises TypeError and ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(f"{name} must be a number")
    number = float(value)
    if not low <= number <= high or not math.isfinite(number):
        raise ValueError(f"{name} must be from {low:g} to {high:g}, not {number:g}")
    return number


def parse_flag(value: Any, name: str) -> bool:
    """Return a truth value. Raises TypeError."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be true or false")
    return value


def parse_classes(values: Any) -> tuple[str, ...]:
    """Return the names of classes, all different. Raises TypeError and ValueError."""
    if not isinstance(values, list) or not all(isinstance(name, str) for name in values):
        raise TypeError("classes must be a list of names")
    if not 2 <= len(values) <= MAX_CLASSES or len(set(values)) < len(values):
        raise ValueError(f"classes must be 2 to {MAX_CLASSES} different names")
    if wrong := [name for name in values if not _CLASS_NAME.fullmatch(name)]:
        raise ValueError(f"{ascii(wrong[0])[:80]} is no name of a class")
    return tuple(values)


def parse_channels(values: Sequence[Any], name: str) -> tuple[float, ...]:
    """Return a number for each of some channels. Raises TypeError and ValueError."""
    if not isinstance(values, list):
        raise TypeError(f"{name} must be a list of numbers")
    return tuple(parse_number(value, name, -1000, 1000) for value in values)


def parse_text(value: Any, name: str) -> str:
    """Return a short text. Raises TypeError and ValueError."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a text")
    if not 0 < len(value) <= 200 or not value.isprintable():
        raise ValueError(f"{name} must be a text of 1 to 200 characters")
    return value


def parse_digest(value: Any, name: str) -> str:
    """Return a SHA-256 in hexadecimal. Raises ValueError."""
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise ValueError(f"{name} must be a SHA-256 in hexadecimal")
    return value
