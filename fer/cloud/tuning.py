"""The pipeline of `python -m fer.cloud.tune`: a search in SageMaker, waited for, its runs downloaded as a sweep."""

import json
import logging
import math
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from fer.aws.client import AwsClient
from fer.aws.jobs import NEVER_CREATED, Job
from fer.aws.s3 import check_bucket_private
from fer.aws.settings import connect
from fer.cloud.job_spec import AWS_OVERRIDE, JobSpec, parse_job_spec, validate_job_spec
from fer.cloud.training import (
    BEST_PREFIX,
    build_job_facts,
    download_run_directory,
    generate_job_name,
    stage_inputs,
)
from fer.config import SageMakerAws
from fer.config.compose import compose_config
from fer.core.installation import format_command
from fer.core.io import write_text
from fer.errors import ConfigError, DataError, UserError
from fer.runs.run_directory import create_unique_directory, read_status
from fer.sweep.callback import format_jobs_csv
from fer.sweep.job import read_metric
from fer.sweep.records import SWEEP_CSV, Status, Sweep, SweepJob, rank_jobs, read_jobs, write_job, write_sweep
from fer.sweep.search_space import SearchParameter, split_overrides

PROGRAM = "fer.cloud.tune"
SWEEP_DIR_OVERRIDE = "hydra.sweep.dir="
MAX_CHOICES = 30
MIN_RUNTIME_S = 120
# What a tuning job does not take of a training's request: it has names and hyperparameters of its own.
NOT_TUNED = ("TrainingJobName", "HyperParameters", "Tags")
log = logging.getLogger(__name__)


def tune(run_path: str | None, overrides: Sequence[str]) -> Path | None:
    """Tune in SageMaker: create the job, wait for it and download all runs.

    Args:
        run_path: Run directory or run.yaml of the fixed values, None for the defaults.
        overrides: Overrides; those with several values or a range make the search space.

    Returns:
        The directory of the sweep on this machine, None in a dry run.

    Raises:
        UserError: The configuration is wrong, AWS refuses, or no job finished.
    """
    spec, space = _parse_search(run_path, overrides)
    validate_job_spec(spec)
    if spec.aws.training.install:
        raise ConfigError("aws.training.install=true: a tuning job starts our own image only (--target jobs)")
    if spec.aws.max_runtime is not None and spec.aws.max_runtime < MIN_RUNTIME_S:
        raise ConfigError(
            f"aws.max_runtime={spec.aws.max_runtime}: a tuning job takes at least {MIN_RUNTIME_S} seconds for all its "
            "trainings"
        )
    client = connect(spec.aws, spec.dry_run)
    check_bucket_private(client, spec.aws.bucket)
    job = _build_tuning_job(client, spec.aws, generate_job_name())
    job.create(_build_tuning_request(spec, space, stage_inputs(spec, client, job.name, tuning=True)))
    log.info("Tuning job %s over %s", job.name, ", ".join(space))
    log.info("After a lost terminal: %s", job.resume_command)
    if spec.dry_run:
        job.wait(_count_ended_jobs, spec.aws.tuning.max_jobs, "jobs")
        print(json.dumps(client.recorded_requests, indent=2))
        return None
    return _wait_and_download(job, spec.aws.tuning.max_jobs, spec.directory, overrides)


def attach(name: str, overrides: Sequence[str]) -> Path:
    """Wait for a job that was created earlier, and download its runs.

    Args:
        name: Name of the job.
        overrides: Overrides of aws, and of the sweep directory on this machine.

    Returns:
        The directory of the sweep on this machine.

    Raises:
        UserError: There is no such job, AWS refuses, or no job finished.
    """
    spec = parse_job_spec(None, overrides, SWEEP_DIR_OVERRIDE)
    client = connect(spec.aws)
    return _wait_and_download(
        _build_tuning_job(client, spec.aws, name), spec.aws.tuning.max_jobs, spec.directory, [f"--attach={name}"]
    )


