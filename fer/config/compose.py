"""The strict load: from what Hydra has composed to a checked configuration."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, MissingMandatoryValue, OmegaConfBaseException
from pydantic import ValidationError

from fer.config import Config, Program
from fer.config.error_messages import convert_composition_error, convert_group_error, convert_validation_error
from fer.config.foreign_yaml import find_danger, iter_yaml_files
from fer.config.plugins import find_used_plugins
from fer.config.quoting import quote, quote_overrides
from fer.config.secrets import refuse_secret_addresses, refuse_secrets
from fer.core.expansion import expand_path
from fer.core.installation import CONF
from fer.core.run_layout import RUN_YAML
from fer.errors import ConfigError, shorten_error


def load_config(cfg: DictConfig, program: Program = "train", is_saved: bool = False) -> Config:
    """Resolve a composed configuration and check every key, value and combination.

    Args:
        cfg: What Hydra has composed.
        program: The program whose rules it must keep.
        is_saved: It is that of a run, which has a copy of its study's file.

    Raises:
        ConfigError: Something is wrong; the message has a line for each error. A text holds a secret.
        PreconditionError: A plugin of a training is not installed.
    """
    try:
        plain = _resolve(cfg)
    except OmegaConfBaseException as error:
        raise convert_composition_error(error) from None
    # What is wrong with a value is told with the value.
    refuse_secrets({str(key): value for key, value in plain.items()} if isinstance(plain, dict) else {})
    try:
        config = Config.model_validate(plain, context={"program": program, "is_saved": is_saved})
    except ValidationError as error:
        raise convert_validation_error(error, plain) from None
    refuse_secret_addresses(config.dump())
    if program == "train":
        find_used_plugins(config)
    return config


def _resolve(cfg: DictConfig) -> Any:
    """Plain values; to look for those that are missing takes longer than the rest, and is done where one is met."""
    try:
        return OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except (MissingMandatoryValue, InterpolationToMissingValueError):
        missing = sorted(OmegaConf.missing_keys(cfg))
        raise ConfigError("\n".join(f"{key}: a value is needed; add {key}=…" for key in missing)) from None


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
    return load_config(compose_config(overrides, saved), program, saved is not None)


def compose_config(overrides: Sequence[str], saved: Path | None = None, with_hydra: bool = False) -> DictConfig:
    """Compose a configuration by Hydra, unchecked.

    Args:
        overrides: As on the command line.
        saved: A run directory, whose run.yaml is taken instead of ``conf/config.yaml``.
        with_hydra: Whether the result has Hydra's own section.

    Raises:
        ConfigError: An override names nothing that exists.
    """
    first = [f"hydra.searchpath=[{quote(f'file://{CONF}')}]"] if saved else []
    # A program that hydra.main started holds the one global Hydra; composing again needs it.
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str((saved or CONF).resolve()), version_base="1.3"):
            return compose(
                "run" if saved else "config", [*first, *quote_overrides(overrides)], return_hydra_config=with_hydra
            )
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
        ConfigError: A YAML file of the directory holds what could run code or tell secrets, or cannot be read.
    """
    for name in _find_option(arguments, "-cd", "--config-dir", "--config-d"):
        folder = Path(name)
        if not folder.is_dir():
            raise ConfigError(f"--config-dir {folder}: no such directory")
        for file in iter_yaml_files(folder):
            try:
                hostile = find_danger(file, folder)
            except (OSError, ValueError) as error:
                raise ConfigError(f"{file}: cannot be read as YAML ({shorten_error(error)})") from None
            if hostile:
                raise ConfigError(f"{file}: holds {hostile}; remove it")


def check_config_name(arguments: list[str]) -> None:
    """Refuse a ``--config-name`` that is not there, and a run's directory without one, which would be ignored.

    Raises:
        ConfigError: With the names that are there.
    """
    folders = [Path(name) for name in _find_option(arguments, "-cd", "--config-dir", "--config-d")]
    names = _find_option(arguments, "-cn", "--config-name", "--config-n")
    if _find_option(arguments, "-cp", "--config-path", "--config-p"):
        return
    if not names and folders and (folders[-1] / RUN_YAML).is_file():
        raise ConfigError(
            f"--config-dir {folders[-1]}: is the directory of a run; add --config-name run to run it again"
        )
    searched = [*folders, CONF]
    if names and not any((folder / f"{names[-1].removesuffix('.yaml')}.yaml").is_file() for folder in searched):
        there = sorted({file.stem for folder in searched for file in folder.glob("*.yaml")} - {"base"})
        hint = "" if folders else "; a run is named by --config-dir RUN --config-name run"
        raise ConfigError(f"--config-name {names[-1]}: there is no such file; allowed are {', '.join(there)}{hint}")


def expand_config_dir(arguments: list[str]) -> list[str]:
    """Expand `~` and environment variables in ``--config-dir=DIR``, where a shell does not. Raises ConfigError."""
    try:
        return [
            f"{option}={expand_path(value)}" if value and option in ("-cd", "--config-dir") else argument
            for argument in arguments
            for option, _, value in [argument.partition("=")]
        ]
    except ValueError as error:
        raise ConfigError(f"--config-dir: {error}") from None


def _find_option(arguments: list[str], short: str, long: str, shortest: str) -> list[str]:
    """The values of an option of the command line; Hydra also takes the beginning of an option's name."""
    found = []
    for index, argument in enumerate(arguments):
        option, _, value = argument.partition("=")
        if option == short or (option.startswith(shortest) and long.startswith(option)):
            found.append(value or (arguments[index + 1] if index + 1 < len(arguments) else ""))
    return found
