"""Versions, aliases and files: the same on this machine and in AWS."""

from pathlib import Path

import pytest

from fer.errors import ModelError, UserError
from fer.registry.base import Aliases, ModelRegistry, ModelVersion
from fer.registry.gate import APPROVED, PENDING, REJECTED, Status
from fer.registry.promotion import assign_alias, promote, roll_back
from tests.helpers.candidates import NAME, candidate, replace_package

pytestmark = pytest.mark.slow


def add(registry: ModelRegistry, folder: Path, mark: str, status: Status = APPROVED) -> ModelVersion:
    version = registry.register(candidate(folder, mark, status))
    assign_alias(registry, version)
    return registry.find(NAME, version.version)


def test_a_version_says_what_was_registered(registry: ModelRegistry, tmp_path: Path) -> None:
    given = candidate(tmp_path)
    version = registry.register(given)
    assert registry.list_versions(NAME) == [version]
    assert (version.name, version.version, version.uri) == (NAME, 1, f"models:/{NAME}/1")
    assert (version.status, version.reasons) == (APPROVED, "Verdict 1.")
    assert (version.sha256, version.fingerprint) == (given.sha256, "fingerprint-1")
    assert {name: version.metrics[name] for name in ("accuracy", "macro_f1")} == {"accuracy": 0.9, "macro_f1": 0.8}
    assert version.facts == given.facts
    assert version.created.endswith("+00:00")
    assert version.card_uri.endswith("/model_card.md") and version.package.endswith("/model.tar.gz")


def test_the_first_approved_version_is_champion_and_later_ones_challenge(
    registry: ModelRegistry, tmp_path: Path
) -> None:
    statuses: list[Status] = [REJECTED, PENDING, APPROVED, APPROVED, REJECTED, APPROVED]
    given = [add(registry, tmp_path, str(number), status) for number, status in enumerate(statuses)]
    assert [version.version for version in given] == [1, 2, 3, 4, 5, 6]
    assert [version.aliases for version in given] == [(), (), ("champion",), ("challenger",), (), ("challenger",)]
    assert registry.get_aliases(NAME) == Aliases(3, 6, ())
    assert registry.find(NAME, "champion").version == 3
    assert registry.find(NAME, "challenger").version == 6
    assert [version.status for version in registry.list_versions(NAME)] == statuses


def test_promotions_are_remembered_and_rolled_back(registry: ModelRegistry, tmp_path: Path) -> None:
    for number in range(3):
        add(registry, tmp_path, str(number))
    assert promote(registry, NAME, None).version == 3
    assert registry.get_aliases(NAME) == Aliases(3, None, (1,))
    assert promote(registry, NAME, 2).aliases == ("champion",)
    assert registry.get_aliases(NAME) == Aliases(2, None, (1, 3))
    assert [roll_back(registry, NAME).version for _ in range(2)] == [3, 1]
    with pytest.raises(UserError, match=f"models:/{NAME}/1: is the first champion; there is none before it"):
        roll_back(registry, NAME)
    assert registry.get_aliases(NAME) == Aliases(1, None, ())


def test_a_pending_version_is_approved_by_its_promotion(registry: ModelRegistry, tmp_path: Path) -> None:
    add(registry, tmp_path, "1", PENDING)
    with pytest.raises(UserError, match=f"models:/{NAME}@champion: there is no such alias; aliases: none; versions: 1"):
        registry.find(NAME, "champion")
    promoted = promote(registry, NAME, 1)
    assert (promoted.status, promoted.aliases) == (APPROVED, ("champion",))
    assert promoted.reasons == "Verdict 1. Approved by hand, by its promotion."
    assert promoted.facts == candidate(tmp_path).facts
    with pytest.raises(UserError, match="is the champion already"):
        promote(registry, NAME, 1)


def test_a_rejected_version_never_becomes_champion(registry: ModelRegistry, tmp_path: Path) -> None:
    add(registry, tmp_path, "1", REJECTED)
    with pytest.raises(UserError, match="was rejected, so it cannot be champion; its verdict: Verdict 1."):
        promote(registry, NAME, 1)
    assert registry.get_aliases(NAME) == Aliases()


def test_what_is_not_there_is_told_with_what_is(registry: ModelRegistry, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"models:/{NAME}: .* holds no model of this name; register one"):
        registry.find(NAME, "champion")
    assert registry.list_versions(NAME) == []
    add(registry, tmp_path, "1")
    with pytest.raises(UserError, match=f"models:/{NAME}/7: there is no such version; versions: 1"):
        registry.find(NAME, 7)
    with pytest.raises(UserError, match=r"no such alias; aliases: champion \(1\); versions: 1; name one of these"):
        registry.find(NAME, "production")


def test_fetching_gives_every_file(registry: ModelRegistry, tmp_path: Path) -> None:
    given = candidate(tmp_path)
    version = registry.register(given)
    package = registry.fetch(version, tmp_path / "fetched")
    assert package == tmp_path / "fetched" / "model.tar.gz"
    fetched = {path.name: path.read_bytes() for path in (tmp_path / "fetched").iterdir()}
    assert fetched == {name: path.read_bytes() for name, path in given.files.items()}
    assert registry.fetch_file(version, "run.yaml", tmp_path / "one") == tmp_path / "one" / "run.yaml"
    assert registry.fetch_file(version, "nothing.json", tmp_path / "one") is None


def test_a_tampered_package_is_refused(registry: ModelRegistry, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    version = registry.register(candidate(tmp_path))
    replace_package(version, request)
    with pytest.raises(ModelError, match=r"/1: .*model.tar.gz is not the file that was registered \(SHA-256"):
        registry.fetch(version, tmp_path / "fetched")
    assert not (tmp_path / "fetched" / "model.tar.gz").exists()
