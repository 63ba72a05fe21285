"""Composing configurations as the programs do."""

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from fer.config.compose import CONF, load_overrides
from fer.errors import ConfigError


def composed(*overrides: str) -> DictConfig:
    """What Hydra makes of conf/ and some overrides, unchecked."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(overrides))


def fill(config: DictConfig, place: Path) -> list[str]:
    """Set each mandatory value, roots of data sets to ``place`` and the bucket; returns their keys."""
    missing = sorted(OmegaConf.missing_keys(config))
    for key in missing:
        assert key == "aws.bucket" or (key.startswith("dataset.sources.") and key.endswith(".root"))
        OmegaConf.update(config, key, "a-bucket" if key == "aws.bucket" else str(place))
    return missing


def leaves(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted key: value, of everything that is not a section; an empty section counts as a value."""
    if not isinstance(tree, dict) or not tree:
        return {prefix.removesuffix("."): tree}
    return {key: value for name, inner in tree.items() for key, value in leaves(inner, f"{prefix}{name}.").items()}


def refusal(*overrides: str) -> str:
    """The message with which the overrides are refused."""
    with pytest.raises(ConfigError) as raised:
        load_overrides(overrides)
    assert raised.value.exit_code == 2
    return str(raised.value)
