"""Jobs of a sweep of infer.py, and one run of all where they share the videos of one configuration out."""

import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fer.config import Config
from fer.config.compose import load_config
from fer.config.quoting import quote_literally
from fer.core.run_layout import JOB_JSON, LOCK_FILE, PARTS_DIR, PROVENANCE_JSON, RUN_YAML
from fer.errors import UserError
from fer.infer.extract import CROPS, FRAMES
from fer.infer.inputs import MEDIA, load_media
from fer.infer.pipeline import infer
from fer.infer.resume import resume
from fer.infer.share_checks import check_shares, check_videos
from fer.infer.shares import list_numbers
from fer.runs.program import get_overrides, get_run_directory
from fer.runs.run_directory import Run, load_run_config, read_provenance
from fer.sweep.job import CTRL_C, format_progress, limit_threads
from fer.sweep.records import Status, Sweep, SweepJob, read_job, read_jobs, read_sweep, write_job

# The run of all shares, below the directory of the sweep.
JOINED = "run"
# Folders with one of each video, by its number.
FOLDERS = (CROPS, FRAMES, PARTS_DIR)
# What says of a job how it went, and is not of the run of all.
OWN_FILES = (RUN_YAML, PROVENANCE_JSON, JOB_JSON, LOCK_FILE, ".job.lock", "infer.log")
# What was settled when a run was created.
SETTLED = ("detector", "study")
log = logging.getLogger(__name__)


def run_job(composed: DictConfig) -> None:
    """Run the job that Hydra has composed, unless an earlier start of the sweep has done it.

    A job's own failure is written into its job.json and raises nothing.

    Args:
        composed: The job's configuration.

    Raises:
        KeyboardInterrupt: After Ctrl-C.
    """
    directory, number = get_run_directory(), int(HydraConfig.get().job.num)
    sweep = read_sweep(directory.parent)
    # A job that a killed sweep has left on a cluster may still be at work here.
    with FileLock(directory / ".job.lock"):
        job = read_job(directory)
        if job is not None and job.is_done:
            log.info("#%d was done before: %s", number, job.outcome)
            return
        start = time.monotonic()
        status, reason = _run(composed, directory, sweep)
        seconds = round(time.monotonic() - start, 1)
        job = SweepJob(number, get_overrides(), status, "", None, reason, seconds)
        write_job(directory, job)
    log.info("#%d %s", number, job.outcome)
    log.info("%s", format_progress(directory.parent, sweep))
    if reason == CTRL_C:
        raise KeyboardInterrupt


def _run(composed: DictConfig, directory: Path, sweep: Sweep) -> tuple[Status, str]:
    """Run the job, or go on with it where it was killed; returns how it ended, and why."""
    try:
        if (directory / PARTS_DIR / MEDIA).is_file():
            resume(load_run_config(directory, "infer"), directory)
        else:
            # Killed before it had anything.
            (directory / PROVENANCE_JSON).unlink(missing_ok=True)
            infer(limit_threads(load_config(composed, "infer"), sweep.at_once), directory)
    except KeyboardInterrupt:
        return "interrupted", CTRL_C
    except UserError as error:
        return "failed", str(error)
    # Whether anything was usable, and within the limits of the monitoring, is said of all shares together.
    return "finished", ""


def join_shares(directory: Path) -> None:
    """Make one run of a sweep's shares, and end it as infer.py does: tables and page, byte for byte those of one run.

    Nothing happens where the jobs of the sweep are no shares.

    Args:
        directory: The directory of the sweep, whose jobs are done.

    Raises:
        UserError: A share is not there, or the shares cannot be joined.
        SystemExit: With the exit code of infer.py where it is not 0.
    """
    jobs = [directory / str(job.number) for job in read_jobs(directory)]
    config = load_run_config(jobs[0], "infer")
    if config.extraction.share is None:
        return
    shares = sorted(load_run_config(job, "infer").extraction.share or 0 for job in jobs)
    if shares != list(range(config.extraction.shares)):
        raise UserError(
            f"{directory}: holds the shares {', '.join(map(str, shares))} of {config.extraction.shares}, and can only "
            "join all of them"
        )
    check_shares(jobs)
    joined = directory / JOINED
    _open_run(config, joined, jobs[0], read_sweep(directory).arguments)
    _move_videos(jobs, joined)
    # As a process of its own it has its own log, and the memory that the jobs have left.
    command = [sys.executable, "-m", "fer.cli.infer", f"resume={quote_literally(str(joined))}"]
    if code := subprocess.run(command, check=False).returncode:
        sys.exit(code)


def _open_run(config: Config, joined: Path, first: Path, arguments: Sequence[str]) -> None:
    """Create the run of all shares with what a share has that is no video's; one that was begun stays."""
    if (joined / PARTS_DIR / MEDIA).is_file():
        return
    shutil.rmtree(joined, ignore_errors=True)
    extraction = config.extraction.model_copy(update={"share": None, "shares": 1})
    trainer = config.trainer
    if not any(text.startswith("trainer.threads=") for text in arguments):
        # The jobs divided the cores among them.
        trainer = trainer.model_copy(update={"threads": None})
    run = Run(joined, config.model_copy(update={"extraction": extraction, "trainer": trainer}), "infer.py")
    run.update_provenance(**{key: value for key, value in read_provenance(first).items() if key in SETTLED})
    for path in first.iterdir():
        if path.name in OWN_FILES or path.name in FOLDERS:
            continue
        if path.is_dir():
            shutil.copytree(path, joined / path.name)
        else:
            shutil.copyfile(path, joined / path.name)
    (joined / PARTS_DIR).mkdir()
    # Last the list of videos, with which a run can be resumed.
    for path in sorted((first / PARTS_DIR).iterdir(), key=lambda path: path.name == MEDIA):
        if path.is_file():
            shutil.copyfile(path, joined / PARTS_DIR / path.name)
    run.finish("interrupted")


def _move_videos(jobs: Sequence[Path], joined: Path) -> None:
    """Move what the jobs have of each video into the run of all. Raises UserError where it is of another video."""
    media = load_media(joined)
    for job in jobs:
        check_videos(job, media)
    for job in jobs:
        config = load_run_config(job, "infer")
        for number in list_numbers(config.extraction, len(media)):
            for folder in FOLDERS:
                source, target = (run / folder / f"{number:05d}" for run in (job, joined))
                # Where it was moved before, by a join that was killed, it is gone from the job.
                if source.is_dir():
                    target.parent.mkdir(exist_ok=True)
                    os.rename(source, target)
