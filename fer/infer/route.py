"""By which route faces are classified, and what AWS must take for it, known before hours of work."""

from fer.aws.settings import connect
from fer.config import Config, SageMakerAws
from fer.core.installation import format_command
from fer.errors import UserError
from fer.monitoring.cloudwatch import check_dimensions
from fer.registry.factory import open_registry
from fer.registry.gate import APPROVED, REJECTED
from fer.registry.resolve import find_version


def check_cloud_settings(config: Config) -> None:
    """Refuse before hours of work what AWS would refuse after them. Raises UserError."""
    aws, stages = config.aws, config.extraction.stages
    if not isinstance(aws, SageMakerAws):
        return
    publishes = aws.cloudwatch.publish and "report" in stages
    if publishes:
        check_dimensions(aws.cloudwatch.dimensions)
    if publishes or ("predict" in stages and uses_transform(config)):
        # Nothing is asked yet, so no credentials are needed.
        connect(aws, dry_run=True)


def check_version_approved(config: Config) -> None:
    """Refuse a version that SageMaker would not classify with. Raises UserError.

    Args:
        config: A configuration of ``validate_and_pin``.
    """
    if get_sagemaker_transform(config) is None or "predict" not in config.extraction.stages:
        return
    version = find_version(str(config.model_uri), open_registry(config))
    if version.status != APPROVED:
        promote = f"{format_command('register.py')} registry.action=promote registry.version={version.version} …"
        raise UserError(
            f"{version.uri}: is {version.status}, and SageMaker classifies with approved versions alone; "
            f"{'name another' if version.status == REJECTED else f'promote it ({promote}), or name another'}"
        )


def uses_transform(config: Config) -> bool:
    """Whether faces are classified by batch transform, and not in this process."""
    if config.inference.route == "auto":
        return isinstance(config.aws, SageMakerAws)
    return config.inference.route == "transform"


def get_sagemaker_transform(config: Config) -> SageMakerAws | None:
    """Section `aws` where faces are classified by a batch transform of SageMaker, otherwise None."""
    return config.aws if isinstance(config.aws, SageMakerAws) and uses_transform(config) else None
