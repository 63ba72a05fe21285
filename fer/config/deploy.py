"""Section `registry.deploy`: where a registered version answers requests, and on what."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fer.config.aws import InstanceType, PollSeconds
from fer.config.base import NewPath, Section

Target = Literal["sagemaker", "serverless", "async", "cloudrun"]
# What SageMaker's and Cloud Run's names have in common; models and settings add 13 characters.
EndpointName = Annotated[str, Field(pattern=r"^[a-z](-*[a-z0-9]){0,48}$")]
AlarmName = Annotated[str, Field(min_length=1, max_length=255, pattern=r"\S")]
# Of Artifact Registry, without a tag, which says what is in it.
IMAGE_PATTERN = r"^[a-z0-9-]+-docker\.pkg\.dev/[a-z][a-z0-9-]*/[a-z0-9-]+/[a-z0-9]+([._/-][a-z0-9]+)*$"
SERVERLESS_MEMORY_MB = range(1024, 6145, 1024)
MAX_SERVERLESS_CONCURRENCY, MAX_SERVERLESS_TARGET = 200, 0.9
# Cloud Run: the least and the most memory by the number of CPUs, MB.
CPU_MEMORY_MB = {1: (512, 4096), 2: (512, 8192), 4: (2048, 16384), 8: (4096, 32768)}


class Autoscaling(Section):
    """How many machines there are, by load."""

    min: int | None = Field(
        None,
        ge=0,
        le=1000,
        description="Fewest machines (serverless: provisioned concurrency); null is 1, and 0 for cloudrun; 0 for async "
        "and cloudrun alone",
    )
    max: int | None = Field(
        None, ge=1, le=1000, description="Most machines; null leaves their number as it is (cloudrun: Google's limit)"
    )
    target: float | None = Field(
        None,
        gt=0,
        description="The load that is aimed at. sagemaker: requests a minute for each machine; serverless: share of "
        "the provisioned concurrency in use, 0.1 to 0.9; async: requests that wait for each machine",
    )
    scale_out_s: int = Field(60, ge=0, le=3600, description="Seconds between two additions of machines")
    scale_in_s: int = Field(300, ge=0, le=3600, description="Seconds between two removals of machines")


class Update(Section):
    """How an endpoint changes over to another version (sagemaker, async): blue/green."""

    traffic: Literal["all_at_once", "canary", "linear"] = Field(
        "all_at_once", description="All requests go over at once, a first share before the rest, or share after share"
    )
    step_percent: int = Field(20, ge=10, le=50, description="canary, linear: the share of the machines, percent")
    wait_s: int = Field(0, ge=0, le=3600, description="Seconds for which alarms are watched after each share")
    alarms: list[AlarmName] = Field(
        [], max_length=10, description="CloudWatch alarms of which one that rings undoes the change"
    )


class CloudRun(Section):
    """target=cloudrun: a directory for gcloud."""

    directory: NewPath = Field("outputs/cloudrun", min_length=1, description="Where the service's directory is written")
    image: Annotated[str, Field(pattern=IMAGE_PATTERN)] | None = Field(
        None, description="Name of the image to build, without a tag: REGION-docker.pkg.dev/PROJECT/REPOSITORY/NAME"
    )
    region: Annotated[str, Field(pattern=r"^[a-z]+-[a-z]+[0-9]+$")] | None = Field(
        None, description="Region of Google Cloud to run in"
    )
    cpu: Literal[1, 2, 4, 8] = Field(2, description="CPUs of an instance")
    timeout_s: int = Field(300, ge=1, le=3600, description="Longest time for one answer, seconds")


class Deploy(Section):
    """An endpoint that serves a registered version."""

    target: Target | None = Field(
        None,
        description="`sagemaker`, `serverless` or `async`: an endpoint of SageMaker on machines, without machines of "
        "its own, or with a queue; `cloudrun`: a directory with the image and service for Google Cloud Run",
    )
    endpoint: EndpointName | None = Field(
        None, description="Name of the endpoint or service; null is the model's, with -serverless or -async"
    )
    instance_type: InstanceType = Field("ml.c5.xlarge", description="sagemaker, async: machine that answers")
    instance_count: int = Field(1, ge=1, le=1000, description="sagemaker, async: number of machines at first")
    memory_mb: int = Field(
        2048, ge=512, le=32768, description="serverless: 1024, 2048 … 6144; cloudrun: memory of an instance; MB"
    )
    max_concurrency: int = Field(
        8, ge=1, le=1000, description="serverless: requests at once; async, cloudrun: requests at once on a machine"
    )
    provisioned_concurrency: int | None = Field(
        None, ge=1, le=200, description="serverless: so many of max_concurrency are kept ready; null keeps none"
    )
    async_output: Annotated[str, Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]+[a-z0-9]/.*[^/]$")] | None = Field(
        None, description="async: s3:// folder of the answers; null is one in aws.bucket"
    )
    capture_percent: int = Field(
        0, ge=0, le=100, description="sagemaker: percent of requests and answers that are kept in aws.bucket: faces"
    )
    autoscaling: Autoscaling = Field(Autoscaling(), description="Number of machines by load")
    update: Update = Field(Update(), description="Changing over to another version")
    cloudrun: CloudRun = Field(CloudRun(), description="target=cloudrun")
    wait: bool = Field(True, description="deploy: wait until the endpoint answers, and clean up where it does not")
    poll_s: PollSeconds = Field(10, description="Wait between two status requests, seconds")

    @property
    def min_capacity(self) -> int:
        """Fewest machines."""
        default = 0 if self.target == "cloudrun" else 1
        return default if self.autoscaling.min is None else self.autoscaling.min

    @model_validator(mode="after")
    def check_target(self) -> Self:
        """Check what each target's platform allows, beyond the ranges of the keys."""
        checks = {"serverless": self._check_serverless, "cloudrun": self._check_cloudrun}
        if self.target is not None:
            self._check_autoscaling()
            checks.get(self.target, self._check_machines)()
        if self.capture_percent and self.target not in (None, "sagemaker"):
            raise ValueError(f"capture_percent={self.capture_percent} is for target=sagemaker; use capture_percent=0")
        return self

    def _check_autoscaling(self) -> None:
        least, most = self.min_capacity, self.autoscaling.max
        if most is not None and least > most:
            raise ValueError(f"autoscaling.min={least} must not be above autoscaling.max={most}")
        if least == 0 and self.target not in ("async", "cloudrun"):
            raise ValueError(f"autoscaling.min=0 is for target=async and cloudrun; target={self.target} needs 1")
        if self.target != "cloudrun" and (most is None) != (self.autoscaling.target is None):
            raise ValueError("autoscaling.max and autoscaling.target come together; set both, or none")

    def _check_machines(self) -> None:
        most = self.autoscaling.max
        if most is None and self.autoscaling.min is not None:
            raise ValueError(
                "autoscaling.min needs autoscaling.max and autoscaling.target; for a fixed number use instance_count"
            )
        if most is not None and not self.min_capacity <= self.instance_count <= most:
            raise ValueError(
                f"instance_count={self.instance_count} must be from autoscaling.min={self.min_capacity} to "
                f"autoscaling.max={most}"
            )

    def _check_serverless(self) -> None:
        if self.memory_mb not in SERVERLESS_MEMORY_MB:
            sizes = ", ".join(map(str, SERVERLESS_MEMORY_MB))
            raise ValueError(f"memory_mb={self.memory_mb}: target=serverless takes {sizes}")
        if self.max_concurrency > MAX_SERVERLESS_CONCURRENCY:
            raise ValueError(f"max_concurrency={self.max_concurrency}: target=serverless takes at most 200")
        if self.update.alarms or self.update.traffic != "all_at_once":
            raise ValueError("update: target=serverless changes over at once, without alarms; use target=sagemaker")
        kept, most = self.provisioned_concurrency, self.autoscaling.max
        if max(kept or 0, most or 0) > self.max_concurrency:
            raise ValueError(
                f"max_concurrency={self.max_concurrency} must not be below provisioned_concurrency and autoscaling.max"
            )
        if most is None:
            return
        if kept is None or not self.min_capacity <= kept <= most:
            raise ValueError("autoscaling: target=serverless scales provisioned_concurrency; set one from min to max")
        if (self.autoscaling.target or 0) > MAX_SERVERLESS_TARGET:
            raise ValueError(f"autoscaling.target={self.autoscaling.target:g}: target=serverless takes at most 0.9")

    def _check_cloudrun(self) -> None:
        if self.cloudrun.image is None or self.cloudrun.region is None:
            raise ValueError(
                "cloudrun.image and cloudrun.region are needed; add registry.deploy.cloudrun.image="
                "REGION-docker.pkg.dev/PROJECT/REPOSITORY/NAME registry.deploy.cloudrun.region=REGION"
            )
        least, most = CPU_MEMORY_MB[self.cloudrun.cpu]
        if not least <= self.memory_mb <= most:
            raise ValueError(
                f"memory_mb={self.memory_mb}: Cloud Run gives {self.cloudrun.cpu} CPUs from {least} to {most} MB"
            )
