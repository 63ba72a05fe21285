"""One job of a sweep: a training in a process and a run directory of its own.

In a process of its own neither lack of memory nor a crash takes the other jobs along, and the run gives the same
results as it would alone.
"""

import csv
import logging
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from filelock import FileLock
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fer.config import Config
from fer.config.compose import load_config
from fer.core.documents import read_json_object
from fer.core.process import watch_parent
from fer.core.run_layout import HISTORY_CSV, METRICS_JSON, RUN_YAML
from fer.errors import ExitCode, UserError
from fer.runs.program import get_overrides, get_run_directory
from fer.runs.run_directory import write_config
from fer.runs.subprocess import TRAIN_PROGRAM, extract_error_lines, start_training
from fer.sweep.preload import SERVER_ENV, ForkedTraining
from fer.sweep.records import Status, Sweep, SweepJob, read_job, read_jobs, read_sweep, write_job
from fer.sweep.resources import acquire_gpu, compute_threads_per_job

CTRL_C = "by Ctrl-C"
log = logging.getLogger(__name__)


def run_job(composed: DictConfig) -> float | None:
    """Run the job that Hydra has composed, unless an earlier start of the sweep has done it.

    A job's own failure is written into its job.json and raises nothing.

    Args:
        composed: The job's configuration.

    Returns:
        The sweep's metric; None where the job did not finish.

    Raises:
        KeyboardInterrupt: After Ctrl-C.
    """
    directory, number = get_run_directory(), int(HydraConfig.get().job.num)
    sweep = read_sweep(directory.parent)
    if sweep.process == os.getppid():
        watch_parent(sweep.process)
    # A job that a killed sweep has left on a cluster may still be at work here.
    with FileLock(directory / ".job.lock"):
        job = read_job(directory)
        if job is not None and job.is_done:
            log.info("#%d was done before: %s", number, job.outcome)
            return job.value
        job = _run_in_process(composed, directory, number, sweep)
        write_job(directory, job)
    log.info("#%d %s", number, job.outcome)
    log.info("%s", format_progress(directory.parent, sweep))
    if job.reason == CTRL_C:
        raise KeyboardInterrupt
    return job.value


def _run_in_process(composed: DictConfig, directory: Path, number: int, sweep: Sweep) -> SweepJob:
    """Run the job and return how it ended."""
    start = time.monotonic()
    overrides = get_overrides()
    status: Status = "failed"
    value = None
    try:
        config = load_config(composed)
        if not (directory / RUN_YAML).is_file():
            write_config(directory, limit_threads(config, sweep.at_once), TRAIN_PROGRAM)
        log.info("#%d begins: %s", number, sweep.format_job_overrides(overrides))
        at_once = 1 if config.trainer.accelerator == "cpu" else sweep.at_once
        with acquire_gpu(directory.parent, at_once) as gpu:
            status, reason = _run_training(directory, number, gpu)
        if status == "finished":
            value = read_metric(directory, sweep.metric)
    except UserError as error:
        reason = str(error)
    return SweepJob(number, overrides, status, sweep.metric, value, reason, round(time.monotonic() - start, 1))


def limit_threads(config: Config, at_once: int) -> Config:
    """Return the configuration with the threads of one of so many jobs at a time, which a replay then takes as well."""
    if at_once == 1 or config.trainer.threads is not None:
        return config
    return config.model_copy(
        update={"trainer": config.trainer.model_copy(update={"threads": compute_threads_per_job(at_once)})}
    )


def _run_training(directory: Path, number: int, environment: dict[str, str]) -> tuple[Status, str]:
    """Run train.py in the job's directory and return how it ended and why."""
    process = _start_training(directory, environment)
    lines: list[str] = []
    interrupted = ""
    try:
        _relay_output(process, number, lines)
    except KeyboardInterrupt:
        # Ctrl-C reached it as well, and it now evaluates the best weights so far.
        interrupted = CTRL_C
        _relay_output(process, number, lines)
    code = process.wait()
    if code == 0:
        return "finished", ""
    if code == ExitCode.PRUNED:
        return "pruned", lines[-1] if lines else ""
    if code == ExitCode.INTERRUPTED:
        return "interrupted", interrupted or "by SIGTERM"
    if code < 0:
        return "killed", f"by {signal.Signals(-code).name}; the machine's memory may have been full"
    messages = [line.removeprefix(f"{TRAIN_PROGRAM}: ") for line in extract_error_lines(lines)]
    return "failed", "; ".join(messages) or f"exit code {code}"


def _start_training(directory: Path, environment: dict[str, str]) -> "subprocess.Popen[str] | ForkedTraining":
    if SERVER_ENV in os.environ:
        try:
            return ForkedTraining(directory, environment)
        except OSError:
            log.warning("hydra.launcher.preload=true: no fork server answers; the job starts in a new process")
    return start_training(directory, environment)


def _relay_output(process: "subprocess.Popen[str] | ForkedTraining", number: int, lines: list[str]) -> None:
    """Print the output of a job, each line with its number, until it ends; collect it in ``lines``."""
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.rstrip())
        print(f"#{number} | {lines[-1]}", flush=True)


def read_metric(directory: Path, metric: str) -> float | None:
    """Read a metric of history.csv at the best epoch; None for a run without training."""
    metrics: dict[str, Any] = read_json_object(directory / METRICS_JSON)
    if metrics["best_epoch"] is None:
        return None
    with (directory / HISTORY_CSV).open(encoding="utf-8", newline="") as file:
        return next(float(row[metric]) for row in csv.DictReader(file) if float(row["epoch"]) == metrics["best_epoch"])


def format_progress(directory: Path, sweep: Sweep) -> str:
    """Format the progress of a sweep: `5 of 12 jobs done, about 3 min left`."""
    done = [job for job in read_jobs(directory) if job.is_done or job.status == "failed"]
    mean = sum(job.seconds for job in done) / len(done) if done else 0.0
    remaining = mean * (sweep.jobs - len(done)) / sweep.at_once
    return f"{len(done)} of {sweep.jobs} jobs done" + (
        f", about {remaining / 60:.0f} min left" if remaining >= 60 else ""
    )
