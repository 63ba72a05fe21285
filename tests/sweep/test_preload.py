"""Trainings that are forked from a process that has PyTorch: they print and exit as in a process of their own."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fer.sweep import job
from fer.sweep.preload import SERVER_ENV
from tests.helpers.paths import PROJECT

ASK = """
import os, time
from pathlib import Path
from fer.sweep.preload import SERVER_ENV, ForkedTraining, start_fork_server

server = start_fork_server()
assert start_fork_server() is None
while not Path(os.environ[SERVER_ENV]).exists():
    time.sleep(0.05)
first, second = (ForkedTraining(Path(name), {"FER_NOTE": name}) for name in ("missing", "other"))
for training in (first, second):
    print(training.stdout.read().splitlines()[0], training.wait())
print(server.pid, os.environ[SERVER_ENV])
"""


@pytest.mark.slow
@pytest.mark.e2e
def test_a_forked_training_prints_and_exits_as_any_and_the_server_ends_with_its_starter(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    environment.pop(SERVER_ENV, None)
    # Beside it: a refused training removes its directory, and those above it that are empty then.
    (tmp_path / "program.py").write_text(ASK)
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    *lines, last = done.stdout.splitlines()
    assert len(lines) == 2
    for name, line in zip(("missing", "other"), lines, strict=True):
        assert line.startswith(f"train.py: {tmp_path}/{name}/run.yaml: cannot be read") and line.endswith(" 2")
    server, socket = last.split(" ", 1)
    while Path(f"/proc/{server}").exists() and "Z" not in Path(f"/proc/{server}/stat").read_text().split()[2]:
        time.sleep(0.05)
    assert not Path(socket).exists()


def test_without_a_server_that_answers_a_job_starts_in_a_new_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Path] = []
    monkeypatch.setenv(SERVER_ENV, str(tmp_path / "gone"))
    monkeypatch.setattr(job, "start_training", lambda run, environment: started.append(run))
    job._start_training(tmp_path, {})
    assert started == [tmp_path]
