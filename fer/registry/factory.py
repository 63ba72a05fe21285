"""The one place that chooses a registry backend."""

from pathlib import Path

from fer.aws.client import AwsClient
from fer.config import Config, SageMakerAws
from fer.registry.base import ModelRegistry


def open_registry(config: Config, client: AwsClient | None = None) -> ModelRegistry:
    """The registry that ``aws`` names. ``calls`` are those to AWS, by default new ones. Raises UserError."""
    if isinstance(config.aws, SageMakerAws):
        from fer.registry.sagemaker import SageMakerRegistry

        return SageMakerRegistry(config.aws, client or AwsClient(config.aws.region, config.dry_run))
    # MLflow takes seconds to import.
    from fer.registry.mlflow import MlflowRegistry

    return MlflowRegistry(Path(config.registry.store))
