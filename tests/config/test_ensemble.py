"""Several models in `model_uri`: how they are written, and what is said of wrong lists."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from fer.config import Config
from fer.config.compose import load_overrides
from fer.config.quoting import quote_overrides
from fer.errors import ConfigError


def load(*overrides: str) -> Config:
    return load_overrides(quote_overrides(overrides), "infer")


@pytest.mark.parametrize(
    ("typed", "uris"),
    [
        ("[A,B]", ("A", "B")),
        (
            "[outputs/train/2026-01-31/12-00-00-a, ./b c (1).tar.gz]",
            ("outputs/train/2026-01-31/12-00-00-a", "./b c (1).tar.gz"),
        ),
        (
            "[models:/fer@champion,models:/fer/3,s3://b/k.tar.gz]",
            ("models:/fer@champion", "models:/fer/3", "s3://b/k.tar.gz"),
        ),
        ("[pretrained,'with, comma']", ("pretrained", "with, comma")),
        ("A", ("A",)),
        ("null", ()),
    ],
)
def test_one_model_or_a_list_of_them(typed: str, uris: tuple[str, ...]) -> None:
    config = load(f"model_uri={typed}")
    assert config.list_model_uris() == uris
    assert Config.model_validate(config.dump(), context={"program": "infer"}) == config


def test_a_list_is_shown_as_it_is_typed() -> None:
    assert load("model_uri=[A,B]").format_model_uri() == "[A,B]"
    assert load("model_uri=A").format_model_uri() == "A"
    assert load().format_model_uri() == "null"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("[A]", r"model_uri=\[A\]: a list, of which the mean is taken, has 2 to 10 models; name one without \[\]"),
        ("[]", "has 2 to 10 models"),
        (f"[{','.join('ABCDEFGHIJK')}]", "has 2 to 10 models"),
        ("[A,B,A]", r"model_uri=\[A, B, A\]: names A twice"),
        ("[A,null]", "must name a model, or be a list of such names"),
        ("[A,[B,C]]", "must name a model, or be a list of such names"),
    ],
)
def test_a_wrong_list_is_refused_in_one_sentence(typed: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        load(f"model_uri={typed}")
    assert len(str(raised.value).splitlines()) == 1


def test_weights_are_equal_or_by_validation() -> None:
    assert load().ensemble.weights == "equal"
    with pytest.raises(ConfigError, match="ensemble.weights=best: allowed are equal or validation"):
        load("ensemble.weights=best")


def test_a_sweep_compares_models_with_their_ensemble() -> None:
    (quoted,) = quote_overrides(["model_uri=run-1,run-2,[run-1,run-2]"], multirun=True)
    parsed = OverridesParser.create().parse_override(quoted)
    assert parsed.is_sweep_override()
    jobs = [load(f"model_uri={value}").list_model_uris() for value in parsed.sweep_string_iterator()]
    assert jobs == [("run-1",), ("run-2",), ("run-1", "run-2")]


def test_features_of_several_networks_have_no_mean() -> None:
    with pytest.raises(ConfigError, match=r"trainer.stages=\[embed\] takes one model"):
        load_overrides(["trainer.stages=[embed]", "model_uri=[A,B]"])
