"""Several processes for one training: the figures of one process, and an end for all when one ends."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest
from fer.train.distributed.launch import Failure, cause, output_path
from safetensors.torch import load_file

from tests.helpers.paths import PROJECT
from tests.helpers.programs import FAST, Program, environment, metrics_of, provenance_of, start, wait_for

TRAIN = str(PROJECT / "train.py")
# All that depends on the whole batch: mixing, dropout, smoothing, batch norm and its moving average, slices that are
# uneven, and a last validation batch with one image. Double precision leaves no room for rounding as an excuse.
OPTIONS = (
    *FAST,
    "trainer.precision=64",
    "trainer.max_epochs=3",
    "trainer.early_stopping.patience=null",
    "dataset.batch_size=27",
    "dataset.augment.mixup=0.2",
    "dataset.augment.cutmix=1",
    "dataset.augment.erase=0.25",
    "model.drop_rate=0.2",
    "optimizer.lr=2e-4",
)
TWO = ("trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu")
TOLERANCE = 1e-7
Stopped = Callable[["subprocess.Popen[str]"], None]


@pytest.fixture(scope="module")
def one(train: Program, workplace: Path) -> Path:
    """The training by one process."""
    directory = workplace / "ddp-one"
    done = train(*OPTIONS, f"hydra.run.dir={directory}")
    assert done.returncode == 0, done.stderr
    return directory


@pytest.fixture(scope="module")
def two(train: Program, workplace: Path) -> Path:
    """The same by two."""
    directory = workplace / "ddp-two"
    done = train(*OPTIONS, *TWO, f"hydra.run.dir={directory}")
    assert done.returncode == 0, done.stderr
    assert "Epoch 3/3: train_loss" in done.stdout and done.stdout.count("Epoch 3/3") == 1
    return directory


@pytest.fixture
def running(workplace: Path, tmp_path: Path, stopped: Stopped) -> tuple["subprocess.Popen[str]", Path]:
    """Two processes that have finished an epoch of three."""
    directory = tmp_path / "run"
    process = start(TRAIN, *OPTIONS, *TWO, f"hydra.run.dir={directory}", cwd=workplace)
    stopped(process)
    wait_for(lambda: (directory / "checkpoints" / "last.ckpt").exists(), process)
    return process, directory


def history_of(run: Path) -> pd.DataFrame:
    return pd.read_csv(run / "history.csv").drop(columns=["seconds", "images_per_second"])


def ranks_of(process: "subprocess.Popen[str]") -> dict[str, psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)
    return {child.environ()["RANK"]: child for child in children if "fer.train.distributed.rank" in child.cmdline()}


def test_two_processes_have_the_learning_curve_of_one(one: Path, two: Path) -> None:
    apart = (history_of(one) - history_of(two)).abs()
    assert len(apart) == 3
    assert apart.to_numpy().max() < TOLERANCE, apart.max()


def test_what_two_processes_leave_is_what_one_leaves(one: Path, two: Path) -> None:
    listings = [sorted(str(file.relative_to(run)) for file in run.rglob("*")) for run in (one, two)]
    assert listings[0] == listings[1]
    weights = [load_file(run / "bundle" / "weights.safetensors") for run in (one, two)]
    assert list(weights[0]) == list(weights[1])
    assert max(float((weights[0][key].double() - weights[1][key]).abs().max()) for key in weights[0]) < 1e-5
    figures = [metrics_of(run)["val"] for run in (one, two)]
    assert figures[0]["samples"] == figures[1]["samples"] == 28
    predictions = [pd.read_parquet(run / "predictions_test.parquet") for run in (one, two)]
    pd.testing.assert_frame_equal(*predictions, rtol=0, atol=1e-5)
    assert provenance_of(two)["threads"] == 1
    # The curve's last figures are those of the whole part, judged anew.
    best = metrics_of(two)["best_epoch"]
    row = history_of(two).set_index("epoch").loc[best]
    assert row["val_accuracy"] == pytest.approx(figures[1]["accuracy"]["value"])
    assert row["val_macro_f1"] == pytest.approx(figures[1]["macro_f1"]["value"])


def test_a_run_of_two_processes_replays_identically(program: Program, two: Path) -> None:
    done = program("-m", "fer.replay", str(two))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("Identical: all ")


def test_a_killed_process_ends_the_run_which_then_goes_on(
    running: tuple["subprocess.Popen[str]", Path], train: Program, two: Path
) -> None:
    process, directory = running
    ranks = ranks_of(process)
    assert sorted(ranks) == ["0", "1"]
    ranks["1"].kill()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert output.splitlines()[-1].startswith("train.py: process 1 of the training was ended by SIGKILL")
    assert "Traceback" not in output
    assert provenance_of(directory)["status"] == "failed"
    assert not psutil.pid_exists(ranks["0"].pid)
    done = train(f"resume={directory}")
    assert done.returncode == 0, done.stderr
    assert metrics_of(directory) == metrics_of(two)
    pd.testing.assert_frame_equal(history_of(directory), history_of(two), check_exact=True)


def test_an_interrupted_run_of_two_processes_is_usable(running: tuple["subprocess.Popen[str]", Path]) -> None:
    process, directory = running
    ranks = ranks_of(process)
    os.kill(process.pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert provenance_of(directory)["status"] == "interrupted"
    assert 1 <= metrics_of(directory)["epochs"] < 3
    assert (directory / "report.html").exists()
    assert not any(psutil.pid_exists(rank.pid) for rank in ranks.values())


def machines(workplace: Path, tmp_path: Path, stopped: Stopped) -> list["subprocess.Popen[str]"]:
    """Two machines with a process each, whose run directories are tmp_path/0 and tmp_path/1."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    begun = []
    for number in range(2):
        surroundings = {**environment(), "NODE_RANK": str(number), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        command = [TRAIN, *OPTIONS, "trainer.num_nodes=2", f"hydra.run.dir={tmp_path / str(number)}"]
        begun.append(start(*command, cwd=workplace, surroundings=surroundings))
        stopped(begun[-1])
    return begun


def test_two_machines_are_as_two_processes(workplace: Path, tmp_path: Path, two: Path, stopped: Stopped) -> None:
    for machine in machines(workplace, tmp_path, stopped):
        output, _ = machine.communicate(timeout=200)
        assert machine.returncode == 0, output
    assert metrics_of(tmp_path / "0") == metrics_of(two)
    assert {provenance_of(tmp_path / str(number))["node_rank"] for number in range(2)} == {0, 1}
    left = {file.name for file in (tmp_path / "1").iterdir()}
    assert left == {"exclusions.parquet", "manifest.parquet", "provenance.json", "run.yaml", "train.log"}


def test_a_machine_whose_process_dies_ends_the_other(workplace: Path, tmp_path: Path, stopped: Stopped) -> None:
    first, second = machines(workplace, tmp_path, stopped)
    wait_for(lambda: (tmp_path / "0" / "checkpoints" / "last.ckpt").exists(), first)
    ranks_of(second)["1"].kill()
    reason = "process 1 of the training was ended by SIGKILL; the machine may be out of memory"
    for machine, sentence in ((first, f"another machine ended the training: machine 1: {reason}"), (second, reason)):
        output, _ = machine.communicate(timeout=60)
        assert machine.returncode == 1 and "Traceback" not in output
        assert output.splitlines()[-1].startswith(f"train.py: {sentence}")
    assert {provenance_of(tmp_path / str(number))["status"] for number in range(2)} == {"failed"}


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (
            ["trainer.num_nodes=2"],
            1,
            "trainer.num_nodes=2 needs NODE_RANK, MASTER_ADDR, MASTER_PORT in the environment",
        ),
        ([*TWO, "trainer.compile=true"], 2, "with several devices use trainer.compile=false"),
        ([*TWO, "trainer.accelerator=gpu"], 1, "trainer.accelerator=gpu: this machine has none"),
    ],
)
def test_what_cannot_train_together_is_one_sentence(
    train: Program, tmp_path: Path, options: list[str], code: int, message: str
) -> None:
    done = train(*FAST, *options, f"hydra.run.dir={tmp_path / 'run'}")
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_mistake_that_only_the_processes_see_is_one_sentence(train: Program, two: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = train(*FAST, *TWO, "model=mobilenetv2_100", f"trainer.resume_from={two}", f"hydra.run.dir={run}")
    assert done.returncode == 1
    assert done.stderr.count("is of another network") == 1 and "Traceback" not in done.stderr
    assert provenance_of(run)["status"] == "failed"


def test_of_several_failures_the_first_one_is_told(tmp_path: Path) -> None:
    """A process that fails makes the others fail, too."""
    Failure("the others are gone", "details", 2.0).save(tmp_path, 0)
    Failure("model.name=x: is of another network", "", 1.0).save(tmp_path, 1)
    output_path(tmp_path, 2).write_text("its last words")
    assert cause(tmp_path, {0: 1, 1: 1}).reason == "model.name=x: is of another network"
    killed = cause(tmp_path, {0: 1, 1: 0, 2: -9})
    assert killed.reason.startswith("process 2 of the training was ended by SIGKILL")
    assert killed.details == "its last words"
