"""Registered models: what a version is, and the interface of a registry, on this machine or in AWS."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer.bundle.metadata import MODEL_CARD_FILE
from fer.core.io import compute_sha256
from fer.errors import ModelError, UserError
from fer.registry.gate import Verdict
from fer.registry.package import PACKAGE
from fer.registry.status import Status

CHAMPION, CHALLENGER = "champion", "challenger"
TEST_TABLE_FILE = "test.parquet"
# What the reasons of a version begin with that was judged more than once; they replace the former ones.
JUDGED_ANEW = "Judged anew."
SHOWN_METRICS = ("accuracy", "macro_f1", "balanced_accuracy", "calibration_error")


@dataclass(frozen=True)
class Aliases:
    """Numbers of the versions in use.

    Args:
        champion: The version that users get.
        challenger: The approved version that may follow it.
        history: Former champions, the latest last.
    """

    champion: int | None = None
    challenger: int | None = None
    history: tuple[int, ...] = ()

    @property
    def previous_champions(self) -> tuple[int, ...]:
        """Champions before the present one, which ``history`` may hold already if a promotion was killed."""
        return self.history[:-1] if self.history[-1:] == (self.champion,) else self.history

    def get_names(self, version: int) -> tuple[str, ...]:
        """Return the aliases of one version."""
        return tuple(name for name in (CHAMPION, CHALLENGER) if getattr(self, name) == version)


@dataclass(frozen=True)
class ModelVersion:
    """A registered version of a model.

    Args:
        name: Name of the model.
        version: Number of the version, from 1.
        status: Approved, PendingManualApproval, Rejected or Archived.
        aliases: Names under which it is in use.
        sha256: SHA-256 of its model.tar.gz.
        fingerprint: SHA-256 over the files of the bundle inside.
        source: Directory or ARN of the version.
        package: Path or URI of its model.tar.gz.
        created: Time of registration, ISO 8601.
        metrics: Those of SHOWN_METRICS that are known.
        facts: What else was recorded, such as the commit.
        reasons: Sentences of the gate's verdict.
    """

    name: str
    version: int
    status: str
    aliases: tuple[str, ...]
    sha256: str
    fingerprint: str
    source: str
    package: str
    created: str
    metrics: dict[str, float]
    facts: dict[str, str]
    reasons: str

    @property
    def uri(self) -> str:
        """The version as ``model_uri`` names it."""
        return f"models:/{self.name}/{self.version}"

    @property
    def card_uri(self) -> str:
        """Path or URI of the model card."""
        return f"{self.package.rpartition('/')[0]}/{MODEL_CARD_FILE}"


@dataclass(frozen=True)
class Candidate:
    """A model that is to be registered.

    Args:
        name: Name of the model.
        verdict: Verdict of the gate.
        sha256: SHA-256 of the model.tar.gz among the files.
        fingerprint: SHA-256 over the files of its bundle.
        files: Paths of the files to store, by the name that they get.
        metrics: Content of metrics.json.
        description: Content of bundle.yaml.
        settings: Content of run.yaml, empty where there is no run.
        facts: What else to record, such as the commit.
    """

    name: str
    verdict: Verdict
    sha256: str
    fingerprint: str
    files: Mapping[str, Path]
    metrics: Mapping[str, Any]
    description: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)

    def build_properties(self) -> dict[str, str]:
        """Return what a registry stores beside a version, as text; ``parse_properties`` reads it."""
        metrics = {name: self.verdict.metrics.get(name, math.nan) for name in SHOWN_METRICS}
        return {
            "package_sha256": self.sha256,
            "bundle_fingerprint": self.fingerprint,
            **self.facts,
            **{name: f"{value:.6f}" for name, value in metrics.items() if math.isfinite(value)},
        }


class ModelRegistry(ABC):
    """Versions of models, and which of them are in use. Every method may raise UserError.

    A new kind of registry is a subclass in a file of its own and a line in ``fer.registry.factory``.

    Attributes:
        is_dry_run: Whether requests are recorded instead of sent, so that answers say nothing.

    Examples:
        >>> registry = open_registry(load_overrides([], "register"))
        >>> version = registry.find("fer-demo", "champion")
        >>> archive = registry.fetch(version, Path("downloads"))
    """

    is_dry_run = False

    @abstractmethod
    def list_versions(self, name: str) -> list[ModelVersion]:
        """Return all versions by number; none where there is no such model."""

    @abstractmethod
    def find(self, name: str, selector: int | str) -> ModelVersion:
        """Return the version of a number or an alias.

        Raises:
            UserError: There is no such model, version or alias; the message says what there is.
        """

    @abstractmethod
    def fetch(self, version: ModelVersion, directory: Path) -> Path:
        """Copy a version's files into ``directory``.

        Returns:
            Path of model.tar.gz.

        Raises:
            ModelError: It is missing, or is not the file that was registered.
        """

    @abstractmethod
    def fetch_file(self, version: ModelVersion, name: str, directory: Path) -> Path | None:
        """Copy one of a version's files into ``directory``; None where the version has no such file."""

    @abstractmethod
    def lock(self, name: str) -> AbstractContextManager[object]:
        """Hold off other registrations and promotions of the model, as far as this registry can."""

    @abstractmethod
    def check_ready(self) -> None:
        """Raise UserError where it is clear beforehand that nothing can be registered."""

    @abstractmethod
    def register(self, candidate: Candidate) -> ModelVersion:
        """Store the files, then create the version, so that a killed registration leaves none."""

    @abstractmethod
    def set_status(self, version: ModelVersion, status: Status, note: str) -> None:
        """Set the status, with a note after the reasons; one that begins with JUDGED_ANEW replaces them."""

    @abstractmethod
    def store_file(self, version: ModelVersion, path: Path) -> None:
        """Add a file to a version's files, or replace the one of this name."""

    def check_not_served(self, version: ModelVersion) -> None:  # noqa: B027
        """Raise UserError where an endpoint serves a version; most registries know of none."""

    @abstractmethod
    def delete(self, version: ModelVersion) -> None:
        """Delete a version's files, then the version."""

    @abstractmethod
    def get_aliases(self, name: str) -> Aliases:
        """Return which versions are in use; none where there is no such model."""

    @abstractmethod
    def set_aliases(self, name: str, aliases: Aliases) -> None:
        """Store which versions are in use."""


