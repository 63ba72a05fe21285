"""The one place that chooses a registry backend."""

from collections.abc import Callable
from pathlib import Path

from fer.aws.client import AwsClient
from fer.aws.settings import connect
from fer.config import Config, SageMakerAws
from fer.registry.base import ModelRegistry


def open_registry(config: Config, client: AwsClient | None = None) -> ModelRegistry:
    """Return the registry that ``config.aws`` selects.

    Args:
        config: The validated configuration.
        client: Client for AWS, by default a new one; registries on this machine need none.

    Raises:
        UserError: The registry cannot be used.
    """
    return BACKENDS[config.aws.kind](config, client)


def _open_mlflow(config: Config, _: AwsClient | None) -> ModelRegistry:
    # MLflow takes seconds to import.
    from fer.registry.mlflow import MlflowRegistry

    return MlflowRegistry(Path(config.registry.store))


def _open_sagemaker(config: Config, client: AwsClient | None) -> ModelRegistry:
    from fer.registry.sagemaker import SageMakerRegistry

    assert isinstance(config.aws, SageMakerAws)
    return SageMakerRegistry(config.aws, client or connect(config.aws, config.dry_run))


# By ``aws.kind``.
BACKENDS: dict[str, Callable[[Config, AwsClient | None], ModelRegistry]] = {
    "local": _open_mlflow,
    "sagemaker": _open_sagemaker,
}
