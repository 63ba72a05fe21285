"""The configurations of a sweep's jobs, of which Hydra composes once what they share."""

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.plugins.config_source import ConfigSource
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from typing_extensions import override


class _Split(NamedTuple):
    """Overrides of a job: those that decide what is composed, and those that set a value of it."""

    deciding: tuple[str, ...]
    plain: list[Override]
    # All but those of Hydra's own keys, as they were typed.
    task: list[str]


class ComposeOnceLoader(ConfigLoader):
    """Hydra's loader, but for the jobs of a sweep, which differ in few values.

    Only what chooses an option of a config group, or adds or deletes something, decides what is composed. All other
    values are set in a copy, which takes a tenth of the time. Launchers that start processes take along what is
    composed.

    Args:
        loader: Hydra's own.
    """

    def __init__(self, loader: ConfigLoader) -> None:
        self._loader = loader
        self._composed: dict[tuple[str, ...], DictConfig] = {}
        self._is_group: dict[str, bool] = {}

    @override
    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """Compose a job's configuration. Raises what Hydra raises."""
        if "override_dirname" in str(OmegaConf.to_container(master_config.hydra.sweep, resolve=False)):
            # A name that Hydra makes of the overrides.
            return self._loader.load_sweep_config(master_config, sweep_overrides)
        split = self._split(sweep_overrides)
        key = (str(master_config.hydra.job.config_name), *master_config.hydra.overrides.hydra, "", *split.deciding)
        if key not in self._composed:
            self._composed[key] = self._loader.load_sweep_config(master_config, [*split.deciding])
        config = copy.deepcopy(self._composed[key])
        try:
            for one in split.plain:
                OmegaConf.update(config, one.key_or_group, one.value(), merge=True)
        except OmegaConfBaseException:
            # Which it says in its own words.
            return self._loader.load_sweep_config(master_config, sweep_overrides)
        with open_dict(config.hydra):
            config.hydra.overrides.task = split.task
        # As Hydra does: the same values of what depends on the time, such as the sweep's directory.
        OmegaConf.copy_cache(from_config=master_config, to_config=config)
        return config

    def _split(self, overrides: Sequence[str]) -> _Split:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        deciding, plain = [], []
        # From the last to the first: what stands before an addition or deletion of the same keys is left to Hydra, too.
        changed: list[str] = []
        for text, one in reversed(list(zip(overrides, parsed, strict=True))):
            key = one.key_or_group
            if one.is_hydra_override() or self.is_group(key):
                deciding.append(text)
            elif one.type != OverrideType.CHANGE or any(_are_related(key, other) for other in changed):
                deciding.append(text)
                changed.append(key)
            else:
                plain.append(one)
        task = [text for text, one in zip(overrides, parsed, strict=True) if not one.is_hydra_override()]
        return _Split(tuple(reversed(deciding)), plain[::-1], task)

    def is_group(self, key: str) -> bool:
        """Whether a key chooses the option of a config group; Hydra looks into the files for that."""
        if key not in self._is_group:
            self._is_group[key] = bool(self._loader.get_group_options(key))
        return self._is_group[key]

    @override
    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        return self._loader.load_configuration(config_name, overrides, run_mode, from_shell, validate_sweep_overrides)

    @override
    def get_search_path(self) -> ConfigSearchPath:
        return self._loader.get_search_path()

    @override
    def get_sources(self) -> list[ConfigSource]:
        return self._loader.get_sources()

    @override
    def list_groups(self, parent_name: str) -> list[str]:
        return self._loader.list_groups(parent_name)

    @override
    def get_group_options(
        self,
        group_name: str,
        results_filter: ObjectType | None = ObjectType.CONFIG,
        config_name: str | None = None,
        overrides: list[str] | None = None,
    ) -> list[str]:
        return self._loader.get_group_options(group_name, results_filter, config_name, overrides)

    @override
    def compute_defaults_list(self, config_name: str | None, overrides: list[str], run_mode: RunMode) -> Any:
        return self._loader.compute_defaults_list(config_name, overrides, run_mode)


def _are_related(one: str, other: str) -> bool:
    """Whether a dotted key is the other, or holds it, or stands in it."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


_loaders: dict[ConfigLoader, ComposeOnceLoader] = {}


def share_loader(loader: ConfigLoader) -> ComposeOnceLoader:
    """Return the loader of a sweep: its check before the first job, and the jobs, take the same."""
    if isinstance(loader, ComposeOnceLoader):
        return loader
    return _loaders.setdefault(loader, ComposeOnceLoader(loader))
