"""Tuning jobs: training jobs with values that are drawn from the ranges, as many at a time as is asked for."""

import itertools
import json
import math
import random
import threading
import time
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import utcnow
from moto.sagemaker.exceptions import ResourceInUseException, ResourceNotFound
from moto.sagemaker.responses import SageMakerResponse

from tests.helpers.aws_simulator.job_checks import refuse
from tests.helpers.aws_simulator.strictness import replace
from tests.helpers.aws_simulator.training_checks import check_definition
from tests.helpers.aws_simulator.training_job import LOOK_S, TrainingJob
from tests.helpers.aws_simulator.training_jobs import TrainingJobs

KINDS = ("IntegerParameterRanges", "ContinuousParameterRanges", "CategoricalParameterRanges")
COUNTED = {"Completed": "Completed", "InProgress": "InProgress", "Stopping": "InProgress"}


class TuningJob:
    """One tuning job at work; ``described`` is what its Describe operation answers."""

    def __init__(self, region: str, asked: dict[str, Any], trainings: TrainingJobs) -> None:
        self.region, self.asked, self.trainings = region, asked, trainings
        self.name = asked["HyperParameterTuningJobName"]
        self.settings = asked["HyperParameterTuningJobConfig"]
        self.jobs: list[TrainingJob] = []
        self.stop = threading.Event()
        self.status = "InProgress"
        self.created = utcnow()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        limits = self.settings["ResourceLimits"]
        left = self.draws(limits["MaxNumberOfTrainingJobs"])
        while not self.stop.is_set() and (left or self.at_work()):
            if left and len(self.at_work()) < limits["MaxParallelTrainingJobs"]:
                self.begin(left.pop(0))
            time.sleep(LOOK_S)
        for job in self.at_work():
            job.end()
        completed = any(job.described["TrainingJobStatus"] == "Completed" for job in self.jobs)
        self.status = "Stopped" if self.stop.is_set() else "Completed" if completed else "Failed"

    def at_work(self) -> list[TrainingJob]:
        return [job for job in self.jobs if job.thread.is_alive()]

    def draws(self, count: int) -> list[dict[str, str]]:
        """The values of each job."""
        ranges = [one for kind in KINDS for one in self.settings["ParameterRanges"].get(kind, [])]
        if self.settings["Strategy"] == "Grid":
            names = [one["Name"] for one in ranges]
            combinations = itertools.product(*(one["Values"] for one in ranges))
            return [dict(zip(names, values, strict=True)) for values in combinations][:count]
        chance = random.Random(self.settings.get("RandomSeed"))
        return [{one["Name"]: drawn(one, chance, self.whole(one)) for one in ranges} for _ in range(count)]

    def whole(self, one: dict[str, Any]) -> bool:
        return one in self.settings["ParameterRanges"].get(KINDS[0], [])

    def begin(self, values: dict[str, str]) -> None:
        definition = self.asked["TrainingJobDefinition"]
        metric = self.settings["HyperParameterTuningJobObjective"]["MetricName"]
        fixed = {**definition.get("StaticHyperParameters", {}), "_tuning_objective_metric": metric}
        asked = {**definition, "HyperParameters": {**fixed, **values}}
        asked["TrainingJobName"] = f"{self.name}-{len(self.jobs) + 1:03d}-{random.getrandbits(32):08x}"
        self.jobs.append(self.trainings.begin(self.region, asked))

    def described(self) -> dict[str, Any]:
        counts = {"Completed": 0, "InProgress": 0, "RetryableError": 0, "NonRetryableError": 0, "Stopped": 0}
        for job in self.jobs:
            status = job.described["TrainingJobStatus"]
            counts[COUNTED.get(status, "Stopped" if status == "Stopped" else "NonRetryableError")] += 1
        return {
            **{key: value for key, value in self.asked.items() if key != "Tags"},
            "HyperParameterTuningJobArn": f"arn:aws:sagemaker:{self.region}:123456789012:tuning-job/{self.name}",
            "HyperParameterTuningJobStatus": self.status,
            "CreationTime": self.created,
            "TrainingJobStatusCounters": counts,
            "ObjectiveStatusCounters": {"Succeeded": counts["Completed"], "Pending": 0, "Failed": 0},
        }

    def end(self) -> None:
        self.stop.set()
        self.thread.join()


def drawn(one: dict[str, Any], chance: random.Random, whole: bool) -> str:
    """A value of a range, as text."""
    if "Values" in one:
        return str(chance.choice(one["Values"]))
    low, high = float(one["MinValue"]), float(one["MaxValue"])
    if one.get("ScalingType") == "Logarithmic":
        value = math.exp(chance.uniform(math.log(low), math.log(high)))
    else:
        value = chance.uniform(low, high)
    return str(round(value)) if whole else str(value)


