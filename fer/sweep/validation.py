"""The check of a sweep's values before its first job begins."""

from collections.abc import Callable, Iterator
from typing import Any, cast, get_args

from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, open_dict

from fer.config import Config, Program
from fer.config.compose import load_config
from fer.errors import ConfigError, PreconditionError
from fer.sweep.composition import share_loader
from fer.sweep.grid_sweeper import list_grid_jobs
from fer.sweep.search_space import SearchParameter, split_overrides

# Checking a job takes tens of milliseconds. Of more jobs than this, each value is checked once, not each combination.
MAX_CHECKED = 200
MAX_SHOWN = 5
# What a program checks of a job beyond its configuration; rooms above this one enter their checks.
JOB_CHECKS: list[Callable[[Config], None]] = []


def check_sweep(config: DictConfig) -> None:
    """Check the configurations of a sweep's jobs, before there is anything of the sweep.

    Every combination of a grid is checked, as far as they are few; of a sampler's ranges both ends are.

    Args:
        config: The sweep's own configuration, with Hydra's section.

    Raises:
        ConfigError: A job could never begin; the message has a line for each value that is wrong.
        HydraException: A job cannot be composed.
    """
    errors: dict[str, list[str]] = {}
    jobs = list(_list_jobs(config))
    if not jobs and "n_trials" not in config.hydra.sweeper:
        raise ConfigError("the sweep has no job: one of its ranges or choices holds no value")
    loader = share_loader(GlobalHydra.instance().config_loader())
    for job in jobs:
        try:
            composed = loader.load_sweep_config(config, job)
            with open_dict(composed):
                del composed["hydra"]
            job_config = load_config(composed, get_program(config))
            for check in JOB_CHECKS:
                check(job_config)
        except (ConfigError, PreconditionError) as error:
            errors.setdefault(str(error), job)
    if errors:
        # A rule between two keys names neither's value.
        lines = [
            line if any(line.startswith(text.lstrip("+")) for text in job) else f"{line} ({' '.join(job)})"
            for message, job in list(errors.items())[:MAX_SHOWN]
            for line in message.splitlines()
        ]
        lines += [f"and {len(errors) - MAX_SHOWN} more"] if len(errors) > MAX_SHOWN else []
        raise ConfigError("\n".join([*dict.fromkeys(lines), "no job of the sweep was started"]))


def get_program(config: DictConfig) -> Program:
    """The program whose jobs a sweep is of."""
    name = config.hydra.job.name
    return cast(Program, name if name in get_args(Program) else "train")


def _list_jobs(config: DictConfig) -> Iterator[list[str]]:
    """The overrides of the jobs to check."""
    params = config.hydra.sweeper.get("params") or {}
    overrides = [*(f"{key}={value}" for key, value in params.items()), *config.hydra.overrides.task]
    if "n_trials" not in config.hydra.sweeper:
        jobs = list_grid_jobs(overrides)
        yield from jobs if len(jobs) <= MAX_CHECKED else _select_each_value_once(jobs)
        return
    space, fixed = split_overrides(overrides)
    values = {key: _list_values(parameter) for key, parameter in space.items()}
    first = {key: choices[0] for key, choices in values.items()}
    for key, choices in values.items():
        for value in choices:
            yield [*fixed, *(f"{name}={chosen}" for name, chosen in (first | {key: value}).items())]


def _list_values(parameter: SearchParameter) -> list[Any]:
    """All choices, or the ends of a range."""
    return list(parameter.choices) if parameter.kind == "choice" else [parameter.low, parameter.high]


def _select_each_value_once(jobs: list[list[str]]) -> Iterator[list[str]]:
    seen: set[str] = set()
    for job in jobs:
        if not seen.issuperset(job):
            seen.update(job)
            yield job
