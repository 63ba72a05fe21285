"""Hydra's own sweeper for grids and lists, which composes each job once."""

from collections.abc import Callable, Sequence
from functools import cache

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.plugins.sweeper import Sweeper


class ComposeOnceSweeper(Sweeper):
    """A sweeper that checks before the first job whether all jobs can be composed, by few of them.

    Hydra would compose every job for that, and again when it begins. Which one can be composed depends on its keys
    and, of their values, only on those that choose the option of a config group.
    """

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Raises HydraException where a job cannot be composed."""
        assert self.hydra_context is not None
        options = cache(self.hydra_context.config_loader.get_group_options)
        super().validate_batch_is_legal(list({compute_job_signature(job, options): job for job in batch}.values()))


class BaseGridSweeper(ComposeOnceSweeper, BasicSweeper):
    """Arguments as in conf/hydra/sweeper/basic.yaml."""


def compute_job_signature(job: Sequence[str], options: Callable[[str], list[str]]) -> tuple[str, ...]:
    """The keys of a job's overrides, with the value where it chooses one of the ``options`` of a group."""
    pairs = [(text, text.partition("=")[0]) for text in job]
    return tuple(text if options(key.lstrip("+~").partition("@")[0]) else key for text, key in pairs)
