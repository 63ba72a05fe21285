"""From ``model_uri`` to a bundle on this machine, and to the one version that it means."""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fer.bundle.ensemble import check_members
from fer.bundle.locate import LATEST, PRETRAINED, locate_model, names_pretrained, pin_pretrained
from fer.bundle.metadata import BundleDescription, read_description
from fer.config import Config, SageMakerAws
from fer.core.installation import format_command
from fer.core.io import compute_sha256
from fer.core.object_uri import is_object_uri, refuse_azure
from fer.core.run_layout import BUNDLE_DIR
from fer.errors import ConfigError, UserError
from fer.registry.base import ModelRegistry, ModelVersion
from fer.registry.ensemble import build_ensemble
from fer.registry.factory import open_registry
from fer.registry.gate import APPROVED
from fer.registry.package import PACKAGE, build_package, open_package
from fer.storage.stores import STORES, ObjectStores

REGISTRY_URI = re.compile(r"models:/(?P<name>[^/@]+)(?:/(?P<version>[1-9]\d*)|@(?P<alias>[A-Za-z][A-Za-z0-9_-]*))")
ARCHIVE_SUFFIX = ".tar.gz"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ResolvedModel:
    """A model on this machine.

    Args:
        bundle: Directory of its bundle or run.
        sha256: SHA-256 of the package that it came in, if it did.
        source: The registry's name of the version, a directory or an ARN; None where it is not registered.
    """

    bundle: Path
    sha256: str | None = None
    source: str | None = None

    @property
    def bundle_dir(self) -> Path:
        """The bundle's directory itself, also where ``bundle`` is that of a run."""
        return inner if (inner := self.bundle / BUNDLE_DIR).is_dir() else self.bundle


def pin_model_uri(config: Config, default: str = LATEST) -> Config:
    """Return the configuration with a model_uri that will always mean the same model.

    An alias of the registry becomes the version that has it now, `latest` the newest run, `pretrained` the shipped
    model with its hash, a relative path an absolute one. Of an ensemble, each of its models is pinned.

    Args:
        config: The configuration.
        default: What null means.

    Raises:
        UserError: There is no run, or no such model, version or alias, or another shipped model than was pinned.
        ConfigError: The URI has none of the allowed forms.
    """
    uris = tuple(_pin(uri, config) for uri in config.list_model_uris() or (default,))
    return config.model_copy(update={"model_uri": uris if len(uris) > 1 else uris[0]})


def _pin(uri: str, config: Config) -> str:
    if names_pretrained(uri):
        return pin_pretrained(uri)
    if uri.startswith("models:"):
        reference = parse_registry_uri(uri)
        return find_version(uri, open_registry(config)).uri if reference["alias"] and not config.dry_run else uri
    refuse_azure(uri)
    return uri if is_object_uri(uri) else str(locate_model(uri).absolute())


def check_model_is_there(config: Config) -> None:
    """Check that ``model_uri`` names a model, or several, as far as this machine alone knows; null is the shipped one.

    Raises:
        UserError: There is no such file or directory, no bundle in it, or no local registry.
        ModelError: Models that are here in directories cannot be one ensemble.
        ConfigError: The URI has none of the allowed forms.
    """
    uris = config.list_model_uris() or (PRETRAINED,)
    found = {uri: description for uri in uris if (description := _find_description(uri, config)) is not None}
    if len(uris) > 1 and len(found) > 1:
        check_members(list(found.values()), list(found))


def _find_description(uri: str, config: Config) -> BundleDescription | None:
    """Description of a model in a directory of this machine; None where it has to be fetched or unpacked first."""
    if uri.startswith("models:"):
        parse_registry_uri(uri)
        store = Path(config.registry.store)
        if config.aws.kind == "local" and not store.is_dir():
            raise UserError(
                f"model_uri={uri}: there is no registry in {store}; register a model "
                f"({format_command('register.py')} model_uri=RUN), or name another registry.store"
            )
    elif not is_object_uri(uri):
        refuse_azure(uri)
        if not locate_model(uri).exists():
            raise UserError(
                f"model_uri={uri}: no such file or directory; name a run, a bundle, a model.tar.gz, "
                "models:/NAME/VERSION, models:/NAME@ALIAS, pretrained or latest"
            )
        if not uri.endswith(ARCHIVE_SUFFIX):
            return read_description(uri)
    return None


