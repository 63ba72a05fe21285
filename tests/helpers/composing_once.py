"""Configurations that Hydra composes once: which files it takes, and what it makes of them, are a matter of the options
that are chosen, whatever the values are. Values are set in a copy, as always.
"""

import pickle
from collections.abc import Sequence
from dataclasses import astuple, replace
from typing import Any

from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.defaults_list import DefaultsList
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from fer.core.installation import CONF

# Files elsewhere, such as those of a run, may change between two calls.
OWN_SOURCES = ["hydra.conf", str(CONF), ""]
_list_defaults = config_loader_impl.create_defaults_list
_compose = ConfigLoaderImpl._compose_config_from_defaults_list
_lists: dict[Any, DefaultsList] = {}
_composed: dict[Any, bytes] = {}


def compose_once() -> None:
    """Have Hydra take what it made of the project's own files before; what is wrong is told each time."""
    config_loader_impl.create_defaults_list = _find_defaults
    ConfigLoaderImpl._compose_config_from_defaults_list = _find_composed  # type: ignore[method-assign]


def _is_own(repo: Any) -> bool:
    return [source.path for source in repo.get_sources()] == OWN_SOURCES


def _find_defaults(
    repo: Any, config_name: str | None, overrides_list: list[Override], prepend_hydra: bool, skip_missing: bool
) -> DefaultsList:
    values, choices = list[Override](), list[Override]()
    for override in overrides_list:
        (choices if repo.group_exists(override.key_or_group) else values).append(override)
    # A group may be given a mapping, which is a value.
    if not _is_own(repo) or any(isinstance(override.value(), dict) for override in choices):
        return _list_defaults(repo, config_name, overrides_list, prepend_hydra, skip_missing)
    key = (config_name, tuple(override.input_line for override in choices), prepend_hydra, skip_missing)
    if key not in _lists:
        _lists[key] = _list_defaults(repo, config_name, choices, prepend_hydra, skip_missing)
    return replace(_lists[key], config_overrides=[override for override in values if not override.is_sweep_override()])


def _find_composed(self: ConfigLoaderImpl, defaults: Sequence[ResultDefault], repo: Any) -> DictConfig:
    if not _is_own(repo):
        return _compose(self, list(defaults), repo)
    key = tuple(astuple(default) for default in defaults)
    if key not in _composed:
        _composed[key] = pickle.dumps(_compose(self, list(defaults), repo))
    found: DictConfig = pickle.loads(_composed[key])
    return found
