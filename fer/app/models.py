"""The models that a visitor may choose from, and no other."""

from collections.abc import Sequence
from dataclasses import dataclass

from fer.app.runs import RunEntry
from fer.bundle.locate import DESCRIPTION_FILE, PRETRAINED, PRETRAINED_DIR
from fer.core.run_layout import BUNDLE_DIR
from fer.registry.base import ModelVersion
from fer.registry.status import APPROVED


@dataclass(frozen=True)
class ModelChoice:
    """A model.

    Attributes:
        label: What the list shows.
        uri: What ``model_uri`` names it.
    """

    label: str
    uri: str


def list_models(runs: Sequence[RunEntry], versions: Sequence[ModelVersion]) -> list[ModelChoice]:
    """List the shipped model, approved versions of the registry, those in use first, and runs that have a model."""
    choices = []
    if (PRETRAINED_DIR / BUNDLE_DIR / DESCRIPTION_FILE).is_file():
        choices.append(ModelChoice("The model that comes with the program", PRETRAINED))
    approved = [version for version in versions if version.status == APPROVED]
    for version in sorted(approved, key=lambda version: not version.aliases):
        names = f" ({', '.join(version.aliases)})" if version.aliases else ""
        choices.append(ModelChoice(f"Registry: {version.name}, version {version.version}{names}", version.uri))
    choices += [ModelChoice(f"Run: {entry.key}", str(entry.directory)) for entry in runs if entry.has_bundle]
    return choices
