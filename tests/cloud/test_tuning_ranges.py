"""Ranges of a search as SageMaker's tuner has them: all digits, no exponent, nothing that is no number."""

import pytest

from fer.cloud.tuning import _build_parameter_range
from fer.sweep.search_space import split_overrides


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("interval(1e-7,1e22)", "0.0000001", "10000000000000000000000"),
        ("interval(0.1,0.30000000000000004)", "0.1", "0.30000000000000004"),
        ("interval(-1e-5,120)", "-0.00001", "120"),
        ("interval(-0.0,1e16)", "0", "10000000000000000"),
        ("tag(log, interval(2.5e-300, 1))", f"0.{'0' * 299}25", "1"),
        ("int(interval(1,8))", "1", "8"),
    ],
)
def test_a_range_keeps_its_digits(text: str, low: str, high: str) -> None:
    [(key, parameter)] = split_overrides([f"a={text}"])[0].items()
    _, content = _build_parameter_range(key, parameter)
    assert (content["MinValue"], content["MaxValue"]) == (low, high)
    assert (float(low), float(high)) == (parameter.low, parameter.high)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("range(0.1,0.35,0.1)", ["0.1", "0.2", "0.3"]),
        ("range(0,3e-7,1e-7)", ["0", "0.0000001", "0.0000002"]),
        ("range(10,0,-3)", ["1", "4", "7", "10"]),
    ],
)
def test_numbers_in_steps_are_choices(text: str, values: list[str]) -> None:
    [(key, parameter)] = split_overrides([f"a={text}"])[0].items()
    assert _build_parameter_range(key, parameter) == ("Categorical", {"Values": values})
