"""Registered models: what a version is, and what a registry, on this machine or in AWS, can do."""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from fer.core.io import compute_sha256
from fer.errors import ModelError, UserError
from fer.registry.gate import Verdict
from fer.registry.package import PACKAGE

CHAMPION, CHALLENGER = "champion", "challenger"
TEST_TABLE_FILE = "test.parquet"
MODEL_CARD_FILE = "model_card.md"
SHOWN_METRICS = ("accuracy", "macro_f1", "balanced_accuracy", "calibration_error")


@dataclass(frozen=True)
class Aliases:
    """Which versions are in use; ``history`` are the champions before, the latest last."""

    champion: int | None = None
    challenger: int | None = None
    history: tuple[int, ...] = ()

    @property
    def previous_champions(self) -> tuple[int, ...]:
        """The champions before the present one, which a promotion that was killed may have noted already."""
        return self.history[:-1] if self.history[-1:] == (self.champion,) else self.history

    def get_names(self, version: int) -> tuple[str, ...]:
        """The aliases of one version."""
        return tuple(name for name in (CHAMPION, CHALLENGER) if getattr(self, name) == version)


@dataclass(frozen=True)
class ModelVersion:
    """A registered version.

    ``source`` is the path or ARN of the model package, ``package`` the path or s3:// address of its model.tar.gz,
    ``sha256`` that file's hash, ``fingerprint`` that of the bundle inside, ``created`` an ISO time, ``facts`` what else
    was recorded, ``reasons`` the gate's verdict in words.
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
        return f"models:/{self.name}/{self.version}"

    @property
    def card_uri(self) -> str:
        """Where the model card is."""
        return f"{self.package.rpartition('/')[0]}/{MODEL_CARD_FILE}"


@dataclass(frozen=True)
class Candidate:
    """What is to be registered: ``files`` by the name they are kept under, ``metrics`` as in metrics.json,
    ``description`` as in bundle.yaml, ``settings`` as in run.yaml (empty where there is no run), ``facts`` in words.
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
        """What a registry keeps beside a version, as text."""
        known = {name: self.verdict.figures.get(name, math.nan) for name in SHOWN_METRICS}
        return {
            "package_sha256": self.sha256,
            "bundle_fingerprint": self.fingerprint,
            **self.facts,
            **{name: f"{value:.6f}" for name, value in known.items() if math.isfinite(value)},
        }


class ModelRegistry(Protocol):
    """Versions of models, and which of them are in use. All methods raise UserError."""

    def list_versions(self, name: str) -> list[ModelVersion]:
        """All versions, the first one first; none where there is no such model."""
        ...

    def find(self, name: str, selector: int | str) -> ModelVersion:
        """The version of a number or an alias."""
        ...

    def fetch(self, version: ModelVersion, directory: Path) -> Path:
        """Put a version's files into ``directory``; the path of model.tar.gz, checked. Raises ModelError."""
        ...

    def fetch_file(self, version: ModelVersion, name: str, directory: Path) -> Path | None:
        """Put one of a version's files into ``directory``; None where there is none."""
        ...

    def lock(self, name: str) -> AbstractContextManager[object]:
        """Holds off other registrations and promotions of the model, as far as this registry can."""
        ...

    def check_ready(self) -> None:
        """Raises where it is clear beforehand that nothing can be registered."""
        ...

    def register(self, candidate: Candidate) -> ModelVersion:
        """A new version. The version comes last: what was killed before leaves none."""
        ...

    def approve(self, version: ModelVersion, note: str) -> None:
        """Make the status Approved, with a note."""
        ...

    def get_aliases(self, name: str) -> Aliases: ...

    def set_aliases(self, name: str, aliases: Aliases) -> None: ...


def resolve_version_number(
    name: str, selector: int | str, numbers: Sequence[int], aliases: Aliases, location: str
) -> int:
    """The number of the version that a number or an alias names. Raises UserError, which says what there is."""
    if not numbers:
        raise UserError(f"models:/{name}: {location} holds no model of this name; register one with register.py")
    available = f"versions: {', '.join(map(str, numbers))}"
    if isinstance(selector, int) or selector.isdigit():
        if int(selector) not in numbers:
            raise UserError(f"models:/{name}/{selector}: there is no such version; {available}")
        return int(selector)
    known = {alias: found for alias in (CHAMPION, CHALLENGER) if (found := getattr(aliases, alias)) is not None}
    if selector not in known:
        named = ", ".join(f"{alias} ({number})" for alias, number in known.items()) or "none"
        raise UserError(f"models:/{name}@{selector}: there is no such alias; aliases: {named}; {available}")
    return known[selector]


def verify_checksum(version: ModelVersion, package: Path) -> Path:
    """The package itself. Raises ModelError when it is not the one that was registered."""
    if not package.is_file():
        raise ModelError(f"{version.uri}: its {PACKAGE} is no longer at {version.package}; register the run again")
    if (digest := compute_sha256(package)) != version.sha256:
        package.unlink()
        raise ModelError(
            f"{version.uri}: {version.package} is not the file that was registered (SHA-256 {digest[:12]}… instead of "
            f"{version.sha256[:12]}…): it was changed or damaged; restore it, or register the run again"
        )
    return package


def parse_properties(properties: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a Version that a registry keeps as properties."""
    reserved = {"package_sha256", "bundle_fingerprint", *SHOWN_METRICS}
    return {
        "sha256": properties.get("package_sha256", ""),
        "fingerprint": properties.get("bundle_fingerprint", ""),
        "metrics": {name: float(properties[name]) for name in SHOWN_METRICS if name in properties},
        "facts": {name: value for name, value in properties.items() if name not in reserved},
    }
