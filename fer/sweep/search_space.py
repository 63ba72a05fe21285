"""The search space of a sweep, in Hydra's grammar: `interval(1e-4,1e-2)`, `range(1,5)`, `choice(a,b)`, `a,b`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import OverrideParseException

from fer.config.quoting import quote_overrides
from fer.errors import ConfigError

GRAMMAR = "interval(1e-4,1e-2), tag(log, interval(1e-4,1e-2)), int(interval(1,8)), range(1,9,step=2) and choice(a,b)"


@dataclass(frozen=True)
class SearchParameter:
    """The values of one key that is searched.

    Attributes:
        kind: Whether one of ``choices`` or a number is searched.
        choices: The texts that are tried, as they are typed on the command line.
        low: Smallest number.
        high: Largest number, included.
        step: Distance of the numbers; None is any number between.
        log: Whether numbers are drawn evenly over orders of magnitude.
    """

    kind: Literal["choice", "int", "float"]
    choices: tuple[str, ...] = ()
    low: float = 0
    high: float = 0
    step: float | None = None
    log: bool = False


def split_overrides(overrides: Sequence[str]) -> tuple[dict[str, SearchParameter], list[str]]:
    """Split overrides into those that are searched and those that have one value only.

    Args:
        overrides: Of several for one key the last one counts, so that the command line overrides a file.

    Returns:
        The searched parameters by key, and the other overrides.

    Raises:
        ConfigError: A range is not one of Hydra's grammar, or is empty.
    """
    parameters: dict[str, SearchParameter] = {}
    fixed: dict[str, str] = {}
    try:
        parsed = OverridesParser.create().parse_overrides(quote_overrides(overrides, multirun=True))
    except OverrideParseException as error:
        raise ConfigError(f"{error.override}: cannot be read; a search space is made of {GRAMMAR}") from None
    for override in parsed:
        key = override.get_key_element()
        parameters.pop(key, None)
        fixed.pop(key, None)
        if override.is_sweep_override():
            parameters[key] = _parse_parameter(key, override)
        else:
            fixed[key] = str(override.input_line)
    return parameters, list(fixed.values())


def _parse_parameter(key: str, override: Override) -> SearchParameter:
    """Return the values that a sweep override searches. Raises ConfigError."""
    value: Any = override.value()
    if isinstance(value, ChoiceSweep):
        return SearchParameter("choice", tuple(override.sweep_string_iterator()))
    if isinstance(value, RangeSweep):
        numbers = list(value.range())
        if not numbers:
            raise ConfigError(f"{override.input_line}: an empty range")
        if all(isinstance(number, int) for number in numbers):
            return SearchParameter("int", (), min(numbers), max(numbers), abs(value.step))
        # Sums of floats would end at 0.09999999999999995 instead of 0.1.
        first, step = Decimal(str(value.start)), Decimal(str(value.step))
        ends = (float(first), float(first + (len(numbers) - 1) * step))
        return SearchParameter("float", (), min(ends), max(ends), abs(value.step))
    assert isinstance(value, IntervalSweep)
    low, high, log = value.start, value.end, "log" in value.tags
    if not all(math.isfinite(end) for end in (low, high) if end is not None):
        raise ConfigError(f"{override.input_line}: both numbers must be finite")
    if low is None or high is None or low >= high or (log and low <= 0):
        raise ConfigError(f"{override.input_line}: the first number must be below the second, and above 0 with log")
    integers = isinstance(low, int) and isinstance(high, int)
    return SearchParameter("int" if integers else "float", (), low, high, 1 if integers and not log else None, log)
