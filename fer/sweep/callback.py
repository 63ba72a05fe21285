"""A sweep from begin to end: what Hydra calls before its first and after its last job, and resuming a killed one."""

import csv
import io
import logging
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from typing_extensions import override

from fer.config.base import reject_password
from fer.config.quoting import quote_literally, read_text
from fer.core.csv import neutralise
from fer.core.installation import format_command, with_project_path
from fer.core.io import write_text
from fer.core.system import resolve_thread_count
from fer.core.visible import make_visible
from fer.errors import ConfigError, ExitCode, UserError
from fer.runs.program import exit_with_error, user_errors_to_exit_code
from fer.sweep.grid_sweeper import list_grid_jobs
from fer.sweep.records import SWEEP_CSV, Direction, Sweep, SweepJob, rank_jobs, read_jobs, read_sweep, write_sweep
from fer.sweep.validation import check_sweep, get_program

RESUME = "sweep.resume="
# What a program makes of a sweep whose jobs are all done, given its directory; rooms above this one enter it.
SWEEP_ENDS: list[Callable[[Path], None]] = []
# Held until the process ends: two processes that lead one sweep would do its jobs twice.
_held_locks: list[FileLock] = []
log = logging.getLogger(__name__)


class SweepCallback(Callback):
    """Opens and closes the directory of a sweep (`hydra.callbacks` in conf/base.yaml)."""

    @override
    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        arguments = [argument for argument in sys.argv[1:] if not argument.startswith("hydra.sweep.dir=")]
        _reject_passwords([*arguments, f"hydra.sweeper.storage={config.hydra.sweeper.get('storage')}"])
        # Hydra makes warnings of a callback's errors. Naming the sweep's directory makes it: not before the check.
        with user_errors_to_exit_code():
            check_sweep(config)
        jobs = _count_jobs(config)
        directory = Path(config.hydra.sweep.dir)
        directory.mkdir(parents=True, exist_ok=True)
        _lock_sweep(directory)
        metric = config.sweep.metric or config.trainer.early_stopping.monitor
        direction: Direction = "minimize" if metric == "val_loss" else "maximize"
        at_once = _count_concurrent_jobs(config, jobs)
        sweep = Sweep(arguments, os.getcwd(), metric, direction, jobs, at_once, process=os.getpid())
        write_sweep(directory, sweep)
        # Jobs that are started elsewhere must find the project, wherever they are.
        os.environ.update(with_project_path(os.environ))
        print(f"Sweep of {jobs} jobs, {at_once} at a time: {directory}")
        print(f"After an interruption: {_format_resume_command(config, directory)}", flush=True)

    @override
    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        directory = Path(config.hydra.sweep.dir)
        sweep = read_sweep(directory)
        jobs = read_jobs(directory)
        write_text(directory / SWEEP_CSV, format_jobs_csv(jobs))
        for job in jobs:
            if not job.is_done:
                print(make_visible(f"#{job.number} {sweep.format_job_overrides(job.overrides)}: {job.outcome}"))
        best = rank_jobs(jobs, sweep.direction)
        done = sum(job.is_done for job in jobs)
        print(f"{done} of {len(jobs)} jobs are done: {directory / SWEEP_CSV}")
        if best:
            print(f"Best: #{best[0].number} {sweep.format_job_overrides(best[0].overrides)}: {best[0].outcome}")
            if equal := [f"#{job.number}" for job in best[1:] if job.value == best[0].value]:
                print(f"As good: {', '.join(equal)}")
            print(f"Compare: {format_command('fer.compare')} {shlex.quote(str(directory))}", flush=True)
        # Not every program's jobs have a metric.
        if done < len(jobs) and all(job.status != "finished" for job in jobs):
            exit_with_error(f"no job of the sweep finished; the reasons are in {directory / SWEEP_CSV}", ExitCode.ERROR)
        if done < len(jobs):
            exit_with_error(
                f"{len(jobs) - done} of {len(jobs)} jobs failed; to try them again: "
                f"{_format_resume_command(config, directory)}",
                ExitCode.PARTIAL,
            )
        with user_errors_to_exit_code():
            for finish in SWEEP_ENDS:
                finish(directory)


