"""The process beside a training, over run directories that are made here."""

import json
import logging
import math
import os
import resource
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

from fer.runs.run_directory import Run
from fer.trackers import background as beside
from fer.trackers.background import run_trackers
from tests.helpers.paths import PROJECT, TABLES_ENV
from tests.helpers.tracked_runs import (
    begun,
    conclude,
    events_of,
    grow,
    mlflow_run,
    offline_runs,
    saved_scalars,
    text_of,
    wait_for,
)
from tests.helpers.wandb_files import read_offline_run

pytestmark = pytest.mark.slow

WANDB = {"project": "tests", "entity": None, "mode": "offline"}
MLFLOW = {"uri": None, "experiment": "tests"}
ALL = {"tensorboard": {}, "wandb": WANDB, "mlflow": MLFLOW}
KEY = "0123456789" * 4


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Path:
    """The directory in which programs run; nothing there belongs to trackers but `outputs/`."""
    monkeypatch.chdir(tmp_path)
    for name in ("WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    caplog.set_level(logging.INFO)
    return tmp_path


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_resumed_run_goes_on_in_the_same_runs_and_repeats_no_epoch(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = place / "outputs" / "train" / "day" / "made"
    run = begun(directory)
    with run_trackers(directory, ALL):
        grow(directory, 2)
        conclude(run, "interrupted")
    _, first = mlflow_run(place / "outputs" / "mlflow", "train/day/made")
    assert (first.info.status, first.data.tags["status"]) == ("KILLED", "interrupted")
    assert text_of(events_of(directory), "status") == "interrupted"
    ids = json.loads((directory / "trackers" / "runs.json").read_text())

    run.update_provenance(status="running")
    with run_trackers(directory, ALL):
        grow(directory, 3)
        conclude(run, "finished")
    assert warnings_of(caplog) == []
    assert f"wandb sync {directory / 'wandb'}" in caplog.text
    again = json.loads((directory / "trackers" / "runs.json").read_text())
    assert (again["wandb"]["id"], again["mlflow"]["run_id"]) == (ids["wandb"]["id"], ids["mlflow"]["run_id"])

    losses = {epoch: 2.5 / epoch for epoch in (1, 2, 3)}
    client, tracked_run = mlflow_run(place / "outputs" / "mlflow", "train/day/made")
    assert (tracked_run.info.status, tracked_run.data.tags["status"]) == ("FINISHED", "finished")
    assert {
        point.step: point.value for point in client.get_metric_history(tracked_run.info.run_id, "val_loss")
    } == losses
    assert len(client.get_metric_history(tracked_run.info.run_id, "val_loss")) == 3

    events = events_of(directory)
    assert [point.step for point in events.Scalars("val_loss")] == [1, 2, 3]
    assert math.isnan(events.Scalars("train_loss")[0].value)
    assert text_of(events, "status") == "finished"
    session = events.SummaryMetadata("_hparams_/session_end_info").plugin_data.content
    ended = plugin_data_pb2.HParamsPluginData.FromString(session).session_end_info
    assert ended.status == api_pb2.STATUS_SUCCESS

    before, after = offline_runs(directory)
    assert before.id == after.id == ids["wandb"]["id"]
    assert (before.exit_code, before.tags, after.exit_code, after.tags) == (130, ["interrupted"], 0, ["finished"])
    assert (before.figures("val_loss"), after.figures("val_loss")) == ({1: 2.5, 2: 1.25}, {3: 2.5 / 3})
    steps = [row["_step"] for row in (*before.history, *after.history)]
    assert steps == sorted(set(steps))
    figures = saved_scalars(directory)
    assert len(figures) > 60
    assert figures.items() <= after.summary.items()
    assert figures.items() <= tracked_run.data.metrics.items()


def test_several_runs_at_once_into_one_database_each_with_its_status(
    place: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first migration of a SQLite database races, and so does the making of the experiment."""
    monkeypatch.delenv(TABLES_ENV)
    statuses = ("finished", "failed", "pruned", "interrupted")

    def follow(run: Run, status: str) -> None:
        with run_trackers(run.directory, {"mlflow": MLFLOW}):
            grow(run.directory, 3)
            conclude(run, status)

    runs = [begun(place / "outputs" / "sweeps" / "one" / status) for status in statuses]
    with ThreadPoolExecutor(len(statuses)) as pool:
        list(pool.map(follow, runs, statuses))
    assert warnings_of(caplog) == []
    found = [mlflow_run(place / "outputs" / "mlflow", f"sweeps/one/{status}")[1] for status in statuses]
    assert [run.info.status for run in found] == ["FINISHED", "FAILED", "KILLED", "KILLED"]
    assert [run.data.tags["status"] for run in found] == list(statuses)
    assert [run.data.metrics["val_loss"] for run in found] == [2.5 / 3] * 4
    # However short a run is, it says what it took of its machine.
    assert all(run.data.metrics["system/memory_mib"] > 0 for run in found)
    assert len({run.info.experiment_id for run in found}) == 1


def test_trackers_that_fail_or_never_answer_warn_once_and_hold_up_nothing(
    place: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in a directory's place, a server that accepts and never answers, W&B with a key and no network."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
        run = begun(place / "run")
        (run.directory / "tensorboard").touch()
        mlflow = {"uri": f"http://127.0.0.1:{silent.getsockname()[1]}", "experiment": "tests"}
        with run_trackers(run.directory, {"tensorboard": {}, "wandb": {**WANDB, "mode": "auto"}, "mlflow": mlflow}):
            grow(run.directory, 2)
            conclude(run, "finished")
    warnings = sorted(warnings_of(caplog))
    assert [warning.split(" ")[0].strip(":") for warning in warnings] == ["MLflow", "TensorBoard", "W&B"], warnings
    assert "is off (MlflowException: API request to http://127.0.0.1:" in warnings[0]
    assert "is off (" in warnings[1]
    assert "this run is kept offline" in warnings[2]
    # What could not be sent is there to be sent later; the key is nowhere.
    (kept,) = run.directory.glob("wandb/offline-run-*/*.wandb")
    wait_for(lambda: read_offline_run(kept).figures("val_loss") == {1: 2.5, 2: 1.25})
    assert not [file for file in place.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]


def test_a_full_disk_turns_trackers_off(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No file may grow beyond 4 kB, which the configuration alone needs."""
    run = begun(place / "outputs" / "run")
    grow(run.directory, 2)
    conclude(run, "finished")
    before = (run.directory / "metrics.json").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with run_trackers(run.directory, ALL):
            # It inherits the limit when it starts.
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    warnings = warnings_of(caplog)
    assert {warning.split(" ")[0].strip(":") for warning in warnings} == {"MLflow", "TensorBoard", "W&B"}, warnings
    assert len(warnings) == 3
    assert (run.directory / "metrics.json").read_bytes() == before


def test_a_run_whose_process_is_killed_is_marked(place: Path) -> None:
    run = begun(place / "outputs" / "run")
    grow(run.directory, 1)
    code = (
        "import sys, time; from pathlib import Path; from fer.trackers.background import run_trackers\n"
        f"with run_trackers(Path(sys.argv[1]), {{'mlflow': {MLFLOW}}}): print('on', flush=True); time.sleep(300)"
    )
    (place / "program.py").write_text(code)
    training = subprocess.Popen(
        [sys.executable, "program.py", str(run.directory)],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert training.stdout is not None
        assert training.stdout.readline() == "on\n"
        # Nobody else opens the database before its tables are made: two that make them at once would clash.
        wait_for((run.directory / "trackers" / "runs.json").is_file, 200)
    finally:
        training.send_signal(signal.SIGKILL)
        training.wait()
    wait_for(lambda: mlflow_run(place / "outputs" / "mlflow", "run")[1].info.status == "KILLED")
    _, marked = mlflow_run(place / "outputs" / "mlflow", "run")
    assert marked.data.tags["status"] == "killed"
    assert marked.data.metrics["val_loss"] == 2.5


def test_a_process_that_does_not_end_is_killed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("FINISH_TIMEOUT_S", "EXIT_TIMEOUT_S", "GRACE_S"):
        monkeypatch.setattr(beside, name, 0.1)
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(100)"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    beside.stop_process(process)
    assert process.poll() == -signal.SIGKILL
    assert any("did not come to their end" in warning for warning in warnings_of(caplog))
    assert process.stdout is not None
    process.stdout.close()
