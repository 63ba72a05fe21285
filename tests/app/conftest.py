"""A dashboard in the process of the tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fer.app.dashboard import Dashboard, open_dashboard
from fer.app.settings import Settings


@pytest.fixture(scope="session")
def _scanned_once() -> Iterator[None]:
    """Streamlit looks through all installed packages for components of pages, for each page of a test anew."""
    from streamlit.components.v2 import manifest_scanner

    found = manifest_scanner.scan_component_manifests()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", lambda: found)
        yield


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Where the runs are that the dashboard shows."""
    return tmp_path / "outputs"


@pytest.fixture
def dashboard(outputs: Path, tmp_path: Path, _scanned_once: None) -> Iterator[Dashboard]:
    """A dashboard whose visits are always connected."""
    import streamlit as st

    st.cache_data.clear()
    (tmp_path / "temporary").mkdir()
    with open_dashboard(Settings(outputs, max_upload_mb=1, jobs=2), lambda _: True, tmp_path / "temporary") as opened:
        yield opened