def _parse_search(run_path: str | None, overrides: Sequence[str]) -> tuple[JobSpec, dict[str, SearchParameter]]:
    """Return what is trained, and the search space of `hydra.sweeper.params` and overrides. Raises ConfigError."""
    _, plain = split_overrides(overrides)
    config_overrides = [
        text for text in plain if not AWS_OVERRIDE.match(text) and not text.startswith(SWEEP_DIR_OVERRIDE)
    ]
    params = {} if run_path else compose_config(config_overrides, with_hydra=True).hydra.sweeper.params or {}
    space, fixed = split_overrides([*(f"{key}={value}" for key, value in params.items()), *overrides])
    if not space:
        raise ConfigError(
            "nothing to search; take an experiment with hydra.sweeper.params, or give a range, such as "
            "'optimizer.lr=tag(log, interval(1e-4,1e-2))'"
        )
    return parse_job_spec(run_path, fixed, SWEEP_DIR_OVERRIDE), space


def _build_tuning_job(client: AwsClient, aws: SageMakerAws, name: str) -> Job:
    region = f" aws.region={aws.region}" if aws.region else ""
    attach_command = f"{format_command(PROGRAM)} --attach {name} aws.bucket={aws.bucket}{region}"
    return Job(client, "hyper_parameter_tuning", name, aws.training.poll_s, attach_command)


