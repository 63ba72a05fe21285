"""The strict load: from what Hydra composed to a checked configuration."""

from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from fer.config import Config, Program
from fer.config.explain import composition_error, group_error, validation_error
from fer.errors import ConfigError

CONF = Path(__file__).resolve().parents[2] / "conf"


def load(composed: DictConfig, program: Program = "train") -> Config:
    """Resolve, then check every key, value and combination, as ``program`` has them.

    Raises ConfigError, a line a finding.
    """
    try:
        if missing := sorted(OmegaConf.missing_keys(composed)):
            raise ConfigError("\n".join(f"{key}: a value is needed; add {key}=…" for key in missing))
        plain = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise composition_error(error) from None
    try:
        return Config.model_validate(plain, context={"program": program})
    except ValidationError as error:
        raise validation_error(error, plain) from None


def load_overrides(overrides: Sequence[str], program: Program = "train", saved: Path | None = None) -> Config:
    """The configuration that a program would run with after these command-line overrides.

    ``saved`` is the run directory whose run.yaml is taken instead of ``conf/config.yaml``.
    """
    return load(composed(overrides, saved), program)


def composed(overrides: Sequence[str], saved: Path | None = None, with_hydra: bool = False) -> DictConfig:
    """What Hydra composes, with its own section if that is wanted. Raises ConfigError."""
    first = [f"hydra.searchpath=[file://{CONF}]"] if saved else []
    # A program that hydra.main started holds the one global Hydra; composing again needs it.
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str((saved or CONF).resolve()), version_base="1.3"):
            return compose("run" if saved else "config", [*first, *overrides], return_hydra_config=with_hydra)
    except (HydraException, OmegaConfBaseException) as error:
        raise composition_error(error) from None
    except ValueError as error:
        raise group_error(error, overrides) from None
