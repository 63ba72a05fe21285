"""Runs for the dashboard to show, and the dashboard as a program."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.helpers.programs import environment
from tests.helpers.server import wait_until


def write_run(directory: Path, program: str = "train.py", status: str = "finished", **metrics: Any) -> Path:
    """A run directory as far as lists read it, with a report."""
    directory.mkdir(parents=True)
    provenance = {"status": status, "command": program.split(), "start": f"2026-01-31T12:00:00+00:00 {directory.name}"}
    (directory / "provenance.json").write_text(json.dumps(provenance))
    (directory / "run.yaml").write_text("seed: 0\n")
    (directory / "report.html").write_text("<!doctype html><title>Report</title><h1>A report</h1>")
    if metrics:
        (directory / "metrics.json").write_text(json.dumps({"test": metrics}))
    return directory


def interval(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05}


@contextlib.contextmanager
def running(outputs: Path, folder: Path, *arguments: str) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """The address and the process of `python -m fer.app`; what visitors upload lies below ``folder``."""
    log = folder / "app.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "fer.app", "--outputs", str(outputs), "--port", "0", *arguments],
            cwd=folder,
            env={**environment(), "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until(lambda: process.poll() is not None or " on http://" in log.read_text(), "the dashboard")
        assert process.poll() is None, log.read_text()
        yield log.read_text().split(" on ")[1].split()[0], process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, 9)
        process.wait()
