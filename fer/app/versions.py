"""Versions in the registry of this machine."""

from pathlib import Path

from fer.app.runs import is_within
from fer.core.documents import read_bounded_text
from fer.errors import UserError, shorten_error
from fer.registry.base import ModelVersion

MAX_CARD_BYTES = 1 << 20


def list_registered(store: Path) -> list[ModelVersion]:
    """List all versions of all models, by name, the latest of each first; none where there is no registry.

    Args:
        store: The registry's directory, which is not made.

    Raises:
        UserError: It cannot be read.
    """
    if not store.is_dir():
        return []
    # MLflow takes seconds to import, and many have no registry.
    from fer.registry.mlflow import MlflowRegistry

    registry = MlflowRegistry(store)
    return [version for name in registry.list_names() for version in reversed(registry.list_versions(name))]


def read_card(version: ModelVersion, store: Path) -> str:
    """Read the model card of a version. Raises UserError where it has none that can be read."""
    path = Path(version.card_uri)
    if not is_within(path, store):
        raise UserError(f"{version.uri}: its card lies outside of the registry, and is not shown")
    try:
        return read_bounded_text(path, MAX_CARD_BYTES)
    except (OSError, ValueError) as error:
        raise UserError(f"{version.uri}: its card cannot be read ({shorten_error(error)})") from None
