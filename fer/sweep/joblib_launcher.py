"""Hydra's launcher by joblib, with trainings from a fork server where that is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra_plugins.hydra_joblib_launcher.config import JobLibLauncherConf
from hydra_plugins.hydra_joblib_launcher.joblib_launcher import JoblibLauncher
from typing_extensions import override

from fer.sweep.preload import start_fork_server
from fer.sweep.validation import get_program

# Who has stored the keys.
PROVIDER = "fer"


@dataclass
class FerJoblibLauncherConf(JobLibLauncherConf):
    """Keys of `hydra/launcher=joblib`."""

    _target_: str = "hydra_plugins.fer_launchers.FerJoblibLauncher"
    # Whether PyTorch is imported once, by a process from which all jobs are forked; figures are the same.
    preload: bool = False


class BaseLauncherKeys(SearchPathPlugin):
    """Puts FerJoblibLauncherConf in the place of the plugin's own keys.

    Hydra imports all plugins in the order of their names, and asks for search paths when it has them all.
    """

    @override
    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        store = ConfigStore.instance()
        # Hydra asks twice for each configuration; whenever it has imported the plugins anew, their own keys are back.
        known = store.repo.get("hydra", {}).get("launcher", {}).get("joblib.yaml")
        if known is None or known.provider != PROVIDER:
            store.store(group="hydra/launcher", name="joblib", node=FerJoblibLauncherConf, provider=PROVIDER)


class BaseJoblibLauncher(JoblibLauncher):
    """Several jobs at a time; arguments as in FerJoblibLauncherConf."""

    def __init__(self, preload: bool = False, **joblib: Any) -> None:
        super().__init__(**joblib)
        self.preload = preload

    @override
    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        assert self.config is not None
        # Jobs of other programs have no process of their own.
        if self.preload and get_program(self.config) == "train":
            start_fork_server()
        return super().launch(job_overrides, initial_job_idx)
