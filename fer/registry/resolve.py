"""From what model_uri names to a bundle on this machine, and to the one version that it means."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from fer.aws.client import AwsClient
from fer.aws.s3 import parse_s3_uri
from fer.config import Config, SageMakerAws
from fer.core.io import compute_sha256
from fer.errors import ConfigError, UserError
from fer.registry.base import ModelRegistry, ModelVersion
from fer.registry.factory import open_registry
from fer.registry.gate import APPROVED
from fer.registry.package import PACKAGE, build_package, open_package

REGISTRY_URI = re.compile(r"models:/(?P<name>[^/@]+)(?:/(?P<version>[1-9]\d*)|@(?P<alias>[A-Za-z][A-Za-z0-9_-]*))")
ARCHIVE_SUFFIX = ".tar.gz"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ResolvedModel:
    """A model at hand: ``bundle``, the directory of its bundle or run, and what is known of where it comes from.

    ``sha256`` is that of its package and ``source`` the registry's own name for it (an ARN in SageMaker), where it
    has them.
    """

    bundle: Path
    sha256: str | None = None
    source: str | None = None

    @property
    def bundle_dir(self) -> Path:
        """The bundle's directory itself, also where ``bundle`` is that of a run."""
        return inner if (inner := self.bundle / "bundle").is_dir() else self.bundle


def _find_newest_model() -> str:
    """The newest finished training below outputs/train. Raises UserError."""
    runs = sorted(Path("outputs/train").glob("*/*/bundle/bundle.yaml"))
    if not runs:
        raise UserError("model_uri: there is no trained model below outputs/train; run train.py, or name one")
    return str(runs[-1].parents[1].resolve())


def pin_model_uri(config: Config) -> Config:
    """The same configuration with a model_uri that will always mean the same model. Raises UserError.

    null becomes the newest run, and an alias of the registry the version that bears it now.
    """
    uri = config.model_uri or _find_newest_model()
    if uri.startswith("models:"):
        reference = parse_registry_uri(uri)
        if reference["alias"] and not config.dry_run:
            uri = find_version(uri, open_registry(config)).uri
    elif not uri.startswith("s3://"):
        uri = str(Path(uri).expanduser().absolute())
    return config.model_copy(update={"model_uri": uri})


def parse_registry_uri(uri: str) -> dict[str, str]:
    """Name and version or alias in models:/NAME/VERSION or models:/NAME@ALIAS. Raises ConfigError."""
    match = REGISTRY_URI.fullmatch(uri)
    if match is None:
        raise ConfigError(f"model_uri={uri}: registered models are named models:/NAME/VERSION or models:/NAME@ALIAS")
    return match.groupdict()


def find_version(uri: str, registry: ModelRegistry) -> ModelVersion:
    """The registered version that models:/NAME/VERSION or models:/NAME@ALIAS means. Raises UserError."""
    reference = parse_registry_uri(uri)
    return registry.find(reference["name"], int(reference["version"]) if reference["version"] else reference["alias"])


def fetch_model(config: Config, folder: Path) -> ResolvedModel:
    """The model that ``config.model_uri`` names, fetched into ``folder`` and checked where it is not a directory.

    Raises UserError.
    """
    uri = str(config.model_uri)
    archive, source = Path(uri), None
    if uri.startswith("models:"):
        registry = open_registry(config)
        version = find_version(uri, registry)
        if version.status != APPROVED:
            log.warning("%s is not approved (%s): %s", version.uri, version.status, version.reasons)
        archive, source = registry.fetch(version, folder), version.source
    elif uri.startswith("s3://"):
        archive = folder / PACKAGE
        bucket, key = parse_s3_uri(uri)
        AwsClient(get_region(config)).download(bucket, key, archive)
    elif not uri.endswith(ARCHIVE_SUFFIX):
        return ResolvedModel(Path(uri))
    package = open_package(archive, folder / "package")
    return ResolvedModel(package / "bundle", compute_sha256(archive), source)


def ensure_package(model: ResolvedModel, folder: Path) -> Path:
    """The model's unpacked package: that it came in, or one made of its bundle. Raises ModelError."""
    if model.sha256 is not None:
        return model.bundle.parent
    build_package(model.bundle_dir, folder / PACKAGE)
    return open_package(folder / PACKAGE, folder / "package")


def get_region(config: Config) -> str | None:
    return config.aws.region if isinstance(config.aws, SageMakerAws) else None
