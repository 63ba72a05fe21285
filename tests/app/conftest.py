"""A dashboard in the process of the tests, and runs for it to show."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def write_run(directory: Path, program: str = "train.py", status: str = "finished", **metrics: Any) -> Path:
    """A run directory as far as lists read it, with a report."""
    directory.mkdir(parents=True)
    provenance = {"status": status, "command": [program], "start": f"2026-01-31T12:00:00+00:00 {directory.name}"}
    (directory / "provenance.json").write_text(json.dumps(provenance))
    (directory / "run.yaml").write_text("seed: 0\n")
    (directory / "report.html").write_text("<!doctype html><title>Report</title><h1>A report</h1>")
    if metrics:
        (directory / "metrics.json").write_text(json.dumps({"test": metrics}))
    return directory


def interval(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05}
