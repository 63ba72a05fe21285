"""Section `aws`: where models are registered and batches are classified, on this machine or in AWS."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from fer.config.base import Section, name_entries

Packing = Literal["shard", "image"]
Image = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^\S+$")]
InstanceType = Annotated[str, Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")]
PollSeconds = Annotated[float, Field(gt=0, le=300)]
JobName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$")]


class LocalTransform(Section):
    """inference.route=transform on this machine: the packaged model in a process of its own."""

    packing: Packing = Field(description="`shard`: many faces a request, in a tar; `image`: one JPEG a request")
    shard_mb: float = Field(gt=0, le=20, description="Largest shard, MB")
    max_concurrent: int = Field(ge=1, le=64, description="Requests that are under way at the same time")
    timeout_s: int = Field(ge=1, le=3600, description="Longest time for one answer, seconds")
    attempts: int = Field(ge=1, le=10, description="How often what is missing is tried")


class LocalAws(Section):
    """No cloud: MLflow's registry on SQLite, the model served by a process of its own."""

    kind: Literal["local"] = Field(description="This machine alone")
    transform: LocalTransform = Field(description="Batch transform")


class SageMakerTransform(LocalTransform):
    """A transform job of SageMaker."""

    instance_type: InstanceType = Field(description="Machine that classifies")
    instance_count: int = Field(ge=1, le=100, description="Number of such machines")
    max_payload_mb: int = Field(ge=1, le=100, description="Largest request that SageMaker lets through, MB")
    retries: int = Field(ge=0, le=3, description="How often SageMaker itself repeats a failed request")
    poll_s: PollSeconds = Field(description="First wait between two status requests, seconds; it grows")
    attach: JobName | None = Field(description="Go on waiting for this job, of a run below outputs/infer")

    @model_validator(mode="after")
    def check_sagemaker_limits(self) -> Self:
        """Check the limits that SageMaker sets."""
        if self.max_payload_mb * self.max_concurrent > 100:
            raise ValueError(
                f"max_payload_mb × max_concurrent is {self.max_payload_mb * self.max_concurrent}; "
                "SageMaker allows 100 MB at most"
            )
        if self.shard_mb > self.max_payload_mb:
            raise ValueError(f"shard_mb={self.shard_mb:g} must not be above max_payload_mb={self.max_payload_mb}")
        return self


class SageMakerProcessing(Section):
    """A processing job of SageMaker: frame extraction over many videos, `python -m fer.cloud.extract`."""

    image: Image | None = Field(
        None, description="Container image with all packages of the program (`docker build --target jobs`), in ECR"
    )
    instance_type: InstanceType = Field("ml.c5.2xlarge", description="Machine that extracts")
    instance_count: int = Field(1, ge=1, le=100, description="Number of such machines, which divide the videos")
    volume_gb: int = Field(50, ge=1, le=16384, description="Disk of each machine, for its videos and their faces, GB")
    max_hours: float = Field(
        24, ge=0.1, le=216, description="The job is stopped after so many hours; what is done stays"
    )
    poll_s: PollSeconds = Field(5, description="First wait between two status requests, seconds; it grows")
    allow_changes: bool = Field(False, description="Take the code as it is, also where it is not that of a commit")


class SageMakerTraining(Section):
    """A training job of SageMaker: `python -m fer.cloud.train`."""

    image: Image | None = Field(
        None,
        description="Container image in ECR: our own (`docker build --target jobs`), or AWS's for training with "
        "PyTorch together with install=true",
    )
    install: bool = Field(
        False, description="Install the packages of requirements.lock when a job starts; our own image has them"
    )
    instance_type: InstanceType = Field("ml.g5.xlarge", description="Machine that trains")
    instance_count: int = Field(
        1, ge=1, le=64, description="Number of such machines; several need trainer=ddp and trainer.num_nodes"
    )
    volume_gb: int = Field(50, ge=1, le=16384, description="Disk of each machine, GB")
    max_hours: float = Field(24, ge=0.02, le=672, description="A training is stopped after so many hours")
    spot: bool = Field(
        False, description="Take spot instances: cheaper, and interrupted at any time; the job then goes on by itself"
    )
    max_wait_hours: float | None = Field(
        None, ge=0.02, le=672, description="Spot: hours for waiting and training together; null is twice max_hours"
    )
    poll_s: PollSeconds = Field(10, description="First wait between two status requests, seconds; it grows")
    allow_changes: bool = Field(False, description="Take the code as it is, also where it is not that of a commit")

    @model_validator(mode="after")
    def check_max_wait(self) -> Self:
        """Check that waiting and training together are not shorter than training."""
        if self.max_wait_hours is not None and self.max_wait_hours < self.max_hours:
            raise ValueError(
                f"max_wait_hours={self.max_wait_hours:g} must not be below max_hours={self.max_hours:g}, "
                "which it includes"
            )
        return self


