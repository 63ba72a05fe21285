"""The pipeline of `python -m fer.cloud.tune`: a search in SageMaker, waited for, its runs brought home as a sweep."""

import json
import logging
import math
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fer.aws.client import AwsCalls
from fer.aws.jobs import NEVER_CREATED, Job
from fer.aws.s3 import refuse_public
from fer.cloud.training import BEST, WHERE, Order, check, facts_of, new_name, ordered, place, staged
from fer.config import SageMakerAws
from fer.config.compose import composed
from fer.core.io import write_text
from fer.errors import ConfigError, DataError, UserError
from fer.runs.run_directory import fresh_directory, status_of
from fer.sweep.callback import table_of
from fer.sweep.job import value_of
from fer.sweep.records import SWEEP_CSV, Status, Sweep, ranked, read_jobs, write_job, write_sweep
from fer.sweep.records import Job as SweepJob
from fer.sweep.search_space import Parameter, split

PROGRAM = "python -m fer.cloud.tune"
PLACE = "hydra.sweep.dir="
MOST_CHOICES = 30
# What of a training's request a tuning job does not take: it has names and commands of its own.
NOT_TUNED = ("TrainingJobName", "HyperParameters", "Tags")
log = logging.getLogger(__name__)


def tune(given: str | None, overrides: Sequence[str]) -> Path | None:
    """Search, and bring all runs home; the directory of the sweep, None in a dry run. Raises UserError."""
    order, space = searched(given, overrides)
    check(order)
    if order.aws.training.install:
        raise ConfigError("aws.training.install=true: a tuning job starts our own image only (--target jobs)")
    calls = AwsCalls(order.aws.region, order.dry_run)
    refuse_public(calls, order.aws.bucket)
    job = tuning_job(calls, order.aws, new_name())
    job.create(request_of(order, space, staged(order, calls, job.name, tuning=True)))
    log.info("Tuning job %s over %s", job.name, ", ".join(space))
    log.info("After a lost terminal: %s", job.again)
    if order.dry_run:
        job.wait(ended_jobs, order.aws.tuning.max_jobs, "jobs")
        print(json.dumps(calls.requests, indent=2))
        return None
    return finish(job, order.aws.tuning.max_jobs, order.directory, overrides)


def attach(name: str, overrides: Sequence[str]) -> Path:
    """Wait for a job that was sent before, and bring its runs home. Raises UserError."""
    order = ordered(None, overrides, PLACE)
    calls = AwsCalls(order.aws.region)
    return finish(tuning_job(calls, order.aws, name), order.aws.tuning.max_jobs, order.directory, [f"--attach={name}"])


def searched(given: str | None, overrides: Sequence[str]) -> tuple[Order, dict[str, Parameter]]:
    """What is trained, and the space that `hydra.sweeper.params` and overrides search. Raises ConfigError."""
    _, plain = split(overrides)
    told = [text for text in plain if not WHERE.match(text) and not text.startswith(PLACE)]
    params = {} if given else composed(told, with_hydra=True).hydra.sweeper.params or {}
    space, fixed = split([*(f"{key}={value}" for key, value in params.items()), *overrides])
    if not space:
        raise ConfigError(
            "nothing to search; take an experiment with hydra.sweeper.params, or give a range, such as "
            "'optimizer.lr=tag(log, interval(1e-4,1e-2))'"
        )
    return ordered(given, fixed, PLACE), space


def tuning_job(calls: AwsCalls, aws: SageMakerAws, name: str) -> Job:
    region = f" aws.region={aws.region}" if aws.region else ""
    again = f"{PROGRAM} --attach {name} aws.bucket={aws.bucket}{region}"
    return Job(calls, "hyper_parameter_tuning", name, aws.training.poll_s, again)


def request_of(order: Order, space: dict[str, Parameter], training: dict[str, Any]) -> dict[str, Any]:
    """Parameters of CreateHyperParameterTuningJob, but its name; ``training`` are those of one job."""
    metric = metric_of(order)
    tuning = order.aws.tuning
    ranges: dict[str, list[dict[str, Any]]] = {"Integer": [], "Continuous": [], "Categorical": []}
    for key, parameter in space.items():
        kind, content = range_of(key, parameter)
        ranges[kind].append({"Name": key, **content})
    if tuning.strategy == "Grid" and (ranges["Integer"] or ranges["Continuous"]):
        names = ", ".join(one["Name"] for one in [*ranges["Integer"], *ranges["Continuous"]])
        raise ConfigError(f"aws.tuning.strategy=Grid: takes choices only, not the range of {names}; use Bayesian")
    jobs = tuning.max_jobs
    if tuning.strategy == "Grid":
        jobs = math.prod(len(one["Values"]) for one in ranges["Categorical"])
    return {
        "HyperParameterTuningJobConfig": {
            "Strategy": tuning.strategy,
            "HyperParameterTuningJobObjective": {
                "Type": "Minimize" if metric == "val_loss" else "Maximize",
                "MetricName": BEST + metric,
            },
            "ResourceLimits": {
                "MaxNumberOfTrainingJobs": jobs,
                "MaxParallelTrainingJobs": min(tuning.max_parallel_jobs, jobs),
            },
            "ParameterRanges": {f"{kind}ParameterRanges": found for kind, found in ranges.items()},
            "TrainingJobEarlyStoppingType": "Auto" if tuning.early_stopping else "Off",
            "RandomSeed": order.config.seed % 2**31,
        },
        "TrainingJobDefinition": {key: value for key, value in training.items() if key not in NOT_TUNED},
        "Tags": training["Tags"],
    }


