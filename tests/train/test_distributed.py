"""Which of several failures is told, and how."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from fer.config.compose import load_overrides
from fer.errors import UserError
from fer.train.distributed import apply_launcher, describe_failure, find_first_failure, needs_launch


def failure(folder: Path, rank: int, exit_code: int, message: str | None = None, moment: float = 0) -> ProcessFailure:
    """A process's failure as PyTorch's launcher has it, with an error file where there is a message."""
    path = folder / f"error-{rank}.json"
    if message is not None:
        info = {"py_callstack": "the traceback", "timestamp": str(int(moment))}
        path.write_text(json.dumps({"message": {"message": message, "extraInfo": info}}))
        os.utime(path, (moment, moment))
    return ProcessFailure(rank, 100 + rank, exit_code, str(path))


def test_a_process_that_was_killed_is_the_cause(tmp_path: Path) -> None:
    """It makes the others fail, which may say so before the launcher sees its end."""
    others = [
        failure(tmp_path, 0, 1, "RuntimeError: connection closed", time.time()),
        failure(tmp_path, 2, -signal.SIGTERM),
    ]
    first = find_first_failure([*others, failure(tmp_path, 1, -signal.SIGKILL)])
    assert describe_failure(first, tmp_path) == (
        "process 1 of the training was ended by SIGKILL; the machine may be out of memory"
    )


def test_a_process_that_the_launcher_killed_after_an_error_is_not_the_cause(tmp_path: Path) -> None:
    error = failure(tmp_path, 0, 1, "UserError: outputs/run already holds a run", time.time() - 30)
    first = find_first_failure([error, failure(tmp_path, 1, -signal.SIGKILL)])
    assert describe_failure(first, tmp_path) == "outputs/run already holds a run"


def test_of_several_errors_the_first_one_is_told(tmp_path: Path) -> None:
    late = failure(tmp_path, 0, 1, "RuntimeError: the others are gone", 20)
    early = failure(tmp_path, 1, 1, "ModelError: model.name=x: is of another network", 10)
    assert describe_failure(find_first_failure([late, early]), tmp_path) == "model.name=x: is of another network"
    assert not (tmp_path / "failure.txt").exists()


def test_an_unexpected_error_leaves_its_traceback(tmp_path: Path) -> None:
    told = describe_failure(failure(tmp_path, 3, 1, "RuntimeError: shapes differ\nat length"), tmp_path)
    assert told == f"process 3: RuntimeError: shapes differ; more in {tmp_path / 'failure.txt'}"
    assert (tmp_path / "failure.txt").read_text() == "the traceback"


def test_a_process_that_says_nothing_is_told_by_its_exit_code(tmp_path: Path) -> None:
    assert describe_failure(failure(tmp_path, 1, 7), tmp_path) == "process 1 of the training ended with exit code 7"


def test_torchrun_says_how_many_processes_train(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_overrides(["trainer=ddp", "trainer.accelerator=cpu"])
    assert needs_launch(config)
    started = {"TORCHELASTIC_RUN_ID": "1", "RANK": "0", "WORLD_SIZE": "16", "LOCAL_WORLD_SIZE": "8"}
    for name, value in started.items():
        monkeypatch.setenv(name, value)
    trainer = apply_launcher(config).trainer
    assert (trainer.devices, trainer.num_nodes, trainer.world_size) == (8, 2, 16)
    assert not needs_launch(config)


def test_a_batch_script_of_several_tasks_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what srun starts is one of several."""
    config = load_overrides([])
    monkeypatch.setenv("SLURM_NTASKS", "4")
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert apply_launcher(config) == config
    monkeypatch.setenv("SLURM_STEP_ID", "0")
    with pytest.raises(UserError, match="--ntasks-per-node"):
        apply_launcher(config)
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "2")
    trainer = apply_launcher(config).trainer
    assert (trainer.devices, trainer.num_nodes) == (2, 2)
