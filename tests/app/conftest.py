"""A dashboard in the process of the tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fer.app.dashboard import Dashboard, open_dashboard
from fer.app.settings import Settings


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Where the runs are that the dashboard shows."""
    return tmp_path / "outputs"


@pytest.fixture
def dashboard(outputs: Path, tmp_path: Path) -> Iterator[Dashboard]:
    """A dashboard whose visits are always connected."""
    import streamlit as st

    st.cache_data.clear()
    (tmp_path / "temporary").mkdir()
    with open_dashboard(Settings(outputs, max_upload_mb=1, jobs=2), lambda _: True, tmp_path / "temporary") as opened:
        yield opened