class SageMakerTuning(Section):
    """A tuning job of SageMaker: `python -m fer.cloud.tune`; each of its jobs is as aws.training has it."""

    strategy: Literal["Bayesian", "Random", "Grid"] = Field(
        "Bayesian", description="How values are chosen; Grid takes every combination of choices"
    )
    max_jobs: int = Field(20, ge=1, le=750, description="Jobs in all; Grid does not need it")
    max_parallel_jobs: int = Field(2, ge=1, le=100, description="Jobs at the same time")
    early_stopping: bool = Field(False, description="Let SageMaker end jobs that are not promising")


class CloudWatch(Section):
    """Metrics of each batch for CloudWatch."""

    publish: bool = Field(description="Send the metrics of each batch")
    namespace: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./#-]{0,254}$", description="Namespace of the metrics")
    dimensions: dict[str, str] = Field(max_length=28, description="Dimensions of each metric, beside its own")
    alarms: bool = Field(description="Create alarms on the thresholds of inference.monitor that are set")
    alarm_topic: Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:sns:.+$")] | None = Field(
        description="ARN of the SNS topic that alarms notify"
    )

    @field_validator("dimensions", mode="before")
    @classmethod
    def name_dimensions(cls, value: object) -> object:
        """Take numbers, as YAML reads them, for names."""
        return name_entries(value)


class Vpc(Section):
    """The network of one's own that jobs run in."""

    subnets: list[str] = Field([], max_length=16, description="Subnets that jobs run in; none: SageMaker's own network")
    security_groups: list[str] = Field([], max_length=5, description="Security groups of jobs in these subnets")

    @model_validator(mode="after")
    def check_both_or_none(self) -> Self:
        """Check that subnets and security groups come together."""
        if bool(self.subnets) != bool(self.security_groups):
            raise ValueError("subnets and security_groups come together; name both, or none")
        return self


class SageMakerAws(Section):
    """SageMaker's registry and batch transform, S3, CloudWatch."""

    kind: Literal["sagemaker"] = Field(description="Amazon SageMaker")
    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", description="S3 bucket, which must exist")
    prefix: str = Field(
        pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$",
        max_length=256,
        description="All keys in the bucket begin with this",
    )
    region: str | None = Field(description="AWS region; null takes that of AWS's own settings")
    role: Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")] | None = Field(
        description="ARN of the role that SageMaker runs the model with"
    )
    image: Image | None = Field(description="Container image with the server, as pushed to ECR; registering needs it")
    kms_key: str | None = Field(
        min_length=1,
        description="KMS key for what is written, outputs of jobs included; null takes S3's own encryption",
    )
    volume_kms_key: str | None = Field(
        None, min_length=1, description="KMS key for the disks of jobs; null leaves them to SageMaker's own"
    )
    vpc: Vpc = Field(Vpc(), description="Network of one's own for jobs")
    encrypt_traffic: bool = Field(False, description="Encrypt what the machines of one job send each other; slower")
    network_isolation: bool | None = Field(
        None, description="Give jobs no network; null: where a job needs none, true: refuse what needs it, false: never"
    )
    max_runtime: int | None = Field(
        None, ge=1, le=2419200, description="No job runs longer, seconds; null leaves it to max_hours of each kind"
    )
    transform: SageMakerTransform = Field(description="Batch transform")
    processing: SageMakerProcessing = Field(SageMakerProcessing(), description="Frame extraction over many videos")
    training: SageMakerTraining = Field(SageMakerTraining(), description="Training jobs")
    tuning: SageMakerTuning = Field(SageMakerTuning(), description="Tuning jobs")
    tags: dict[str, str] = Field({}, max_length=40, description="Tags of what is created in SageMaker and CloudWatch")
    keep: Literal["none", "answers", "all"] = Field(
        "all",
        description="What stays in the bucket of a transform or extraction that succeeded: `none` of its objects, the "
        "`answers` without the faces, or `all`; what does not stay is deleted once it is on this machine",
    )
    cloudwatch: CloudWatch = Field(description="Monitoring")

    @field_validator("tags", mode="before")
    @classmethod
    def name_tags(cls, value: object) -> object:
        """Take numbers, as YAML reads them, for names."""
        return name_entries(value)


Aws = Annotated[LocalAws | SageMakerAws, Field(discriminator="kind")]
