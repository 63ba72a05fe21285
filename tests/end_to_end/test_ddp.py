"""Several processes for one training: the curve of one process, one who writes, and an end for all when one ends."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest
from safetensors.torch import load_file

from tests.helpers.paths import PROJECT
from tests.helpers.programs import (
    FAST,
    Program,
    environment,
    metrics_of,
    provenance_of,
    start,
    wait_for,
)

pytestmark = pytest.mark.usefixtures("without_report")

TRAIN = str(PROJECT / "train.py")
# All that depends on the whole batch but batch norm and dropout, which each process has for its own part: mixing,
# smoothing, the moving average, slices that are uneven, and a last validation batch with one image. Double precision
# leaves no room for rounding as an excuse.
OPTIONS = (
    *FAST,
    "model.name=test_convnext",
    "model.image_size=32",
    "model.drop_rate=0",
    "trainer.precision=64",
    "trainer.max_epochs=3",
    "trainer.validations=2",
    "trainer.early_stopping.patience=null",
    "dataset.batch_size=13",
    "dataset.augment.mixup=0.2",
    "dataset.augment.cutmix=1",
    "dataset.augment.erase=0.25",
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
    """The processes that train, by their rank; the forkserver names them so."""
    children = psutil.Process(process.pid).children(recursive=True)
    return {child.name().removeprefix("rank-"): child for child in children if child.name().startswith("rank-")}


def has_ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_two_processes_have_the_learning_curve_of_one(one: Path, two: Path) -> None:
    apart = (history_of(one) - history_of(two)).abs()
    assert len(apart) == 6
    assert apart.to_numpy().max() < TOLERANCE, apart.max()


def test_what_two_processes_leave_is_what_one_leaves(one: Path, two: Path) -> None:
    listings = [sorted(str(file.relative_to(run)) for file in run.rglob("*")) for run in (one, two)]
    assert listings[0] == listings[1]
    weights = [load_file(run / "bundle" / "weights.safetensors") for run in (one, two)]
    assert list(weights[0]) == list(weights[1])
    assert max(float((weights[0][key].double() - weights[1][key]).abs().max()) for key in weights[0]) < 1e-5
    figures = [metrics_of(run)["val"] for run in (one, two)]
    assert figures[0]["samples"] == figures[1]["samples"] == 14
    predictions = [pd.read_parquet(run / "predictions_test.parquet") for run in (one, two)]
    pd.testing.assert_frame_equal(*predictions, rtol=0, atol=1e-5)
    assert provenance_of(two)["threads"] == 1
    assert provenance_of(two)["command"] == ["train.py", *OPTIONS, *TWO, f"hydra.run.dir={two}"]


def test_batch_norm_is_that_of_one_network_when_it_is_validated(train: Program, tmp_path: Path) -> None:
    """Each process normalises its own part of a batch; the curve's figures are those of the network that is kept."""
    run = tmp_path / "run"
    done = train(*FAST, *TWO, "trainer.max_epochs=2", "trainer.precision=64", f"hydra.run.dir={run}")
    assert done.returncode == 0, done.stderr
    row = history_of(run).set_index("epoch").loc[metrics_of(run)["best_epoch"]]
    figures = metrics_of(run)["val"]
    assert row["val_accuracy"] == pytest.approx(figures["accuracy"]["value"])
    assert row["val_macro_f1"] == pytest.approx(figures["macro_f1"]["value"])


def test_a_second_start_leaves_the_run_as_it_is(train: Program, two: Path) -> None:
    before = (two / "provenance.json").read_bytes()
    done = train(*OPTIONS, *TWO, f"hydra.run.dir={two}")
    assert done.returncode == 1
    assert "already holds a run" in done.stderr and "Traceback" not in done.stderr
    assert (two / "provenance.json").read_bytes() == before


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
    assert has_ended(ranks["0"])
    done = train(f"resume={directory}")
    assert done.returncode == 0, done.stderr
    assert metrics_of(directory) == metrics_of(two)
    pd.testing.assert_frame_equal(history_of(directory), history_of(two), check_exact=True)