def _format_resume_command(config: DictConfig, directory: Path) -> str:
    return f"{format_command(f'{get_program(config)}.py')} {RESUME}{shlex.quote(str(directory))}"


def _reject_passwords(overrides: list[str]) -> None:
    """End the program where a URI holds a password, before sweep.yaml keeps the command line."""
    for text in overrides:
        try:
            reject_password(text)
        except ValueError as error:
            exit_with_error(f"{text.partition('=')[0]}: {error}", ExitCode.CONFIG)


def _lock_sweep(directory: Path) -> None:
    """Make this process the one that leads the sweep; end the program where another one does."""
    lock = FileLock(directory / ".sweep.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        exit_with_error(f"{directory}: another process leads this sweep; wait for it, or end it", ExitCode.ERROR)
    _held_locks.append(lock)


def _count_jobs(config: DictConfig) -> int:
    """Count the jobs that the sweeper will start."""
    if "n_trials" in config.hydra.sweeper:
        return int(config.hydra.sweeper.n_trials)
    params = config.hydra.sweeper.params or {}
    overrides = [*(f"{key}={value}" for key, value in params.items()), *config.hydra.overrides.task]
    return len(list_grid_jobs(overrides))


def _count_concurrent_jobs(config: DictConfig, jobs: int) -> int:
    """Count the jobs that share this machine at a time: those of joblib, or all of submitit's local executor."""
    launcher = config.hydra.launcher
    if "n_jobs" in launcher:
        n_jobs = int(launcher.n_jobs)
        return max(1, min(jobs, n_jobs if n_jobs > 0 else resolve_thread_count(None) + 1 + n_jobs))
    return jobs if str(launcher._target_).endswith(".LocalLauncher") else 1


def format_jobs_csv(jobs: list[SweepJob]) -> str:
    """Return the content of sweep.csv: a row a job."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["number", "status", "metric", "value", "seconds", "reason", "overrides"])
    for job in jobs:
        writer.writerow(
            map(
                neutralise,
                [job.number, job.status, job.metric, job.value, job.seconds, job.reason, " ".join(job.overrides)],
            )
        )
    return text.getvalue()


def resolve_resume_arguments(arguments: list[str]) -> list[str]:
    """Replace ``sweep.resume=DIR`` by the command line of that sweep, in the directory where it was typed.

    What stands beside it may change how the jobs are run (``hydra.…``), never which.

    Args:
        arguments: Those of the command line; without ``sweep.resume=DIR`` they are returned as they are.

    Raises:
        ConfigError: Something else than ``hydra.…`` stands beside it.
        UserError: There is no such sweep.
    """
    directories = [argument.removeprefix(RESUME) for argument in arguments if argument.startswith(RESUME)]
    if not directories:
        return arguments
    directory = Path(read_text("sweep.resume", directories[-1])).resolve()
    others = [text for text in arguments if not text.startswith(RESUME) and text not in ("-m", "--multirun")]
    if changed := [text for text in others if not text.startswith(("hydra.", "hydra/"))]:
        raise ConfigError(
            f"{changed[0]}: a resumed sweep keeps its jobs; only hydra.… and hydra/… may be given with it"
        )
    sweep = read_sweep(directory)
    if not Path(sweep.directory).is_dir():
        raise UserError(f"{sweep.directory}: is not there, but the sweep's paths begin there; start a new sweep")
    # Paths on its command line are relative to where it was typed.
    os.chdir(sweep.directory)
    keys = {text.partition("=")[0] for text in others}
    original = [text for text in sweep.arguments if text.partition("=")[0] not in keys]
    return [*original, *others, f"hydra.sweep.dir={quote_literally(str(directory))}"]
