"""train.py -m as a process: jobs side by side, failures, resuming, Optuna, and a run that goes on in its own place."""

import csv
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
import torch

from fer.sweep.records import SweepJob, read_jobs
from tests.helpers.paths import PROJECT
from tests.helpers.programs import FAST, Done, Program, metrics_of, provenance_of, start

pytestmark = pytest.mark.usefixtures("without_report")

Stop = Callable[["subprocess.Popen[str]"], None]
TRAIN = str(PROJECT / "train.py")
SHORT = (*FAST, "trainer.max_epochs=1", "trainer.limit_batches=2")
LONGEST_S = 240


def until(true: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + LONGEST_S
    while not true():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.05)


def jobs_of(directory: Path) -> dict[int, SweepJob]:
    return {job.number: job for job in read_jobs(directory)}


@pytest.fixture(scope="module")
def swept(train: Program, workplace: Path) -> tuple[Path, Done]:
    """Three jobs, two at a time; one has a network that cannot be built for such small images."""
    directory = workplace / "swept"
    side_by_side = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "dataset.cache_dir=fresh-cache")
    names = "model.name=test_byobnet,inception_v3,test_resnet"
    return directory, train("-m", *SHORT, *side_by_side, names, f"hydra.sweep.dir={directory}")


def test_a_failed_job_is_recorded_and_the_others_go_on(swept: tuple[Path, Done]) -> None:
    directory, done = swept
    jobs = jobs_of(directory)
    assert {number: job.status for number, job in jobs.items()} == {0: "finished", 1: "failed", 2: "finished"}
    assert jobs[1].reason.startswith("model.name=inception_v3: cannot be built for 48 pixels")
    assert "model.name=test_resnet" in jobs[2].overrides
    for number in (0, 2):
        rows = list(csv.DictReader((directory / str(number) / "history.csv").open()))
        assert (jobs[number].metric, jobs[number].value) == ("val_accuracy", float(rows[-1]["val_accuracy"]))
        assert provenance_of(directory / str(number))["status"] == "finished"
        assert (directory / str(number) / "bundle" / "weights.safetensors").is_file()
    assert done.returncode == 3
    assert "Traceback" not in done.stdout + done.stderr
    assert "1 of 3 jobs failed; to try them again: python train.py sweep.resume=" in done.stderr
    highest = max(jobs[number].value or 0 for number in (0, 2))
    assert any(f"Best: #{n} model.name=" in done.stdout for n in (0, 2) if jobs[n].value == highest)
    assert metrics_of(directory / "0")["weights_sha256"] != metrics_of(directory / "2")["weights_sha256"]
    rows = list(csv.DictReader((directory / "sweep.csv").open()))
    assert [row["status"] for row in rows] == ["finished", "failed", "finished"]
    assert rows[1]["reason"] == jobs[1].reason


def test_the_data_are_prepared_once(swept: tuple[Path, Done]) -> None:
    assert swept[1].stdout.count("Decoding 140 images once") == 1


def test_a_resumed_sweep_runs_only_what_is_missing(swept: tuple[Path, Done], train: Program) -> None:
    directory, _ = swept
    before = {number: (directory / str(number) / "provenance.json").stat().st_mtime_ns for number in (0, 2)}
    again = train(f"sweep.resume={directory}")
    assert again.returncode == 3, again.stderr
    assert again.stdout.count("was done before: finished: val_accuracy") == 2
    assert before == {number: (directory / str(number) / "provenance.json").stat().st_mtime_ns for number in (0, 2)}
    assert {path.name for path in directory.iterdir() if path.is_dir()} == {"0", "1", "2"}


