"""The entries `calibration`, `uncertainty` and `prediction_sets` of a bundle.yaml, written and read."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fer.bundle.schema import parse_integer, parse_number
from fer.metrics.calibration import Calibration
from fer.metrics.uncertainty import ConfidenceRule, SetThresholds

CALIBRATION, UNCERTAINTY, PREDICTION_SETS = "calibration", "uncertainty", "prediction_sets"

# Images that a calibration was fitted on; logits are changed by no larger factor.
MAX_SAMPLES, MAX_TEMPERATURE = 10**9, 1e6


def dump_calibration(calibration: Calibration) -> dict[str, Any]:
    """Return the entry `calibration`; the temperature has an entry of its own, which older programs read too."""
    content: dict[str, Any] = {"method": calibration.method}
    if calibration.scale is not None and calibration.bias is not None:
        content |= {"scale": list(calibration.scale), "bias": list(calibration.bias)}
    return content


def dump_uncertainty(rule: ConfidenceRule | None, sets: SetThresholds | None) -> dict[str, Any]:
    """Return the entries `uncertainty` and `prediction_sets`, without those that are None."""
    entries = {UNCERTAINTY: rule, PREDICTION_SETS: sets}
    return {name: asdict(value) for name, value in entries.items() if value is not None}


def parse_calibration(content: Mapping[str, Any], class_count: int) -> Calibration:
    """Read the calibration from the content of a bundle.yaml; of an older one, whose entry is missing, the temperature.

    Raises:
        KeyError, TypeError, ValueError: It is none.
    """
    temperature = float(content["temperature"])
    if not 0 < temperature <= MAX_TEMPERATURE:
        raise ValueError("the temperature must be above 0")
    entry = content.get(CALIBRATION) or {"method": "temperature"}
    if entry["method"] == "temperature":
        return Calibration(temperature)
    if entry["method"] != "vector":
        raise ValueError(f"calibration by {entry['method']}; this program knows temperature and vector")
    scale, bias = (_parse_vector(entry[name], class_count, name) for name in ("scale", "bias"))
    if min(scale) <= 0:
        raise ValueError("the scale of a class must be above 0")
    return Calibration(temperature, scale, bias)


def _parse_vector(values: Sequence[Any], count: int, name: str) -> tuple[float, ...]:
    """Finite numbers, one a class. Raises TypeError and ValueError."""
    if isinstance(values, str):
        raise TypeError(f"{name} must be a list")
    numbers = tuple(float(value) for value in values)
    if len(numbers) != count or not all(abs(number) <= MAX_TEMPERATURE for number in numbers):
        raise ValueError(f"{name} must hold {count} finite numbers")
    return numbers


def parse_confidence_rule(content: Mapping[str, Any]) -> ConfidenceRule | None:
    """Read the entry `uncertainty`, None where there is none. Raises KeyError, TypeError, ValueError."""
    entry = content.get(UNCERTAINTY)
    if entry is None:
        return None
    return ConfidenceRule(
        parse_number(entry["precision_target"], "precision_target", 0, 1),
        _parse_share(entry["threshold"]),
        _parse_share(entry["precision"]),
        parse_number(entry["coverage"], "coverage", 0, 1),
        parse_integer(entry["samples"], "samples", 0, MAX_SAMPLES),
    )


def parse_set_thresholds(content: Mapping[str, Any]) -> SetThresholds | None:
    """Read the entry `prediction_sets`, None where there is none. Raises KeyError, TypeError, ValueError."""
    entry = content.get(PREDICTION_SETS)
    if entry is None:
        return None
    # JSON has the levels as text.
    shares = {
        parse_number(level, "level", 0, 1): _parse_share(value)
        for level, value in dict(entry["least_probability"]).items()
    }
    return SetThresholds(parse_integer(entry["samples"], "samples", 0, MAX_SAMPLES), shares)


def _parse_share(value: Any) -> float | None:
    """None, or a number from 0 to 1. Raises TypeError and ValueError."""
    if value is not None and not 0 <= float(value) <= 1:
        raise ValueError(f"{value} must be between 0 and 1")
    return None if value is None else float(value)