def metric_of(order: Order) -> str:
    return order.config.sweep.metric or order.config.trainer.early_stopping.monitor


def range_of(key: str, parameter: Parameter) -> tuple[str, dict[str, Any]]:
    """Kind and content of a range of SageMaker's; numbers in steps become choices. Raises ConfigError."""
    stepped = parameter.step is not None and (parameter.kind == "float" or parameter.step != 1)
    if parameter.kind != "choice" and not stepped:
        scaling = "Logarithmic" if parameter.log else "Linear"
        limits = {"MinValue": f"{parameter.low:g}", "MaxValue": f"{parameter.high:g}", "ScalingType": scaling}
        return ("Integer" if parameter.kind == "int" else "Continuous"), limits
    choices = list(parameter.choices)
    if stepped and parameter.step is not None:
        count = round((parameter.high - parameter.low) / parameter.step) + 1
        choices = [f"{parameter.low + number * parameter.step:g}" for number in range(count)]
    if len(choices) > MOST_CHOICES:
        raise ConfigError(f"{key}: has {len(choices)} values, and SageMaker takes {MOST_CHOICES}; use interval(…)")
    return "Categorical", {"Values": choices}


def ended_jobs(found: dict[str, Any]) -> int:
    """How many jobs of a tuning have ended, as DescribeHyperParameterTuningJob has it."""
    return sum(
        found["TrainingJobStatusCounters"].get(name, 0) for name in ("Completed", "Stopped", "NonRetryableError")
    )


def finish(job: Job, jobs: int, directory: str | None, arguments: Sequence[str]) -> Path:
    """Wait for the tuning job, and bring its runs home. Raises UserError."""
    status = job.wait(ended_jobs, jobs, "jobs")
    if status == NEVER_CREATED:
        raise UserError(f"there is no tuning job {job.name} in region {job.calls.region}")
    parent = Path(directory).absolute().parent if directory else Path("outputs/sweeps") / time.strftime("%Y-%m-%d")
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".arriving-") as folder:
        whole = Path(folder) / "sweep"
        sweep = sweep_of(job, arguments)
        write_sweep(whole, sweep)
        for number, summary in enumerate(summaries(job)):
            write_job(whole / str(number), brought(job, number, summary["TrainingJobName"], whole, sweep))
        ended = read_jobs(whole)
        write_text(whole / SWEEP_CSV, table_of(ended))
        final = Path(fresh_directory(directory or str(parent / f"{time.strftime('%H-%M-%S')}-{job.name}")))
        whole.rename(final)
    log.info("Sweep directory: %s", final)
    best = ranked(ended, sweep.direction)
    if not best:
        raise UserError(f"no job of {job.name} finished ({status}); the reasons are in {final / SWEEP_CSV}")
    log.info("Best: #%d %s: %s", best[0].number, sweep.own(best[0].overrides), best[0].outcome)
    log.info("Compare: python -m fer.compare %s", final)
    return final


def sweep_of(job: Job, arguments: Sequence[str]) -> Sweep:
    """What the directory says of the whole search."""
    settings = job.found["HyperParameterTuningJobConfig"]
    objective, limits = settings["HyperParameterTuningJobObjective"], settings["ResourceLimits"]
    return Sweep(
        arguments=list(arguments),
        directory=os.getcwd(),
        metric=objective["MetricName"].removeprefix(BEST),
        direction="minimize" if objective["Type"] == "Minimize" else "maximize",
        jobs=limits["MaxNumberOfTrainingJobs"],
        at_once=limits["MaxParallelTrainingJobs"],
        process=os.getpid(),
    )


def summaries(job: Job) -> Iterator[dict[str, Any]]:
    """SageMaker's list of the training jobs, the first one first."""
    asked = {**job.named, "SortBy": "CreationTime", "SortOrder": "Ascending", "MaxResults": 100}
    while True:
        page = job.calls.call("sagemaker", "list_training_jobs_for_hyper_parameter_tuning_job", asked)
        yield from page["TrainingJobSummaries"]
        if not page.get("NextToken"):
            return
        asked = {**asked, "NextToken": page["NextToken"]}


def brought(job: Job, number: int, name: str, folder: Path, sweep: Sweep) -> SweepJob:
    """Bring the run of a training job home, if it left one; how it ended."""
    found = job.calls.call("sagemaker", "describe_training_job", {"TrainingJobName": name})
    drawn = {key: value for key, value in found.get("HyperParameters", {}).items() if not key.startswith("_")}
    status: Status = "failed"
    reason, value = " ".join(str(found.get("FailureReason", "")).split()), None
    artifacts = found.get("ModelArtifacts", {}).get("S3ModelArtifacts")
    if artifacts and found["TrainingJobStatus"] in ("Completed", "Stopped"):
        try:
            run = place(job.calls, artifacts, str(folder / str(number)), facts_of(found))
            # SageMaker stops what does not look promising, as Optuna prunes it.
            status = "finished" if status_of(run) == "finished" else "pruned"
            value = value_of(run, sweep.metric) if status == "finished" else None
        except DataError as error:
            reason = str(error)
    seconds = float(found.get("TrainingTimeInSeconds") or 0)
    overrides = [f"{key}={text}" for key, text in drawn.items()]
    log.info("#%d %s: %s", number, " ".join(overrides), reason or status)
    return SweepJob(number, overrides, status, sweep.metric, value, reason, seconds)
