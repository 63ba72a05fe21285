"""Small data sets that the tests draw themselves."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from fer.data.image_store import ImageStore, open_image_store
from fer.data.manifest import Manifest, ManifestConfig, build_manifest
from fer.data.sources.base import Source
from tests.helpers.image_data import Laid


@pytest.fixture
def lay(tmp_path: Path) -> Laid:
    """A plain directory."""
    return Laid(tmp_path)


@pytest.fixture
def lay_zip(tmp_path: Path) -> Laid:
    return Laid(tmp_path, zipped=True)


@pytest.fixture(params=["directory", "zip", "wrapped directory", "wrapped zip"])
def lay_any(tmp_path: Path, request: pytest.FixtureRequest) -> Laid:
    """Each way in which a data set may lie on the disk; a test that takes it runs once for each."""
    return Laid(tmp_path, "zip" in request.param, "download/" if "wrapped" in request.param else "")


MANIFEST = {
    "classes": 7,
    "split": "official",
    "fractions": (0.8, 0.1, 0.1),
    "on_leak": "drop",
    "near_duplicate_bits": 2,
    "on_corrupt": "error",
    "on_empty_class": "ignore",
    "balance": "none",
    "limit": None,
    "seed": 0,
}


@pytest.fixture
def manifest_of(tmp_path: Path) -> Callable[..., Manifest]:
    """manifest_of(sources, rules={}, **changes): the manifest of these sources, with a store of its own."""

    def make(sources: Sequence[Source], rules: Mapping[str, Any] | None = None, **changes: Any) -> Manifest:
        store: ImageStore = open_image_store(sources, 48, str(tmp_path / "cache"))
        return build_manifest(sources, store, ManifestConfig(label_rules=rules or {}, **{**MANIFEST, **changes}))

    return make
