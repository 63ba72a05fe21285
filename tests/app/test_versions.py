"""Versions of the registry of this machine, and their cards."""

from pathlib import Path

import pytest

from fer.app.versions import list_registered, read_card
from fer.errors import UserError
from fer.registry.mlflow import MlflowRegistry
from tests.helpers.candidates import NAME, candidate

pytestmark = pytest.mark.slow


def test_versions_are_listed_the_latest_first_with_their_cards(tmp_path: Path) -> None:
    store = tmp_path / "registry"
    assert list_registered(store) == [] and not store.exists()
    registry = MlflowRegistry(store)
    for mark in ("1", "2"):
        registry.register(candidate(tmp_path / mark, mark))
    second, first = list_registered(store)
    assert [(version.name, version.version) for version in (second, first)] == [(NAME, 2), (NAME, 1)]
    card = Path(first.card_uri)
    card.write_text("# A card")
    assert read_card(first, store) == "# A card"
    card.unlink()
    with pytest.raises(UserError, match="its card cannot be read"):
        read_card(first, store)
    card.symlink_to("/etc/hostname")
    with pytest.raises(UserError, match="outside of the registry"):
        read_card(first, store)