def test_a_job_replays_alone(swept: tuple[Path, Done], program: Program) -> None:
    done = program("-m", "fer.replay", str(swept[0] / "2"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Identical: all" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("sweep.resume={swept}", "seed=3"), 2, "seed=3: a resumed sweep keeps its jobs"),
        (("sweep.resume={nowhere}",), 1, "holds no readable sweep.yaml; name the directory of a sweep"),
        (("resume={swept}/0", "seed=3"), 2, "seed=3: a resumed run keeps its configuration"),
        (("-m", "hydra/sweeper=optuna", "seed=1"), 2, "nothing to search; give a range"),
        (("-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=0"), 2, "hydra.sweeper.n_trials=0: "),
        (("-m", "hydra/sweeper=optuna", "optimizer.lr=interval(2,1)"), 2, "the first number must be below the second"),
        (("-m", "hydra/sweeper=optuna", "hydra.sweeper.storage='mysql://a:b@c/d'"), 2, "must not hold a password"),
        (("-m", "tracker=mlflow", "tracker.mlflow.uri=http://a:b@c", "seed=0,1"), 2, "must not hold a password"),
        (("-m", "optimizer.lr=interval(1,2)"), 2, "does not support sweep type"),
        # Before the first job begins.
        (("-m", "optimizer.lr=1e-3,fast"), 2, "optimizer.lr=fast: must be a number"),
        (("-m", "optimizer.schedule.kind=one_cycle,StepLR"), 2, "StepLR: needs step_size (int); set "),
        (("-m", "optimizer.name=adamw,sgd", "optimizer.options.betas=[0.9,0.99]"), 2, "it takes no betas"),
        (("-m", "seed=range(0)"), 2, "the sweep has no job"),
        (("-m", "seed=0,1", "model=mobilenetv2_050,nosuch"), 2, "model=nosuch: there is no such option"),
    ],
)
def test_what_cannot_be_swept_is_a_sentence(
    arguments: tuple[str, ...], code: int, words: str, swept: tuple[Path, Done], train: Program, tmp_path: Path
) -> None:
    places = {"swept": swept[0], "nowhere": tmp_path}
    done = train(*(text.format(**places) for text in arguments), *(("hydra.sweep.dir=refused",) * (code == 2)))
    assert done.returncode == code, done.stdout + done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_a_killed_optuna_sweep_goes_on_in_the_same_study(workplace: Path, train: Program, stopped: Stop) -> None:
    directory = workplace / "searched"
    search = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "hydra.sweeper.startup_trials=1")
    space = ("optimizer.lr=tag(log,interval(1e-4,1e-2))", "optimizer.weight_decay=choice(0,0.1)")
    leader = start(TRAIN, "-m", *SHORT, *search, *space, f"hydra.sweep.dir={directory}", cwd=workplace)
    stopped(leader)
    until(lambda: (directory / "1" / "provenance.json").is_file(), leader)
    [first] = read_jobs(directory)
    child = int(json.loads((directory / "1" / "provenance.json").read_text() or '{"process": 0}').get("process", 0))
    leader.kill()
    leader.wait()
    end = time.monotonic() + 20
    while child and Path(f"/proc/{child}").exists() and time.monotonic() < end:
        time.sleep(0.1)
    assert not child or not Path(f"/proc/{child}").exists(), "a job has outlived its sweep"
    done = train(f"sweep.resume={directory}")
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = jobs_of(directory)
    assert set(jobs) == {0, 1, 2} and jobs[0] == first
    study = optuna.load_study(study_name="sweep", storage=f"sqlite:///{directory}/study.db")
    assert {trial.number: trial.value for trial in study.trials} == {n: job.value for n, job in jobs.items()}
    for trial in study.trials:
        assert f"optimizer.lr={trial.params['optimizer.lr']}" in jobs[trial.number].overrides
        assert trial.intermediate_values == {1: trial.value}
    assert f"Best: #{study.best_trial.number} " in done.stdout


def test_submitit_runs_jobs_in_processes_of_its_own(train: Program, workplace: Path) -> None:
    directory = workplace / "submitted"
    done = train("-m", *SHORT, "seed=0,1", "hydra/launcher=submitit_local", f"hydra.sweep.dir={directory}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {job.status for job in read_jobs(directory)} == {"finished"}


def test_a_killed_run_goes_on_in_its_own_directory(
    workplace: Path, finished: Path, train: Program, stopped: Stop
) -> None:
    directory = workplace / "killed-and-resumed"
    process = start(TRAIN, *FAST, "trainer.max_epochs=2", f"hydra.run.dir={directory}", cwd=workplace)
    stopped(process)
    until(lambda: (directory / "checkpoints" / "last.ckpt").is_file(), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert provenance_of(directory)["status"] == "running"
    asked = (directory / "run.yaml").read_bytes()
    done = train(f"resume={directory}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Epoch 1/2" not in done.stdout
    assert metrics_of(directory) == metrics_of(finished)
    assert (directory / "run.yaml").read_bytes() == asked
    assert provenance_of(directory)["status"] == "finished"
    assert len(provenance_of(directory)["resumed"]) == 1
    assert "Epoch 2/2" in (directory / "train.log").read_text()
    again = train(f"resume={directory}")
    assert (again.returncode, "the run is finished" in again.stdout) == (0, True)


def test_a_run_that_was_killed_after_its_early_stop_trains_no_further(train: Program, workplace: Path) -> None:
    directory = workplace / "stopped-early"
    few = (*FAST, "trainer.limit_batches=2", "optimizer.lr=1e-6", "trainer.early_stopping.patience=1")
    done = train(*few, "trainer.max_epochs=9", f"hydra.run.dir={directory}")
    assert done.returncode == 0, done.stderr
    wanted = metrics_of(directory)
    assert wanted["best_epoch"] < wanted["epochs"] < 9
    assert "Early stopping: val_accuracy was no better in the last 1 validations" in done.stdout
    last = torch.load(directory / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["epoch"] + 1 == wanted["epochs"]
    # As if it had been killed while it was judged.
    provenance = provenance_of(directory)
    (directory / "provenance.json").write_text(json.dumps({**provenance, "status": "running"}))
    (directory / "metrics.json").unlink()
    done = train(f"resume={directory}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Early stopping had ended the training at this checkpoint" in done.stdout
    assert metrics_of(directory) == wanted