def _build_tuning_request(spec: JobSpec, space: dict[str, SearchParameter], training: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of CreateHyperParameterTuningJob without the job's name. Raises ConfigError.

    Args:
        spec: What is trained, and where.
        space: The search space, by key of the configuration.
        training: The parameters of CreateTrainingJob.
    """
    metric = _get_metric_name(spec)
    tuning = spec.aws.tuning
    ranges: dict[str, list[dict[str, Any]]] = {"Integer": [], "Continuous": [], "Categorical": []}
    for key, parameter in space.items():
        kind, content = _build_parameter_range(key, parameter)
        ranges[kind].append({"Name": key, **content})
    if tuning.strategy == "Grid" and (ranges["Integer"] or ranges["Continuous"]):
        names = ", ".join(item["Name"] for item in [*ranges["Integer"], *ranges["Continuous"]])
        raise ConfigError(f"aws.tuning.strategy=Grid: takes choices only, not the range of {names}; use Bayesian")
    max_jobs = tuning.max_jobs
    if tuning.strategy == "Grid":
        max_jobs = math.prod(len(item["Values"]) for item in ranges["Categorical"])
    return {
        "HyperParameterTuningJobConfig": {
            "Strategy": tuning.strategy,
            "HyperParameterTuningJobObjective": {
                "Type": "Minimize" if metric == "val_loss" else "Maximize",
                "MetricName": BEST_PREFIX + metric,
            },
            "ResourceLimits": {
                "MaxNumberOfTrainingJobs": max_jobs,
                "MaxParallelTrainingJobs": min(tuning.max_parallel_jobs, max_jobs),
                **({} if spec.aws.max_runtime is None else {"MaxRuntimeInSeconds": spec.aws.max_runtime}),
            },
            "ParameterRanges": {f"{kind}ParameterRanges": items for kind, items in ranges.items()},
            "TrainingJobEarlyStoppingType": "Auto" if tuning.early_stopping else "Off",
            "RandomSeed": spec.config.seed % 2**31,
        },
        "TrainingJobDefinition": {key: value for key, value in training.items() if key not in NOT_TUNED},
        "Tags": training["Tags"],
    }


def _get_metric_name(spec: JobSpec) -> str:
    return spec.config.sweep.metric or spec.config.trainer.early_stopping.monitor


def _build_parameter_range(key: str, parameter: SearchParameter) -> tuple[str, dict[str, Any]]:
    """Return kind and content of a SageMaker range; numbers in steps become choices. Raises ConfigError."""
    stepped = parameter.step is not None and (parameter.kind == "float" or parameter.step != 1)
    if parameter.kind != "choice" and not stepped:
        scaling = "Logarithmic" if parameter.log else "Linear"
        low, high = _format_number(parameter.low), _format_number(parameter.high)
        limits = {"MinValue": low, "MaxValue": high, "ScalingType": scaling}
        return ("Integer" if parameter.kind == "int" else "Continuous"), limits
    choices = list(parameter.choices)
    if stepped and parameter.step is not None:
        first, step = Decimal(str(parameter.low)), Decimal(str(parameter.step))
        count = round((parameter.high - parameter.low) / parameter.step) + 1
        choices = [_format_number(first + number * step) for number in range(count)]
    if len(choices) > MAX_CHOICES:
        raise ConfigError(f"{key}: has {len(choices)} values, and SageMaker takes {MAX_CHOICES}; use interval(…)")
    return "Categorical", {"Values": choices}


def _format_number(number: float | Decimal) -> str:
    """Return all digits of a number, without an exponent."""
    # Zero has no sign.
    text = f"{Decimal(str(number)):f}" if number else "0"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _count_ended_jobs(description: dict[str, Any]) -> int:
    """Return the number of ended trainings in the answer to DescribeHyperParameterTuningJob."""
    counters = description["TrainingJobStatusCounters"]
    return sum(counters.get(name, 0) for name in ("Completed", "Stopped", "NonRetryableError"))


def _wait_and_download(job: Job, max_jobs: int, directory: str | None, arguments: Sequence[str]) -> Path:
    """Wait for the tuning job, and download its runs. Raises UserError."""
    status = job.wait(_count_ended_jobs, max_jobs, "jobs")
    if status == NEVER_CREATED:
        raise UserError(f"there is no tuning job {job.name} in region {job.client.region}")
    parent = Path(directory).absolute().parent if directory else Path("outputs/sweeps") / time.strftime("%Y-%m-%d")
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".arriving-") as folder:
        partial = Path(folder) / "sweep"
        sweep = _build_sweep(job, arguments)
        write_sweep(partial, sweep)
        for number, summary in enumerate(_iter_job_summaries(job)):
            write_job(partial / str(number), _download_job_run(job, number, summary["TrainingJobName"], partial, sweep))
        records = read_jobs(partial)
        write_text(partial / SWEEP_CSV, format_jobs_csv(records))
        final = Path(create_unique_directory(directory or str(parent / f"{time.strftime('%H-%M-%S')}-{job.name}")))
        partial.rename(final)
    log.info("Sweep directory: %s", final)
    best = rank_jobs(records, sweep.direction)
    if not best:
        raise UserError(f"no job of {job.name} finished ({status}); the reasons are in {final / SWEEP_CSV}")
    log.info("Best: #%d %s: %s", best[0].number, sweep.format_job_overrides(best[0].overrides), best[0].outcome)
    log.info("Compare: %s %s", format_command("fer.compare"), final)
    return final


def _build_sweep(job: Job, arguments: Sequence[str]) -> Sweep:
    """Return the record of the whole search."""
    settings = job.description["HyperParameterTuningJobConfig"]
    objective, limits = settings["HyperParameterTuningJobObjective"], settings["ResourceLimits"]
    return Sweep(
        arguments=list(arguments),
        directory=os.getcwd(),
        metric=objective["MetricName"].removeprefix(BEST_PREFIX),
        direction="minimize" if objective["Type"] == "Minimize" else "maximize",
        jobs=limits["MaxNumberOfTrainingJobs"],
        at_once=limits["MaxParallelTrainingJobs"],
        process=os.getpid(),
    )


def _iter_job_summaries(job: Job) -> Iterator[dict[str, Any]]:
    """Yield SageMaker's summary of each training job, by time of creation."""
    request = {**job.name_parameter, "SortBy": "CreationTime", "SortOrder": "Ascending", "MaxResults": 100}
    for page in job.client.iter_pages("sagemaker", "list_training_jobs_for_hyper_parameter_tuning_job", request):
        yield from page["TrainingJobSummaries"]


def _download_job_run(job: Job, number: int, name: str, folder: Path, sweep: Sweep) -> SweepJob:
    """Download the run of a training job, if it left one; returns the job's record."""
    description = job.client.request("sagemaker", "describe_training_job", {"TrainingJobName": name})
    hyperparameters = {
        key: value for key, value in description.get("HyperParameters", {}).items() if not key.startswith("_")
    }
    status: Status = "failed"
    reason, value = " ".join(str(description.get("FailureReason", "")).split()), None
    artifacts = description.get("ModelArtifacts", {}).get("S3ModelArtifacts")
    if artifacts and description["TrainingJobStatus"] in ("Completed", "Stopped"):
        try:
            run = download_run_directory(job.client, artifacts, str(folder / str(number)), build_job_facts(description))
            # SageMaker stops what does not look promising, as Optuna prunes it.
            status = "finished" if read_status(run) == "finished" else "pruned"
            value = read_metric(run, sweep.metric) if status == "finished" else None
        except DataError as error:
            reason = str(error)
    seconds = float(description.get("TrainingTimeInSeconds") or 0)
    overrides = [f"{key}={text}" for key, text in hyperparameters.items()]
    log.info("#%d %s: %s", number, " ".join(overrides), reason or status)
    return SweepJob(number, overrides, status, sweep.metric, value, reason, seconds)
