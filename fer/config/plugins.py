"""The plugins that a configuration names, found among the installed packages (`fer.core.plugins`), never imported."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fer.config import Config
from fer.config.model import BUILT_IN_LOSSES
from fer.core.plugins import Plugin, find_plugin


@dataclass(frozen=True)
class PluginUse:
    """A plugin that a configuration names.

    Attributes:
        key: Where it does, such as `trainer.callbacks.NAME`.
        plugin: What is installed under the name.
        options: Keyword arguments for it.
    """

    key: str
    plugin: Plugin
    options: Mapping[str, Any]


def find_used_plugins(config: Config) -> list[PluginUse]:
    """Find the plugins that the stages of a configuration use.

    Args:
        config: A configuration of train.py.

    Raises:
        PreconditionError: One is not installed, or several packages offer it.
    """
    return [
        PluginUse(key, find_plugin(kind, name, key, BUILT_IN_LOSSES if kind == "loss" else ()), options)
        for kind, name, key, options in _iter_names(config)
    ]


def _iter_names(config: Config) -> Iterator[tuple[str, str, str, Mapping[str, Any]]]:
    """Kind, name, key and options of each."""
    loss, sections = config.model.loss, {"tracker": ("tracker.plugins", config.tracker.plugins)}
    if "fit" in config.trainer.stages:
        sections |= {
            "augmentation": ("dataset.augment.plugins", config.dataset.augment.plugins),
            "callback": ("trainer.callbacks", config.trainer.callbacks),
        }
        if loss.kind not in BUILT_IN_LOSSES:
            yield "loss", loss.kind, f"model.loss.kind={loss.kind}", loss.options
    for kind, (section, plugins) in sections.items():
        for name, options in plugins.items():
            yield kind, name, f"{section}.{name}", options


def describe_plugins(config: Config) -> dict[str, dict[str, str]]:
    """Describe the plugins that a configuration uses, as provenance.json holds it. Raises PreconditionError."""
    plugins = [use.plugin for use in find_used_plugins(config)]
    return {
        f"{plugin.kind}.{plugin.name}": {
            "package": plugin.package,
            "version": plugin.version,
            "entry_point": plugin.entry_point,
        }
        for plugin in plugins
    }


def list_plugin_changes(previous: Any, current: Mapping[str, Mapping[str, str]]) -> list[str]:
    """List what differs between the plugins that a provenance.json describes and those of now, a line each."""
    recorded = previous if isinstance(previous, dict) else {}
    return [
        f"plugin {name}: {_format_facts(recorded[name])} then, {_format_facts(facts)} now"
        for name, facts in current.items()
        if name in recorded and recorded[name] != facts
    ]


def _format_facts(facts: Mapping[str, str]) -> str:
    return " ".join(map(str, facts.values()))
