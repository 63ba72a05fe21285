"""What the rights in AWS apply to: the account of the role, and the names (ARNs) of what is ours there."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fer.aws.jobs import JobKind, format_log_group
from fer.config import SageMakerAws
from fer.errors import ConfigError

# ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG, and ECR's other endpoints (FIPS, dual stack, China).
ECR_IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr(-fips)?\.(?P<region>[a-z0-9-]+)\.(amazonaws\.com(\.cn)?|on\.aws|on\.amazonwebservices\.com\.cn)"
    r"/(?P<name>[^:@]+)([:@].*)?"
)


@dataclass(frozen=True)
class Account:
    """Where the rights apply.

    Args:
        aws: The section `aws` of the configuration.
        id: Number of the account.
        partition: `aws`, or what stands for it in other partitions.
    """

    aws: SageMakerAws
    id: str
    partition: str

    @property
    def region(self) -> str:
        """The configured region, or any."""
        return self.aws.region or "*"

    @property
    def sagemaker(self) -> str:
        """What the ARNs of SageMaker begin with."""
        return f"arn:{self.partition}:sagemaker:{self.region}:{self.id}"

    @property
    def bucket(self) -> str:
        """ARN of the bucket."""
        return f"arn:{self.partition}:s3:::{self.aws.bucket}"

    @property
    def objects(self) -> str:
        """What the ARNs of all objects begin with, without a slash at the end."""
        return f"{self.bucket}/{self.aws.prefix}"

    @property
    def keys(self) -> str:
        """What the ARNs of KMS keys begin with."""
        return f"arn:{self.partition}:kms:{self.region}:{self.id}:key/"

    def format_jobs(self, kind: JobKind) -> str:
        """Return the pattern of the ARNs of our jobs of a kind."""
        return f"{self.sagemaker}:{kind.replace('_', '-')}-job/fer-*"

    def list_log_groups(self, kinds: Sequence[JobKind]) -> list[str]:
        """Return the ARNs of the log groups of kinds of jobs, and of what is in them."""
        logs = f"arn:{self.partition}:logs:{self.region}:{self.id}:log-group:"
        groups = [f"{logs}{format_log_group(kind)}" for kind in kinds]
        return [name for group in groups for name in (group, f"{group}:*")]

    def list_repositories(self) -> list[str]:
        """Return the ECR repositories of the images that are named, and of these alone; any, where none is named.

        Raises:
            ConfigError: The images that are named are not in ECR.
        """
        aws = self.aws
        named = [image for image in (aws.image, aws.processing.image, aws.training.image) if image is not None]
        found = [ECR_IMAGE.fullmatch(image) for image in named]
        arns = {
            f"arn:{self.partition}:ecr:{image['region']}:{image['account']}:repository/{image['name']}"
            for image in found
            if image is not None
        }
        if named and not arns:
            raise ConfigError(
                f"aws.image={named[0]}: is not in ECR; name it as ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG"
            )
        return sorted(arns) or [f"arn:{self.partition}:ecr:*:*:repository/*"]
