"""Hydra's own sweeper for grids and lists, which composes each job once."""

from collections.abc import Callable, Sequence
from functools import cache

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.plugins.sweeper import Sweeper
from typing_extensions import override


class ComposeOnceSweeper(Sweeper):
    """A sweeper that composes only a few of its jobs to know whether all of them can be composed.

    Hydra would compose every job for that, and again when it begins. Whether one can be composed depends on its keys
    and, of their values, only on those that choose the option of a config group.
    """

    @override
    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        assert self.hydra_context is not None
        options = cache(self.hydra_context.config_loader.get_group_options)
        super().validate_batch_is_legal(list({compute_job_signature(job, options): job for job in batch}.values()))


class BaseGridSweeper(ComposeOnceSweeper, BasicSweeper):
    """Grids and lists of values; arguments as in conf/hydra/sweeper/grid.yaml."""


def compute_job_signature(job: Sequence[str], options: Callable[[str], list[str]]) -> tuple[str, ...]:
    """Return what decides whether a job can be composed: its keys, with the values of those that are groups.

    Args:
        job: The job's overrides.
        options: The options of a group; none for a key that is no group.
    """
    pairs = [(text, text.partition("=")[0]) for text in job]
    return tuple(text if options(key.lstrip("+~").partition("@")[0]) else key for text, key in pairs)
