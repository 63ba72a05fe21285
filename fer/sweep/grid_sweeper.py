"""Grids and lists of values: every combination is a job."""

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from typing_extensions import override

from fer.sweep.composition import ComposeOnceLoader, share_loader


class ComposeOnceSweeper(Sweeper):
    """A sweeper whose jobs are composed by ``ComposeOnceLoader``, and only a few of them to know whether all can be.

    Hydra would compose every job for that, and again when it begins. Whether one can be composed depends on its keys
    and, of their values, only on those that choose the option of a config group.
    """

    loader: ComposeOnceLoader
    launcher: Launcher

    @override
    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self.loader = config, share_loader(hydra_context.config_loader)
        self.hydra_context = HydraContext(config_loader=self.loader, callbacks=hydra_context.callbacks)
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self.hydra_context, task_function=task_function, config=config
        )

    @override
    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        jobs = {compute_job_signature(job, self.loader.is_group): job for job in batch}
        super().validate_batch_is_legal(list(jobs.values()))


class BaseGridSweeper(ComposeOnceSweeper):
    """Grids and lists of values; arguments as in conf/hydra/sweeper/grid.yaml."""

    def __init__(self, max_batch_size: int | None, params: dict[str, str] | None = None) -> None:
        self.max_batch_size, self.params = max_batch_size, params or {}

    @override
    def sweep(self, arguments: list[str]) -> None:
        assert self.config is not None
        overrides = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        jobs = list_grid_jobs(overrides, self.loader)
        directory = Path(self.config.hydra.sweep.dir)
        directory.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, directory / "multirun.yaml")
        size = self.max_batch_size or max(len(jobs), 1)
        for first in range(0, len(jobs), size):
            batch = jobs[first : first + size]
            self.validate_batch_is_legal(batch)
            for result in self.launcher.launch(batch, initial_job_idx=first):
                # Raises what the job has raised.
                _: Any = result.return_value


def list_grid_jobs(overrides: Sequence[str], loader: ConfigLoader | None = None) -> list[list[str]]:
    """List the overrides of each job of a grid, the last key changing fastest.

    Args:
        overrides: Of several for one key the last one counts.
        loader: Says what `glob(…)` stands for.

    Raises:
        HydraException: An override cannot be read, or is a range without steps.
    """
    values: dict[str, list[str]] = {}
    for one in OverridesParser.create(config_loader=loader).parse_overrides(list(overrides)):
        key = one.get_key_element()
        if not one.is_sweep_override():
            values[key] = [f"{key}={one.get_value_element_as_str()}"]
        elif one.is_discrete_sweep():
            values[key] = [f"{key}={value}" for value in one.sweep_string_iterator()]
        else:
            assert one.value_type is not None
            raise HydraException(f"BasicSweeper does not support sweep type : {one.value_type.name}")
    return [list(job) for job in product(*values.values())]


def compute_job_signature(job: Sequence[str], is_group: Callable[[str], bool]) -> tuple[str, ...]:
    """Return what decides whether a job can be composed: its keys, with the values of those that are groups.

    Args:
        job: The job's overrides.
        is_group: Whether a key chooses the option of a config group.
    """
    pairs = [(text, text.partition("=")[0]) for text in job]
    return tuple(text if is_group(key.lstrip("+~").partition("@")[0]) else key for text, key in pairs)