@pytest.mark.usefixtures("with_report")
def test_an_interrupted_run_of_two_processes_keeps_its_checkpoint(
    running: tuple["subprocess.Popen[str]", Path],
) -> None:
    process, directory = running
    ranks = ranks_of(process)
    os.kill(process.pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert provenance_of(directory)["status"] == "interrupted"
    assert (directory / "checkpoints" / "last.ckpt").is_file()
    assert 1 <= metrics_of(directory)["epochs"] < 3
    assert (directory / "report.html").exists()
    assert all(has_ended(rank) for rank in ranks.values())


def test_processes_end_with_the_one_that_has_started_them(running: tuple["subprocess.Popen[str]", Path]) -> None:
    process, _ = running
    ranks = ranks_of(process)
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(list(ranks.values()), timeout=30)
    assert all(has_ended(rank) for rank in alive)


def machines(tmp_path: Path, stopped: Stopped, *more: str) -> list["subprocess.Popen[str]"]:
    """Two machines with a process each, started by PyTorch's torchrun, each with a place and a cache of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    launcher = ("-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d")
    begun = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        command = [*launcher, f"--rdzv-endpoint=127.0.0.1:{port}", TRAIN, *OPTIONS, "trainer=ddp", "name=pair"]
        begun.append(start(*command, "trainer.accelerator=cpu", *more, cwd=tmp_path / name))
        stopped(begun[-1])
    return begun


def runs_below(tmp_path: Path) -> list[Path]:
    return sorted(tmp_path.glob("*/outputs/train/*/*"))


def test_two_machines_are_as_two_processes(tmp_path: Path, two: Path, stopped: Stopped) -> None:
    outputs = []
    for machine in machines(tmp_path, stopped):
        outputs.append(machine.communicate(timeout=200)[0])
        assert machine.returncode == 0, outputs
    (run,) = runs_below(tmp_path)
    assert metrics_of(run) == metrics_of(two)
    # Rank 0 alone speaks and writes.
    assert sorted(output.count("Epoch 3/3") for output in outputs) == [0, 1]
    saved = (run / "run.yaml").read_text()
    assert "devices: 1\n" in saved and "num_nodes: 2\n" in saved


def test_a_machine_whose_process_dies_ends_the_other(tmp_path: Path, stopped: Stopped, train: Program) -> None:
    begun = machines(tmp_path, stopped, "trainer.max_epochs=500")
    wait_for(lambda: any((run / "checkpoints" / "last.ckpt").exists() for run in runs_below(tmp_path)), begun[0])
    ranks = {rank: child for machine in begun for rank, child in ranks_of(machine).items()}
    ranks["1"].kill()
    outputs = [machine.communicate(timeout=100)[0] for machine in begun]
    assert all(machine.returncode for machine in begun), outputs
    (run,) = runs_below(tmp_path)
    assert provenance_of(run)["status"] in ("failed", "interrupted")
    assert (run / "checkpoints" / "last.ckpt").is_file()
    done = train(f"resume={run}")
    assert done.returncode == 1
    assert "trainer.num_nodes=2: start train.py by PyTorch's launcher on each machine: torchrun" in done.stderr


def test_tasks_of_srun_are_the_processes(tmp_path: Path, two: Path, stopped: Stopped) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    job = {"SLURM_JOB_ID": "4321", "SLURM_JOB_NAME": "train", "SLURM_STEP_ID": "0", "SLURM_NNODES": "1"}
    job |= {
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_NODEID": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    tasks = []
    for rank in ("0", "1"):
        surroundings = {**environment(), **job, "SLURM_PROCID": rank, "SLURM_LOCALID": rank}
        command = [TRAIN, *OPTIONS, "trainer=ddp", "trainer.accelerator=cpu"]
        tasks.append(start(*command, cwd=tmp_path, surroundings=surroundings))
        stopped(tasks[-1])
    for task in tasks:
        output, _ = task.communicate(timeout=200)
        assert task.returncode == 0, output
    (run,) = sorted(tmp_path.glob("outputs/train/*/*"))
    assert metrics_of(run) == metrics_of(two)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["trainer.num_nodes=2"], 1, "trainer.num_nodes=2: start train.py by PyTorch's launcher on each machine"),
        ([*TWO, "trainer.compile=true"], 2, "with several devices use trainer.compile=false"),
        ([*TWO, "trainer.accelerator=gpu"], 2, "trainer.accelerator=gpu: this machine has none"),
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
    done = train(*FAST, *TWO, "model.name=mobilenetv2_100", f"trainer.resume_from={two}", f"hydra.run.dir={run}")
    assert done.returncode == 1
    assert done.stderr.count("is of another network") == 1 and "Traceback" not in done.stderr
    # The other process may fail before rank 0 has opened the run.
    assert not (run / "provenance.json").exists() or provenance_of(run)["status"] == "failed"
