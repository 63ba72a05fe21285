"""Composing configurations as the programs do."""

import copy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from fer.config import Config, Program
from fer.config.compose import CONF, compose_config, load_config, load_overrides
from fer.config.quoting import quote_overrides
from fer.errors import ConfigError

_compose_once = cache(compose_config)


def complete_option(group: str, option: str) -> list[str]:
    """The choice of an option, and of another that it needs: clips and a network that looks at them go together."""
    other = []
    if group == "dataset" and ("clips" in option or option == "synthetic_direction"):
        other = ["model=temporal"]
    elif group == "model" and option in ("temporal", "video3d"):
        other = ["dataset=synthetic_clips"]
    return [f"{group}={option}", *other]


def composed(*overrides: str) -> DictConfig:
    """What Hydra makes of conf/ and some overrides, unchecked."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(overrides))


def fill(config: DictConfig, place: Path) -> list[str]:
    """Set each mandatory value, roots and tables of data sets to ``place`` and the bucket; returns their keys."""
    missing = sorted(OmegaConf.missing_keys(config))
    for key in missing:
        assert key == "aws.bucket" or (key.startswith("dataset.sources.") and key.endswith((".root", ".table")))
        OmegaConf.update(config, key, "a-bucket" if key == "aws.bucket" else str(place))
    return missing


def leaves(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted key: value, of everything that is not a section; an empty section counts as a value."""
    if not isinstance(tree, dict) or not tree:
        return {prefix.removesuffix("."): tree}
    return {key: value for name, inner in tree.items() for key, value in leaves(inner, f"{prefix}{name}.").items()}


def load_values(*overrides: str, program: Program = "train", options: tuple[str, ...] = ()) -> Config:
    """Load overrides as ``load_overrides`` does, on a configuration of some ``options`` that is composed once.

    None of the overrides may choose an option of a config group: that decides what is composed.
    """
    config = copy.deepcopy(_compose_once(options))
    parsed = OverridesParser.create().parse_overrides(quote_overrides(overrides))
    ConfigLoaderImpl._apply_overrides_to_config(parsed, config)
    return load_config(config, program)


def refusal(*overrides: str) -> str:
    """The message with which the overrides are refused."""
    with pytest.raises(ConfigError) as raised:
        load_overrides(overrides)
    assert raised.value.exit_code == 2
    return str(raised.value)
