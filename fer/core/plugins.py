"""What installed packages offer in the entry-point group `fer.plugins`; nothing is imported before it is asked for.

The name of an entry point says kind and name, such as `loss.poly`; its value is an object reference. A configuration
holds such names alone, never what to import.
"""

import logging
import re
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from typing import Any

from fer.errors import PreconditionError, UserError, shorten_error

GROUP = "fer.plugins"
KINDS = ("augmentation", "callback", "loss", "tracker")
NAME_PATTERN = r"[A-Za-z_][A-Za-z0-9_-]*"
HOW_TO = "docs/how-to/plugins.md"
_ENTRY_NAME = re.compile(rf"({'|'.join(KINDS)})\.({NAME_PATTERN})")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plugin:
    """An entry point of an installed package.

    Attributes:
        kind: One of KINDS.
        name: Its name in a configuration.
        package: The distribution that offers it.
        version: The distribution's version.
        entry_point: What it refers to, `MODULE:OBJECT`.
    """

    kind: str
    name: str
    package: str
    version: str
    entry_point: str

    def __str__(self) -> str:
        return f"{self.kind}.{self.name} ({self.entry_point}) of {self.package} {self.version}"


def list_plugins(kind: str) -> dict[str, list[Plugin]]:
    """List what installed packages offer of a kind, by name; of several offers of a name none counts.

    Args:
        kind: One of KINDS.
    """
    offers: dict[str, list[Plugin]] = {}
    for plugin in sorted(_iter_plugins(), key=str):
        if plugin.kind == kind:
            offers.setdefault(plugin.name, []).append(plugin)
    return offers


def find_plugin(kind: str, name: str, key: str, built_in: Collection[str] = ()) -> Plugin:
    """Find the one installed plugin of a name, without importing it.

    Args:
        kind: One of KINDS.
        name: Its name.
        key: Where the configuration names it, for messages.
        built_in: Names that the same key also takes.

    Raises:
        PreconditionError: No installed package offers it, or several do.
    """
    offers = list_plugins(kind)
    if name not in offers:
        known = [*built_in, *offers]
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        have = f"there are {', '.join(known)}" if known else f"no plugin for a {kind} is installed"
        raise PreconditionError(
            f"{key}: no installed package offers a {kind} of this name{hint}; {have}; {HOW_TO} says how to offer one"
        )
    if len(offers[name]) > 1:
        packages = " and ".join(f"{plugin.package} {plugin.version}" for plugin in offers[name])
        raise PreconditionError(f"{key}: {packages} offer the same {kind}.{name}; uninstall all but one")
    return offers[name][0]


def load_plugin(plugin: Plugin, key: str) -> Any:
    """Import what a plugin refers to.

    Args:
        plugin: The plugin.
        key: Where the configuration names it, for messages.

    Raises:
        UserError: It cannot be imported, or cannot be called.
    """
    try:
        loaded = EntryPoint(plugin.name, plugin.entry_point, GROUP).load()
    except (Exception, SystemExit) as error:
        # Whatever the package does when it is imported; its author finds the rest in the log of hydra.verbose=true.
        log.debug("%s: %s", key, plugin, exc_info=True)
        raise UserError(f"{key}: {plugin} cannot be imported ({describe_plugin_error(error)})") from None
    if not callable(loaded):
        raise UserError(f"{key}: {plugin} is no function or class")
    return loaded


def describe_plugin_error(error: BaseException) -> str:
    """Return the kind and the first line of what foreign code has raised."""
    return f"{type(error).__name__}: {shorten_error(error)}"


def _iter_plugins() -> Iterator[Plugin]:
    # `python -m` looks into the current directory first: what lies there, in a run of somebody else perhaps, is not
    # installed.
    path = [entry for entry in sys.path if entry and Path(entry).resolve() != Path.cwd()]
    seen: set[str] = set()
    for distribution in distributions(path=path):
        entries = distribution.entry_points.select(group=GROUP)
        # One that the path leads to twice counts once.
        if not entries or distribution.name in seen:
            continue
        seen.add(distribution.name)
        for entry in entries:
            if match := _ENTRY_NAME.fullmatch(entry.name):
                yield Plugin(match[1], match[2], distribution.name, distribution.version, entry.value)
            else:
                _warn_once(distribution.name, entry.name)


@cache
def _warn_once(package: str, name: str) -> None:
    log.warning("%s offers %s in %s, which is not of the form %s.NAME", package, name, GROUP, "|".join(KINDS))
