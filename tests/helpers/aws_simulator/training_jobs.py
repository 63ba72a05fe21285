"""All training jobs of the simulator: what the API answers when one is created, described and stopped."""

import json
import threading
from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.sagemaker.exceptions import ResourceInUseException, ValidationError
from moto.sagemaker.responses import SageMakerResponse

from tests.helpers.aws_simulator.job_checks import refuse
from tests.helpers.aws_simulator.strictness import replace
from tests.helpers.aws_simulator.training_checks import check_definition
from tests.helpers.aws_simulator.training_job import TrainingJob


class TrainingJobs:
    """All training jobs of the simulator."""

    def __init__(self, interruption: Callable[[str], float | None]) -> None:
        self.interruption = interruption
        self.jobs: dict[str, TrainingJob] = {}

    def install(self) -> None:
        """Make moto in this process run training jobs."""
        response: Any = SageMakerResponse
        replace(response, "create_training_job", lambda _, asking: self.create(asking))
        replace(response, "describe_training_job", lambda _, asking: self.describe(asking))
        replace(response, "stop_training_job", lambda _, asking: self.stop(asking))

    def create(self, response: Any) -> ActionResult:
        asked = json.loads(response.body)
        check_definition(asked)
        for tag in asked.get("Tags", []):
            refuse(tag["Key"].lower().startswith("aws:"), "Tag keys must not begin with aws:.")
        return ActionResult({"TrainingJobArn": self.begin(response.sagemaker_backend.region_name, asked).arn})

    def begin(self, region: str, asked: dict[str, Any]) -> TrainingJob:
        """Start a job. Raises ResourceInUseException."""
        name = asked["TrainingJobName"]
        if name in self.jobs:
            raise ResourceInUseException(
                "Job name must be unique within an AWS account and region, and a job with this name already exists "
                f"({self.jobs[name].arn})"
            )
        job = self.jobs[name] = TrainingJob(region, asked, self.interruption)
        job.thread.start()
        return job

    def asked_for(self, response: Any) -> TrainingJob:
        name = response._get_param("TrainingJobName")
        if name not in self.jobs:
            raise ValidationError(f"Requested resource not found: could not find training job {name}.")
        return self.jobs[name]

    def describe(self, response: Any) -> ActionResult:
        return ActionResult(dict(self.asked_for(response).described))

    def stop(self, response: Any) -> EmptyResult:
        job = self.asked_for(response)
        status = job.described["TrainingJobStatus"]
        refuse(status != "InProgress", f"The request was rejected: the training job is {status}.")
        job.described["TrainingJobStatus"] = "Stopping"
        threading.Thread(target=job.end, daemon=True).start()
        return EmptyResult()

    def end_all(self) -> None:
        """End all jobs at once, and wait for them."""
        for job in list(self.jobs.values()):
            job.end(0)
        self.jobs.clear()
