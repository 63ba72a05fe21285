"""The strict load: from what Hydra has composed to a checked configuration."""

from collections.abc import Sequence
from pathlib import Path

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from fer.config import Config, Program
from fer.config.error_messages import convert_composition_error, convert_group_error, convert_validation_error
from fer.core.installation import CONF
from fer.errors import ConfigError, shorten_error

# Keys by which Hydra or logging's configuration call what a value names, or Hydra reads further YAML.
CALLING_KEYS = ("_target_", "()", "class", "searchpath")


def load_config(cfg: DictConfig, program: Program = "train") -> Config:
    """Resolve a composed configuration and check every key, value and combination.

    Args:
        cfg: What Hydra has composed.
        program: The program whose rules it must keep.

    Raises:
        ConfigError: Something is wrong; the message has a line for each error.
    """
    try:
        if missing := sorted(OmegaConf.missing_keys(cfg)):
            raise ConfigError("\n".join(f"{key}: a value is needed; add {key}=…" for key in missing))
        plain = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise convert_composition_error(error) from None
    try:
        return Config.model_validate(plain, context={"program": program})
    except ValidationError as error:
        raise convert_validation_error(error, plain) from None


def load_overrides(overrides: Sequence[str], program: Program = "train", saved: Path | None = None) -> Config:
    """Load the configuration that a program gets from command-line overrides.

    Args:
        overrides: Such as ``["trainer=debug", "optimizer.lr=1e-3"]``.
        program: The program whose rules it must keep.
        saved: A run directory, whose run.yaml is taken instead of ``conf/config.yaml``.

    Raises:
        ConfigError: An override or a value is wrong; the message has a line for each error.

    Examples:
        >>> load_overrides(["optimizer.lr=1e-3"]).optimizer.lr
        0.001
    """
    return load_config(compose_config(overrides, saved), program)


def compose_config(overrides: Sequence[str], saved: Path | None = None, with_hydra: bool = False) -> DictConfig:
    """Compose a configuration by Hydra, unchecked.

    Args:
        overrides: As on the command line.
        saved: A run directory, whose run.yaml is taken instead of ``conf/config.yaml``.
        with_hydra: Whether the result has Hydra's own section.

    Raises:
        ConfigError: An override names nothing that exists.
    """
    first = [f"hydra.searchpath=[file://{CONF}]"] if saved else []
    # A program that hydra.main started holds the one global Hydra; composing again needs it.
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str((saved or CONF).resolve()), version_base="1.3"):
            return compose("run" if saved else "config", [*first, *overrides], return_hydra_config=with_hydra)
    except (HydraException, OmegaConfBaseException) as error:
        raise convert_composition_error(error) from None
    except ValueError as error:
        raise convert_group_error(error, overrides) from None


def refuse_executable_yaml(arguments: list[str]) -> None:
    """Refuse a ``--config-dir`` whose YAML could make Hydra import and call something.

    Run directories are passed from hand to hand; replaying one must not run foreign code.

    Args:
        arguments: Those of the command line.

    Raises:
        ConfigError: A YAML file of the directory holds one of CALLING_KEYS, or cannot be read.
    """
    for index, argument in enumerate(arguments):
        option, _, value = argument.partition("=")
        # Hydra also takes the beginning of an option's name.
        if option != "-cd" and not (option.startswith("--config-d") and "--config-dir".startswith(option)):
            continue
        folder = Path(value or (arguments[index + 1] if index + 1 < len(arguments) else ""))
        if not folder.is_dir():
            raise ConfigError(f"--config-dir {folder}: no such directory")
        for file in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")]):
            try:
                hostile = _find_calling_key(yaml.safe_load(file.read_text(encoding="utf-8")))
            except (OSError, UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
                raise ConfigError(f"{file}: cannot be read as YAML ({shorten_error(error)})") from None
            if hostile:
                raise ConfigError(f"{file}: holds `{hostile}`, which could run code; remove it")


def _find_calling_key(node: object) -> str | None:
    """Return the first of CALLING_KEYS that any mapping inside a YAML document has."""
    if isinstance(node, dict):
        if named := [key for key in CALLING_KEYS if key in node]:
            return named[0]
        node = list(node.values())
    return next(filter(None, map(_find_calling_key, node)), None) if isinstance(node, list) else None
