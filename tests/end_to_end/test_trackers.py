"""train.py with trackers: what their own readers find is what the run's files hold."""

import io
import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from fer.core.flatten import flatten_dict
from tests.helpers.paths import PROJECT
from tests.helpers.programs import FAST, Done, Program, environment, metrics_of, run
from tests.helpers.tracked_runs import events_of, mlflow_run, offline_runs, saved_scalars, text_of
from tests.helpers.wandb_files import OfflineRun

TRAIN = str(PROJECT / "train.py")
PICTURES = ("confusion_val", "confusion_test", "samples")
NAME = "train/tracked"


@pytest.fixture(scope="module")
def program_output(train: Program, workplace: Path) -> Done:
    # As `finished`, which has no trackers.
    done = train(
        *(*FAST, "trainer.max_epochs=2", "tracker=[tensorboard,mlflow,wandb]", "tracker.wandb.mode=offline"),
        f"hydra.run.dir={workplace / 'outputs' / NAME}",
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def tracked(program_output: Done, workplace: Path) -> Path:
    return workplace / "outputs" / NAME


@pytest.fixture(scope="module")
def history(tracked: Path) -> pd.DataFrame:
    return pd.read_csv(tracked / "history.csv")


@pytest.fixture(scope="module")
def config(tracked: Path) -> dict[str, object]:
    content = yaml.safe_load((tracked / "run.yaml").read_text())
    del content["defaults"]
    return flatten_dict(content)


@pytest.fixture(scope="module")
def offline(tracked: Path) -> OfflineRun:
    (found,) = offline_runs(tracked)
    return found


def test_weights_and_figures_are_those_of_a_run_without_trackers(tracked: Path, finished: Path) -> None:
    assert (tracked / "metrics.json").read_bytes() == (finished / "metrics.json").read_bytes()


def test_the_user_is_told_where_to_look_and_nothing_lies_elsewhere(
    program_output: Done, tracked: Path, workplace: Path
) -> None:
    said = program_output.stdout
    assert f"TensorBoard: tensorboard --logdir {tracked / 'tensorboard'}\n" in said
    assert f"W&B: wandb sync {tracked / 'wandb'}\n" in said
    assert "MLflow: mlflow ui --backend-store-uri sqlite:///" in said
    assert program_output.stderr == ""
    assert not {"wandb", "mlruns", "mlflow.db", "runs"} & {path.name for path in workplace.iterdir()}
    sync = [sys.executable, "-m", "wandb", "sync", "--dry-run", str(tracked / "wandb")]
    done = subprocess.run(sync, cwd=workplace, env=environment(), capture_output=True, text=True, timeout=60)
    assert "Would sync 1 run(s)" in done.stdout + done.stderr


def test_tensorboard_holds_the_run(tracked: Path, history: pd.DataFrame, config: dict[str, object]) -> None:
    events = events_of(tracked)
    for column in history.columns:
        points = events.Scalars(column)
        assert [point.step for point in points] == [1, 2]
        # Event files hold single precision.
        assert [point.value for point in points] == history[column].astype(np.float32).tolist()
    figures = saved_scalars(tracked)
    assert len(figures) > 150
    assert {name: events.Scalars(name)[-1].value for name in figures} == {
        name: float(np.float32(value)) for name, value in figures.items()
    }
    assert (tracked / "run.yaml").read_text() in text_of(events, "config")
    assert text_of(events, "run_directory") == NAME
    assert text_of(events, "bundle") == str(tracked / "bundle")
    assert text_of(events, "status") == "finished"
    assert text_of(events, "weights_sha256") == metrics_of(tracked)["weights_sha256"]
    hyper = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert all(name.encode() in hyper for name in config)
    assert set(events.Tags()["images"]) == {f"pictures/{name}" for name in PICTURES}
    picture = Image.open(io.BytesIO(events.Images("pictures/confusion_test")[0].encoded_image_string))
    assert picture.width > 500
    assert events.Scalars("system/memory_mib")[0].value > 200


def test_mlflow_holds_the_run(tracked: Path, workplace: Path, history: pd.DataFrame, config: dict[str, object]) -> None:
    client, run = mlflow_run(workplace / "outputs" / "mlflow", NAME)
    assert (run.info.status, run.info.run_name, run.data.tags["status"]) == ("FINISHED", NAME, "finished")
    for column in history.columns:
        points = {point.step: point.value for point in client.get_metric_history(run.info.run_id, column)}
        assert points == dict(zip(history["epoch"], history[column], strict=True))
    assert saved_scalars(tracked).items() <= run.data.metrics.items()
    assert run.data.metrics["system/memory_mib"] > 200
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in config.items()}
    assert run.data.params == texts
    files = Path(run.info.artifact_uri.removeprefix("file://"))
    assert (files / "run.yaml").read_bytes() == (tracked / "run.yaml").read_bytes()
    for file in (tracked / "bundle").iterdir():
        assert (files / "bundle" / file.name).read_bytes() == file.read_bytes()
    sheet = Image.open(files / "pictures" / "samples.png")
    assert np.array_equal(np.asarray(sheet), np.asarray(Image.open(tracked / "trackers" / "samples.png")))
    assert all((files / "pictures" / f"{name}.png").is_file() for name in PICTURES)