def parse_registry_uri(uri: str) -> dict[str, str]:
    """Split models:/NAME/VERSION or models:/NAME@ALIAS into name, version and alias. Raises ConfigError."""
    match = REGISTRY_URI.fullmatch(uri)
    if match is None:
        raise ConfigError(f"model_uri={uri}: registered models are named models:/NAME/VERSION or models:/NAME@ALIAS")
    return match.groupdict()


def find_version(uri: str, registry: ModelRegistry) -> ModelVersion:
    """Return the version that models:/NAME/VERSION or models:/NAME@ALIAS means. Raises UserError."""
    reference = parse_registry_uri(uri)
    return registry.find(reference["name"], int(reference["version"]) if reference["version"] else reference["alias"])


def fetch_model(config: Config, folder: Path) -> ResolvedModel:
    """Download, verify and unpack the model that ``config.model_uri`` names; of several, build the ensemble.

    Args:
        config: The configuration, its model_uri pinned.
        folder: Directory for what is fetched or unpacked; a model in a directory of this machine stays there.

    Raises:
        UserError: There is no such model, or it cannot be fetched.
        ModelError: Its package was changed or damaged, or several models cannot be one ensemble.
    """
    uris = config.list_model_uris()
    if len(uris) == 1:
        return _fetch(uris[0], config, folder)
    members = [_fetch(uri, config, folder / f"member-{number}").bundle for number, uri in enumerate(uris)]
    return ResolvedModel(
        build_ensemble(members, uris, folder / "ensemble", config.ensemble.weights, config.evaluation.precision_target)
    )


def _fetch(uri: str, config: Config, folder: Path) -> ResolvedModel:
    return FETCHERS.get(uri.partition(":")[0], _open_local)(uri, config, folder)


def _fetch_registered(uri: str, config: Config, folder: Path) -> ResolvedModel:
    registry = open_registry(config)
    version = find_version(uri, registry)
    if version.status != APPROVED:
        log.warning("%s is not approved (%s): %s", version.uri, version.status, version.reasons)
    return _unpack(registry.fetch(version, folder), folder, version.source)


def _fetch_object(uri: str, config: Config, folder: Path) -> ResolvedModel:
    open_stores(config).download(uri, folder / PACKAGE)
    return _unpack(folder / PACKAGE, folder)


def _open_local(uri: str, _: Config, folder: Path) -> ResolvedModel:
    return _unpack(Path(uri), folder) if uri.endswith(ARCHIVE_SUFFIX) else ResolvedModel(locate_model(uri))


def _unpack(archive: Path, folder: Path, source: str | None = None) -> ResolvedModel:
    package = open_package(archive, folder / "package")
    return ResolvedModel(package / BUNDLE_DIR, compute_sha256(archive), source)


# By the scheme of model_uri; what has none of these is a path on this machine.
FETCHERS: dict[str, Callable[[str, Config, Path], ResolvedModel]] = {
    "models": _fetch_registered,
    **dict.fromkeys(STORES, _fetch_object),
}


def ensure_package(model: ResolvedModel, folder: Path) -> Path:
    """Return the directory of a model's unpacked package.

    Args:
        model: The model.
        folder: Directory for a package that is built here, because the model came in none.

    Raises:
        ModelError: The package cannot be built.
    """
    if model.sha256 is not None:
        return model.bundle.parent
    build_package(model.bundle_dir, folder / PACKAGE)
    return open_package(folder / PACKAGE, folder / "package")


def get_region(config: Config) -> str | None:
    """Return the configured AWS region; None leaves it to AWS's own settings."""
    return config.aws.region if isinstance(config.aws, SageMakerAws) else None


def open_stores(config: Config) -> ObjectStores:
    """Return the buckets of a configuration, each service asked when its first address comes."""
    kms_key = config.aws.kms_key if isinstance(config.aws, SageMakerAws) else None
    return ObjectStores(get_region(config), kms_key=kms_key)
