"""Sharing a machine among jobs, the order of jobs, and the command line of a resumed sweep."""

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from fer.config.compose import CONF, load_overrides
from fer.core.gpu import Gpu
from fer.core.system import resolve_thread_count
from fer.errors import UserError
from fer.runs.run_directory import Run
from fer.sweep import resources
from fer.sweep.callback import resolve_resume_arguments
from fer.sweep.grid_sweeper import compute_job_signature
from fer.sweep.job import format_progress, limit_threads
from fer.sweep.records import Sweep, SweepJob, rank_jobs, read_job, read_jobs, read_sweep, write_job, write_sweep
from fer.sweep.resources import acquire_gpu, compute_threads_per_job
from tests.helpers.paths import PROJECT


def job(number: int, value: float | None, status: str = "finished") -> SweepJob:
    return SweepJob(number, [f"seed={number}"], status, "val_loss", value, "", 60.0)  # type: ignore[arg-type]


def sweep(directory: Path, at_once: int = 1) -> Sweep:
    arguments = ["-m", "seed=0,1,2", "hydra.sweeper.n_trials=3"]
    return Sweep(arguments, str(directory), "val_loss", "minimize", 6, at_once, 1)


def test_threads_are_divided_and_chosen_ones_kept() -> None:
    cores = resolve_thread_count(None)
    config = load_overrides([])
    assert limit_threads(config, 1).trainer.threads is None
    assert limit_threads(config, cores).trainer.threads == 1
    assert compute_threads_per_job(10 * cores) == 1
    assert limit_threads(load_overrides(["trainer.threads=5"]), cores).trainer.threads == 5


def test_each_job_at_a_time_gets_a_gpu_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    with ExitStack() as jobs:
        given = [jobs.enter_context(acquire_gpu(tmp_path, 4))["CUDA_VISIBLE_DEVICES"] for _ in range(2)]
        assert given == ["3", "5"]
        with acquire_gpu(tmp_path, 4) as third:
            assert third == {"CUDA_VISIBLE_DEVICES": "3"}
        with acquire_gpu(tmp_path, 4) as fourth:
            assert fourth == {"CUDA_VISIBLE_DEVICES": "3"}
    with acquire_gpu(tmp_path, 4) as alone:
        assert alone == {"CUDA_VISIBLE_DEVICES": "3"}
    with acquire_gpu(tmp_path, 1) as serial:
        assert serial == {}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with acquire_gpu(tmp_path, 4) as only:
        assert only == {}
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(resources, "list_gpus", lambda: [Gpu(index, f"GPU-{index}", 0, 0) for index in range(2)])
    with acquire_gpu(tmp_path, 4) as first, acquire_gpu(tmp_path, 4) as second:
        assert [first, second] == [{"CUDA_VISIBLE_DEVICES": "GPU-0"}, {"CUDA_VISIBLE_DEVICES": "GPU-1"}]


def test_jobs_are_ranked_by_the_metric_and_read_again(tmp_path: Path) -> None:
    jobs = [job(0, 0.5), job(1, 0.2), job(2, None, "failed"), job(3, None, "killed"), job(10, 0.3)]
    for one in jobs:
        write_job(tmp_path / str(one.number), one)
    write_job(tmp_path / "kept-aside", job(7, 0.0))
    assert read_jobs(tmp_path) == jobs
    assert [one.number for one in rank_jobs(jobs, "minimize")] == [1, 10, 0]
    assert [one.number for one in rank_jobs(jobs, "maximize")] == [0, 10, 1]
    assert [one.is_done for one in jobs] == [True, True, False, False, True]
    assert read_job(tmp_path / "nowhere") is None
    # Two at a time, a minute each: two of six are left, the killed one included.
    assert format_progress(tmp_path, sweep(tmp_path, 2)) == "4 of 6 jobs done, about 1 min left"


def test_jobs_that_differ_in_values_alone_are_composed_once_to_be_checked() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        options = GlobalHydra.instance().config_loader().get_group_options
        shapes = {compute_job_signature([f"optimizer.lr={lr}", "model=resnet50"], options) for lr in (1, 2)}
        assert shapes == {("optimizer.lr", "model=resnet50")}
        job = ["+dataset.limit=3", "hydra/launcher=joblib"]
        assert compute_job_signature(job, options) == ("+dataset.limit", "hydra/launcher=joblib")


def test_a_sweep_is_led_on_by_its_own_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "typed-here").mkdir()
    write_sweep(tmp_path / "swept", sweep(tmp_path / "typed-here"))
    assert read_sweep(tmp_path / "swept") == sweep(tmp_path / "typed-here")
    assert resolve_resume_arguments(["seed=1"]) == ["seed=1"]
    led = resolve_resume_arguments(["-m", "sweep.resume=swept", "hydra.sweeper.n_trials=9", "hydra/launcher=joblib"])
    assert led[:2] == ["-m", "seed=0,1,2"]
    assert led[2:] == ["hydra.sweeper.n_trials=9", "hydra/launcher=joblib", f'hydra.sweep.dir="{tmp_path}/swept"']
    assert Path.cwd() == tmp_path / "typed-here"


def test_two_processes_cannot_work_on_one_run(tmp_path: Path) -> None:
    run = Run(tmp_path / "run", load_overrides([]))
    with pytest.raises(UserError, match="another process is at work on this run"):
        Run.create_or_resume(tmp_path / "run", load_overrides([]), "train.py")
    run.finish("interrupted")
    again = Run.create_or_resume(tmp_path / "run", load_overrides([]), "train.py")
    assert again.provenance["status"] == "running"
    again.finish("finished")


def test_a_process_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    heart = (
        "import time; from fer.core.process import exit_with_parent; exit_with_parent(); "
        "open('alive', 'w').close(); time.sleep(60)"
    )
    tied = (
        "import os, subprocess, sys; from fer.core.process import with_parent_pid; "
        f"child = subprocess.Popen([sys.executable, '-c', {heart!r}], env=with_parent_pid(os.environ)); "
        "print(child.pid, flush=True); child.wait()"
    )
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    starter = subprocess.Popen(
        [sys.executable, "-c", tied], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    child = int(starter.stdout.readline())
    end = time.monotonic() + 60
    while not (tmp_path / "alive").exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert (tmp_path / "alive").exists()
    starter.kill()
    starter.wait()
    starter.stdout.close()
    while Path(f"/proc/{child}/cmdline").exists() and Path(f"/proc/{child}/cmdline").read_bytes():
        assert time.monotonic() < end, "it goes on"
        time.sleep(0.05)
