"""From what model_uri names to a bundle on this machine, and to the one version that it means."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from fer.aws.client import AwsCalls
from fer.aws.s3 import bucket_and_key
from fer.config import Config, SageMakerAws
from fer.core.io import sha256_file
from fer.errors import ConfigError, UserError
from fer.registry.base import Registry, Version
from fer.registry.factory import open_registry
from fer.registry.gate import APPROVED
from fer.registry.package import PACKAGE, build_package, open_package

REGISTERED = re.compile(r"models:/(?P<name>[^/@]+)(?:/(?P<version>[1-9]\d*)|@(?P<alias>[A-Za-z][A-Za-z0-9_-]*))")
ARCHIVE = ".tar.gz"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Model:
    """A model at hand: ``bundle``, the directory of its bundle or run, and what is known of where it comes from.

    ``sha256`` is that of its package and ``source`` the registry's own name for it (an ARN in SageMaker), where it
    has them.
    """

    bundle: Path
    sha256: str | None = None
    source: str | None = None

    @property
    def own_bundle(self) -> Path:
        """The bundle's directory itself, also where ``bundle`` is that of a run."""
        return inner if (inner := self.bundle / "bundle").is_dir() else self.bundle


def newest_model() -> str:
    """The newest finished training below outputs/train. Raises UserError."""
    runs = sorted(Path("outputs/train").glob("*/*/bundle/bundle.yaml"))
    if not runs:
        raise UserError("model_uri: there is no trained model below outputs/train; run train.py, or name one")
    return str(runs[-1].parents[1].resolve())


def pinned(config: Config) -> Config:
    """The same configuration with a model_uri that will always mean the same model. Raises UserError.

    null becomes the newest run, and an alias of the registry the version that bears it now.
    """
    uri = config.model_uri or newest_model()
    if uri.startswith("models:"):
        found = registered(uri)
        if found["alias"] and not config.dry_run:
            uri = version_of(uri, open_registry(config)).uri
    elif not uri.startswith("s3://"):
        uri = str(Path(uri).expanduser().absolute())
    return config.model_copy(update={"model_uri": uri})


def registered(uri: str) -> dict[str, str]:
    """Name and version or alias in models:/NAME/VERSION or models:/NAME@ALIAS. Raises ConfigError."""
    match = REGISTERED.fullmatch(uri)
    if match is None:
        raise ConfigError(f"model_uri={uri}: registered models are named models:/NAME/VERSION or models:/NAME@ALIAS")
    return match.groupdict()


def version_of(uri: str, registry: Registry) -> Version:
    """The registered version that models:/NAME/VERSION or models:/NAME@ALIAS means. Raises UserError."""
    found = registered(uri)
    return registry.find(found["name"], int(found["version"]) if found["version"] else found["alias"])


def at_hand(config: Config, folder: Path) -> Model:
    """The model that ``config.model_uri`` names, fetched into ``folder`` and checked where it is not a directory.

    Raises UserError.
    """
    uri = str(config.model_uri)
    archive, source = Path(uri), None
    if uri.startswith("models:"):
        registry = open_registry(config)
        version = version_of(uri, registry)
        if version.status != APPROVED:
            log.warning("%s is not approved (%s): %s", version.uri, version.status, version.reasons)
        archive, source = registry.fetch(version, folder), version.source
    elif uri.startswith("s3://"):
        archive = folder / PACKAGE
        bucket, key = bucket_and_key(uri)
        AwsCalls(region_of(config)).download(bucket, key, archive)
    elif not uri.endswith(ARCHIVE):
        return Model(Path(uri))
    package = open_package(archive, folder / "package")
    return Model(package / "bundle", sha256_file(archive), source)


def packaged(model: Model, folder: Path) -> Path:
    """The model's unpacked package: that it came in, or one made of its bundle. Raises ModelError."""
    if model.sha256 is not None:
        return model.bundle.parent
    build_package(model.own_bundle, folder / PACKAGE)
    return open_package(folder / PACKAGE, folder / "package")


def region_of(config: Config) -> str | None:
    return config.aws.region if isinstance(config.aws, SageMakerAws) else None