def resolve_version_number(
    name: str, selector: int | str, numbers: Sequence[int], aliases: Aliases, location: str
) -> int:
    """Return the number of the version that a number or an alias names.

    Args:
        name: Name of the model.
        selector: Number, or alias; a number may be text.
        numbers: Numbers of all versions.
        aliases: Versions in use.
        location: The registry, for messages.

    Raises:
        UserError: There is no such model, version or alias; the message says what there is.
    """
    if not numbers:
        raise UserError(f"models:/{name}: {location} holds no model of this name; register one with register.py")
    available = f"versions: {', '.join(map(str, numbers))}"
    if isinstance(selector, int) or selector.isdigit():
        if int(selector) not in numbers:
            raise UserError(f"models:/{name}/{selector}: there is no such version; {available}")
        return int(selector)
    by_alias = {alias: number for alias in (CHAMPION, CHALLENGER) if (number := getattr(aliases, alias)) is not None}
    if selector not in by_alias:
        existing = ", ".join(f"{alias} ({number})" for alias, number in by_alias.items()) or "none"
        raise UserError(
            f"models:/{name}@{selector}: there is no such alias; aliases: {existing}; {available}; "
            "name one of these, or make one that was not rejected the champion: "
            "register.py registry.action=promote registry.version=N"
        )
    return by_alias[selector]


def verify_checksum(version: ModelVersion, package: Path) -> Path:
    """Return the path of a fetched model.tar.gz; one that is not what was registered is deleted. Raises ModelError."""
    if not package.is_file():
        raise ModelError(f"{version.uri}: its {PACKAGE} is no longer at {version.package}; register the run again")
    if (digest := compute_sha256(package)) != version.sha256:
        package.unlink()
        raise ModelError(
            f"{version.uri}: {version.package} is not the file that was registered (SHA-256 {digest[:12]}… instead of "
            f"{version.sha256[:12]}…): it was changed or damaged; restore it, or register the run again"
        )
    return package


def _parse_share(text: str | None) -> float | None:
    """Return a number from 0 to 1, None for anything else: what a registry holds may have been edited."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


def parse_properties(properties: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a ModelVersion that a registry stores as properties."""
    reserved = {"package_sha256", "bundle_fingerprint", *SHOWN_METRICS}
    return {
        "sha256": properties.get("package_sha256", ""),
        "fingerprint": properties.get("bundle_fingerprint", ""),
        "metrics": {name: value for name in SHOWN_METRICS if (value := _parse_share(properties.get(name))) is not None},
        "facts": {name: value for name, value in properties.items() if name not in reserved},
    }