def test_wandb_holds_the_run(
    tracked: Path, offline: OfflineRun, history: pd.DataFrame, config: dict[str, object]
) -> None:
    assert (offline.name, offline.project, offline.exit_code, offline.tags) == (NAME, "fer", 0, ["finished"])
    for column in history.columns:
        assert offline.figures(column) == dict(zip(history["epoch"], history[column], strict=True))
        assert column == "epoch" or offline.steps[column] == "epoch"
    assert saved_scalars(tracked).items() <= offline.summary.items()
    assert offline.steps["system/*"] == "system/seconds"
    assert any(row.get("system/memory_mib", 0) > 200 for row in offline.history)
    del offline.config["_wandb"]
    assert flatten_dict(offline.config) == config
    (folder,) = tracked.glob("wandb/offline-run-*/files")
    assert (folder / "run.yaml").read_bytes() == (tracked / "run.yaml").read_bytes()
    assert "run.yaml" in offline.files
    for name in PICTURES:
        (path,) = {row[f"pictures/{name}/path"] for row in offline.history if f"pictures/{name}/path" in row}
        assert Image.open(folder / path).width > 500
    (bundle,) = offline.artifacts
    assert bundle.type == "model"
    held = {entry.path: Path(entry.local_path).read_bytes() for entry in bundle.manifest.contents}
    assert held == {file.name: file.read_bytes() for file in (tracked / "bundle").iterdir()}


def test_wandb_is_told_nothing_of_machine_code_or_output(tracked: Path, offline: OfflineRun) -> None:
    assert (offline.host, offline.output) == ("-", 0)
    assert {Path(file).name for file in offline.files if "media" not in file} == {"run.yaml"}
    (sent,) = tracked.glob("wandb/offline-run-*/*.wandb")
    content = sent.read_bytes()
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True).stdout.strip()
    name = f'"{socket.gethostname()}"'
    assert not [word for word in (name, commit, "train.py", "images/s") if word and word.encode() in content]


def test_a_training_goes_on_without_trackers_that_fail(workplace: Path, finished: Path) -> None:
    """A file where TensorBoard's directory should be, a server that is not there, W&B online without a key."""
    directory = workplace / "outputs" / "train" / "failing"
    directory.mkdir(parents=True)
    (directory / "tensorboard").touch()
    surroundings = {name: value for name, value in environment().items() if not name.startswith("WANDB_")}
    done = run(
        *(TRAIN, *FAST, "trainer.max_epochs=2", "tracker=[tensorboard,mlflow,wandb]", "tracker.wandb.mode=online"),
        *("tracker.mlflow.uri=http://127.0.0.1:9", f"hydra.run.dir={directory}"),
        cwd=workplace,
        surroundings={**surroundings, "HOME": str(workplace), "NETRC": str(workplace / "no-netrc")},
    )
    assert done.returncode == 0, done.stderr
    assert (directory / "metrics.json").read_bytes() == (finished / "metrics.json").read_bytes()
    for warning in ("TensorBoard is off (", "MLflow is off (", "W&B: cannot go online ("):
        assert (directory / "train.log").read_text().count(warning) == 1
    assert "Traceback" not in done.stdout + done.stderr


def test_nothing_of_a_tracker_is_imported_to_show_a_configuration(workplace: Path) -> None:
    command = [sys.executable, "-X", "importtime", TRAIN, "tracker=[tensorboard,mlflow,wandb]", "--cfg", "job"]
    done = subprocess.run(command, cwd=workplace, env=environment(), capture_output=True, text=True, timeout=60)
    assert "tensorboard: true" in done.stdout
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "omegaconf" in imported
    assert not {"wandb", "mlflow", "tensorboard", "psutil", "torch"} & imported
