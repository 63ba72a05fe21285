"""The search space of a sweep: Hydra's grammar as parameters."""

import pytest

from fer.errors import ConfigError
from fer.sweep.search_space import SearchParameter, split_overrides


@pytest.mark.parametrize(
    ("text", "parameter"),
    [
        ("tag(log, interval(1e-4, 1e-2))", SearchParameter("float", (), 1e-4, 1e-2, None, True)),
        ("interval(1, 8)", SearchParameter("float", (), 1.0, 8.0)),
        ("int(interval(1, 8))", SearchParameter("int", (), 1, 8, 1)),
        ("tag(log, int(interval(1, 64)))", SearchParameter("int", (), 1, 64, None, True)),
        ("range(1, 9, step=2)", SearchParameter("int", (), 1, 7, 2)),
        ("range(0, 0.5, step=0.25)", SearchParameter("float", (), 0.0, 0.25, 0.25)),
        ("choice(cosine, constant)", SearchParameter("choice", ("cosine", "constant"))),
        ("1e-3,5e-4", SearchParameter("choice", ("0.001", "0.0005"))),
    ],
)
def test_a_range_in_hydras_grammar(text: str, parameter: SearchParameter) -> None:
    assert split_overrides([f"optimizer.lr={text}"]) == ({"optimizer.lr": parameter}, [])


def test_plain_values_are_no_parameters_and_the_last_word_counts() -> None:
    parameters, fixed = split_overrides(
        ["seed=1", "model.drop_rate=0,0.2", "optimizer.lr=interval(1,2)", "optimizer.lr=0.5"]
    )
    assert list(parameters) == ["model.drop_rate"]
    assert fixed == ["seed=1", "optimizer.lr=0.5"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("interval(1, inf)", "both numbers must be finite"),
        ("interval(nan, 1)", "both numbers must be finite"),
        ("interval(2, 1)", "the first number must be below the second"),
        ("tag(log, interval(0, 1))", "above 0 with log"),
        ("range(5, 5)", "an empty range"),
        ("interval(1", "a search space is made of interval"),
    ],
)
def test_what_is_no_range_is_a_sentence(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        split_overrides([f"optimizer.lr={text}"])
