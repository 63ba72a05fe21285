"""Replaying, resuming and interrupting: the same figures to the last bit, or a clear word why not."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

from fer.serving import Predictor
from tests.helpers.paths import PROJECT
from tests.helpers.programs import (
    FAST,
    FAST_ANY_DATA,
    Program,
    face,
    metrics_of,
    png,
    provenance_of,
    start,
    wait_for,
)

pytestmark = pytest.mark.usefixtures("without_report")

TRAIN = str(PROJECT / "train.py")
Stopped = Callable[[subprocess.Popen[str]], None]


def rows_of(run: Path) -> int:
    history = run / "history.csv"
    return len(history.read_text().splitlines()) - 1 if history.exists() else 0


def test_replay_gives_identical_weights_and_figures(program: Program, finished: Path) -> None:
    done = program("-m", "fer.replay", str(finished))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"the weights (SHA-256 {metrics_of(finished)['weights_sha256']})" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Identical: all ")


def test_replay_tells_every_difference(program: Program, finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    metrics = metrics_of(run)
    metrics["val"]["log_loss"] += 1e-9
    (run / "metrics.json").write_text(json.dumps(metrics))
    provenance = provenance_of(run)
    provenance["packages"]["timm"] = "0.1"
    (run / "provenance.json").write_text(json.dumps(provenance))
    done = program("-m", "fer.replay", str(run))
    assert done.returncode == 1
    assert "Environment differs: timm: 0.1 then, " in done.stdout
    assert "Differs: val.log_loss: " in done.stdout
    assert "Not identical: 1 of the run's figures differ" in done.stdout


def test_a_saved_run_takes_overrides_but_no_other_group(train: Program, finished: Path, workplace: Path) -> None:
    saved = ("--config-dir", str(finished), "--config-name", "run")
    directory = workplace / "again"
    done = train(*saved, "trainer.max_epochs=1", f"hydra.run.dir={directory}")
    assert done.returncode == 0, done.stderr
    first, second = (yaml.safe_load((run / "run.yaml").read_text()) for run in (finished, directory))
    assert second.pop("trainer") == {**first.pop("trainer"), "max_epochs": 1}
    assert first == second
    done = train(*saved, "dataset=rafdb")
    assert done.returncode == 2
    assert "dataset: this configuration holds values, not a choice of dataset option" in done.stderr


def test_a_saved_yaml_cannot_run_code(train: Program, finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    text = (finished / "run.yaml").read_text()
    (run / "run.yaml").write_text(
        text + f"hydra:\n  launcher:\n    _target_: os.mkdir\n    path: {tmp_path / 'made'}\n"
    )
    done = train("--config-dir", str(run), "--config-name", "run")
    assert done.returncode == 2
    assert f"{run / 'run.yaml'}: holds `_target_`, which could run code" in done.stderr
    assert not (tmp_path / "made").exists()


def test_changed_data_are_refused_unless_asked_for(
    program: Program, train: Program, face_folder: Path, tmp_path: Path
) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    shutil.copytree(face_folder, data)
    source = ("dataset=folder", f"dataset.sources.folder.root={data}")
    done = train(*source, *FAST_ANY_DATA, "trainer.max_epochs=1", f"hydra.run.dir={run}")
    assert done.returncode == 0, done.stderr
    picture = next(data.rglob("*.png"))
    picture.write_bytes(png(face(4242)))
    done = program("-m", "fer.replay", str(run))
    assert done.returncode == 1
    assert "Data differ: data fingerprint: " in done.stdout
    assert "restore them, or add --allow-changed-data" in done.stderr
    done = program("-m", "fer.replay", str(run), "--allow-changed-data")
    assert "Replaying" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("missing", "code"), [("run.yaml", 2), ("metrics.json", 1)])
def test_replaying_what_is_no_run_is_one_sentence(
    program: Program, finished: Path, tmp_path: Path, missing: str, code: int
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / missing).unlink()
    done = program("-m", "fer.replay", str(run))
    assert done.returncode == code
    assert f"{run / missing}: cannot be read" in done.stderr
    assert "Traceback" not in done.stderr


def test_killed_and_resumed_equals_unbroken(train: Program, workplace: Path, stopped: Stopped) -> None:
    options = (
        *FAST,
        "trainer.max_epochs=10",
        "dataset.batch_size=8",
        "model.drop_rate=0.3",
        "trainer.early_stopping.patience=null",
    )
    unbroken, killed, resumed = (workplace / name for name in ("unbroken", "killed", "resumed"))
    done = train(*options, f"hydra.run.dir={unbroken}")
    assert done.returncode == 0, done.stderr
    process = start(TRAIN, *options, f"hydra.run.dir={killed}", cwd=workplace)
    stopped(process)
    wait_for(lambda: rows_of(killed) >= 2 and (killed / "checkpoints" / "last.ckpt").exists(), process)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert 2 <= rows_of(killed) < 10
    assert not (killed / "metrics.json").exists()
    done = train(*options, f"trainer.resume_from={killed}", f"hydra.run.dir={resumed}")
    assert done.returncode == 0, done.stderr
    assert metrics_of(resumed) == metrics_of(unbroken)
    drop = ("seconds", "images_per_second")
    histories = [pd.read_csv(run / "history.csv").drop(columns=list(drop)) for run in (resumed, unbroken)]
    pd.testing.assert_frame_equal(*histories, check_exact=True)


@pytest.mark.usefixtures("with_report")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_usable_and_marked(workplace: Path, stopped: Stopped, number: signal.Signals) -> None:
    directory = workplace / f"interrupted-{number.name}"
    process = start(TRAIN, *FAST, "trainer.max_epochs=500", f"hydra.run.dir={directory}", cwd=workplace)
    stopped(process)
    # An epoch's row is written before its weights.
    wait_for(lambda: (directory / "checkpoints" / "last.ckpt").is_file(), process)
    os.kill(process.pid, number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert provenance_of(directory)["status"] == "interrupted"
    metrics = metrics_of(directory)
    assert 1 <= metrics["epochs"] < 500
    assert metrics["test"]["samples"] > 0
    again = f"To go on: python train.py resume={directory}"
    assert f"of 500 epochs; what follows is of the best until then. {again}" in output
    # The page is passed on: it shows the run's place from where the program was started.
    assert f"python train.py resume={directory.name}" in (directory / "report.html").read_text()
    assert Predictor.load(str(directory)).predict([face(1)]).shape == (1, 7)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"no checkpoint", "cannot be read as a checkpoint"), (None, "has no checkpoints/last.ckpt")],
)
def test_resuming_from_nothing_is_one_sentence(
    train: Program, tmp_path: Path, content: bytes | None, message: str
) -> None:
    place = tmp_path
    if content is not None:
        place = tmp_path / "last.ckpt"
        place.write_bytes(content)
    done = train(*FAST, f"trainer.resume_from={place}", f"hydra.run.dir={tmp_path / 'run'}")
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert provenance_of(tmp_path / "run")["status"] == "failed"


def test_resuming_another_network_is_refused(train: Program, finished: Path, tmp_path: Path) -> None:
    done = train(
        *FAST, "model.name=mobilenetv2_100", f"trainer.resume_from={finished}", f"hydra.run.dir={tmp_path / 'run'}"
    )
    assert done.returncode == 1
    assert "is of another network" in done.stderr
