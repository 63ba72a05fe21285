"""The pipeline of register.py for endpoints: `registry.action=deploy`, `rollback` and `undeploy`."""

import json
import logging
from pathlib import Path

from fer.aws.client import AwsClient
from fer.aws.s3 import check_bucket_private
from fer.aws.settings import connect
from fer.cloud.cloud_run import write_service
from fer.cloud.endpoint_names import build_output_uri, get_endpoint_name, get_model_name
from fer.cloud.endpoint_requests import build_deployment
from fer.cloud.rollout import Rollout
from fer.config import Config, SageMakerAws
from fer.core.object_uri import split_object_uri
from fer.core.visible import make_visible
from fer.errors import ConfigError, ExitCode, UserError
from fer.registry.base import CHAMPION, ModelRegistry, ModelVersion
from fer.registry.factory import open_registry
from fer.registry.resolve import find_version
from fer.registry.status import APPROVED
from fer.runs.program import log_to_stderr
from fer.runs.run_directory import remove_if_empty

log = logging.getLogger(__name__)


def run_deployment(config: Config, directory: Path) -> int:
    """Do what ``registry.action`` says with an endpoint, and print the result.

    Args:
        config: The validated configuration, with an action that concerns an endpoint.
        directory: Run directory, of which no use is made; it is removed.

    Returns:
        The exit code.

    Raises:
        UserError: Something is missing or refused, or the endpoint did not come up; what it served it still serves.
    """
    remove_if_empty(directory)
    target, action = config.registry.deploy.target, config.registry.action
    if target is None:
        raise ConfigError(
            f"registry.deploy.target: registry.action={action} needs one; add registry.deploy.target=sagemaker, "
            "serverless, async or cloudrun"
        )
    if target == "cloudrun":
        print(make_visible(_write_cloud_run(config)))
        return ExitCode.OK
    aws = config.aws
    if not isinstance(aws, SageMakerAws):
        raise ConfigError(f"registry.deploy.target={target}: is an endpoint of SageMaker; add aws=sagemaker")
    if config.dry_run:
        log_to_stderr()
    client = connect(aws, config.dry_run)
    said = _change_endpoint(config, aws, client)
    if config.dry_run:
        log.info("A dry run shows creation and change; AWS alone knows which of the two it is: %s", said)
    print(json.dumps(client.recorded_requests, indent=2) if config.dry_run else make_visible(said))
    return ExitCode.OK


def _change_endpoint(config: Config, aws: SageMakerAws, client: AwsClient) -> str:
    """Do the action; returns a sentence about what is now. Raises UserError."""
    cfg, name = config.registry.deploy, get_endpoint_name(config)
    rollout = Rollout(client, aws, cfg, name, get_model_name(config))
    if config.registry.action == "undeploy":
        return rollout.remove()
    if config.registry.action == "rollback":
        return rollout.roll_back()
    version = _find_approved_version(config, open_registry(config, client))
    deployment = build_deployment(client, aws, cfg, version, name)
    # Faces are kept there.
    if cfg.target == "async" or cfg.capture_percent:
        check_bucket_private(client, split_object_uri(build_output_uri(aws, cfg, name))[0])
    return rollout.deploy(deployment)


def _find_approved_version(config: Config, registry: ModelRegistry) -> ModelVersion:
    """Return the version to deploy: that of model_uri, of registry.version, or the champion. Raises UserError."""
    uris, number = config.list_model_uris(), config.registry.version
    if not uris:
        version = registry.find(config.registry.name, CHAMPION if number is None else number)
    elif len(uris) > 1 or not uris[0].startswith("models:"):
        raise ConfigError(
            f"model_uri={config.format_model_uri()}: a registered version is deployed; register it, and name it as "
            "models:/NAME/VERSION or models:/NAME@champion"
        )
    elif number is not None:
        raise ConfigError(f"registry.version={number} and model_uri={uris[0]}: both name a version; leave one out")
    else:
        version = find_version(uris[0], registry)
    if version.status != APPROVED:
        raise UserError(
            f"{version.uri}: is not approved ({version.status}), so it is not deployed; registry.action=promote "
            f"approves one that is pending; its verdict: {version.reasons}"
        )
    return version


def _write_cloud_run(config: Config) -> str:
    """Write the directory for gcloud; returns the commands to type. Raises UserError."""
    if config.registry.action != "deploy":
        region, name = config.registry.deploy.cloudrun.region, get_endpoint_name(config)
        verb = "delete" if config.registry.action == "undeploy" else "update-traffic --to-revisions=REVISION=100"
        raise ConfigError(
            f"registry.action={config.registry.action}: nothing is sent to Google; type "
            f"gcloud run services {verb} {name} --region {region}"
        )
    if config.dry_run:
        raise ConfigError("dry_run=true: target=cloudrun sends no requests, it writes a directory; leave dry_run out")
    registry = open_registry(config)
    return write_service(config, registry, _find_approved_version(config, registry))
