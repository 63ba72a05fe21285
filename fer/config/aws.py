"""Section `aws`: where models are registered and batches are judged, on this machine or in AWS."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fer.config.section import Section

Packing = Literal["shard", "image"]
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

    instance_type: str = Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$", description="Machine that judges")
    instance_count: int = Field(ge=1, le=100, description="Number of such machines")
    max_payload_mb: int = Field(ge=1, le=100, description="Largest request that SageMaker lets through, MB")
    retries: int = Field(ge=0, le=3, description="How often SageMaker itself repeats a failed request")
    poll_s: float = Field(gt=0, le=300, description="First wait between two looks at the job, seconds; it grows")
    attach: JobName | None = Field(description="Go on waiting for this job, of a run below outputs/infer")

    @model_validator(mode="after")
    def within_the_limits_of_sagemaker(self) -> Self:
        if self.max_payload_mb * self.max_concurrent > 100:
            raise ValueError(
                f"max_payload_mb × max_concurrent is {self.max_payload_mb * self.max_concurrent}; "
                "SageMaker allows 100 MB at most"
            )
        if self.shard_mb > self.max_payload_mb:
            raise ValueError(f"shard_mb={self.shard_mb:g} must not be above max_payload_mb={self.max_payload_mb}")
        return self


class CloudWatch(Section):
    """Figures of each batch for CloudWatch."""

    publish: bool = Field(description="Send the figures of each batch")
    namespace: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./#-]{0,254}$", description="Namespace of the metrics")
    dimensions: dict[str, str] = Field(max_length=28, description="Dimensions of each metric, beside those of its own")
    alarms: bool = Field(description="Create alarms on the thresholds of inference.monitor that are set")
    alarm_topic: Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:sns:.+$")] | None = Field(
        description="ARN of the SNS topic that alarms tell"
    )


class SageMakerAws(Section):
    """SageMaker's registry and batch transform, S3, CloudWatch."""

    kind: Literal["sagemaker"] = Field(description="Amazon SageMaker")
    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", description="S3 bucket, which must exist")
    prefix: str = Field(
        pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", description="All keys in the bucket begin with this"
    )
    region: str | None = Field(description="AWS region; null takes that of AWS's own settings")
    role: Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")] | None = Field(
        description="ARN of the role that SageMaker runs the model with"
    )
    image: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^\S+$")] | None = Field(
        description="Container image with the server, as pushed to ECR; registering needs it"
    )
    kms_key: str | None = Field(min_length=1, description="KMS key for what is written; null takes S3's own encryption")
    transform: SageMakerTransform = Field(description="Batch transform")
    cloudwatch: CloudWatch = Field(description="Monitoring")


Aws = Annotated[LocalAws | SageMakerAws, Field(discriminator="kind")]