def check(asked: dict[str, Any]) -> None:
    """Refuse what AWS refuses of a tuning job, beyond what its description of the API says."""
    definition, settings = asked["TrainingJobDefinition"], asked["HyperParameterTuningJobConfig"]
    check_definition(definition)
    metrics = {metric["Name"] for metric in definition["AlgorithmSpecification"].get("MetricDefinitions", [])}
    wanted = settings["HyperParameterTuningJobObjective"]["MetricName"]
    refuse(wanted not in metrics, f"Objective metric {wanted} is not among the metric definitions.")
    ranges = settings["ParameterRanges"]
    refuse(not any(ranges.get(kind) for kind in KINDS), "A tuning job needs a parameter range.")
    names = [one["Name"] for kind in KINDS for one in ranges.get(kind, [])]
    refuse(len(names) != len(set(names)), "Parameter names must be unique.")
    overlap = set(names) & set(definition.get("StaticHyperParameters", {}))
    refuse(bool(overlap), f"Parameters are both static and tuned: {sorted(overlap)}")
    for one in [*ranges.get(KINDS[0], []), *ranges.get(KINDS[1], [])]:
        low, high = float(one["MinValue"]), float(one["MaxValue"])
        refuse(low >= high, f"MinValue must be less than MaxValue for {one['Name']}.")
        refuse(one.get("ScalingType") == "Logarithmic" and low <= 0, f"{one['Name']}: logarithmic scaling needs > 0.")
        refuse(settings["Strategy"] == "Grid", "Grid search takes categorical parameters only.")
    limits = settings["ResourceLimits"]
    refuse(
        limits["MaxParallelTrainingJobs"] > limits["MaxNumberOfTrainingJobs"],
        "MaxParallelTrainingJobs must not exceed MaxNumberOfTrainingJobs.",
    )


class TuningJobs:
    """All tuning jobs of the simulator."""

    def __init__(self, trainings: TrainingJobs) -> None:
        self.trainings = trainings
        self.jobs: dict[str, TuningJob] = {}

    def install(self) -> None:
        """Make moto in this process run tuning jobs."""
        response: Any = SageMakerResponse
        for operation, answer in (("create", self.create), ("describe", self.describe), ("stop", self.stop)):
            name = f"{operation}_hyper_parameter_tuning_job"
            replace(response, name, lambda _, asking, answer=answer: answer(asking))
        replace(response, "list_training_jobs_for_hyper_parameter_tuning_job", lambda _, asking: self.listed(asking))

    def create(self, response: Any) -> ActionResult:
        asked = json.loads(response.body)
        name = asked["HyperParameterTuningJobName"]
        if name in self.jobs:
            raise ResourceInUseException(f"A hyperparameter tuning job with the name {name} already exists.")
        check(asked)
        job = self.jobs[name] = TuningJob(response.sagemaker_backend.region_name, asked, self.trainings)
        job.thread.start()
        return ActionResult({"HyperParameterTuningJobArn": job.described()["HyperParameterTuningJobArn"]})

    def asked_for(self, response: Any) -> TuningJob:
        name = response._get_param("HyperParameterTuningJobName")
        if name not in self.jobs:
            raise ResourceNotFound(f"Could not find hyperparameter tuning job {name}.")
        return self.jobs[name]

    def describe(self, response: Any) -> ActionResult:
        return ActionResult(self.asked_for(response).described())

    def listed(self, response: Any) -> ActionResult:
        """Two jobs a page, so that nobody takes the first page for all."""
        first = int(response._get_param("NextToken") or 0)
        jobs = self.asked_for(response).jobs
        keys = ("TrainingJobName", "TrainingJobArn", "TrainingJobStatus", "CreationTime")
        rows = [{key: job.described[key] for key in keys} for job in jobs[first : first + 2]]
        for row, job in zip(rows, jobs[first:], strict=False):
            values = job.asked["HyperParameters"]
            row["TunedHyperParameters"] = {k: v for k, v in values.items() if not k.startswith("_")}
        more = {"NextToken": str(first + 2)} if first + 2 < len(jobs) else {}
        return ActionResult({"TrainingJobSummaries": rows, **more})

    def stop(self, response: Any) -> EmptyResult:
        job = self.asked_for(response)
        refuse(job.status != "InProgress", f"The request was rejected: the tuning job is {job.status}.")
        job.status = "Stopping"
        threading.Thread(target=job.end, daemon=True).start()
        return EmptyResult()

    def end_all(self) -> None:
        """End all jobs, whose trainings are ended by theirs."""
        for job in self.jobs.values():
            job.stop.set()
        self.jobs.clear()
