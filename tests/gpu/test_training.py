"""Training on a CUDA device: the shipped trainers, the CPU's figures, resuming. Skipped where there is no GPU."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from fer.config.compose import load_overrides
from fer.train.inputs import prepare_data
from fer.train.trainer import build_datamodule, build_splits, build_trainer
from tests.helpers.paths import PROJECT
from tests.helpers.programs import FAST, metrics_of, provenance_of, run, start, wait_for

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

TRAIN = str(PROJECT / "train.py")
# FAST without its trainer.
DRAWN = tuple(text for text in FAST if not text.startswith("trainer"))
# What single precision on another processor, with other kernels, may change in an epoch on 214 faces.
LOSS_TOLERANCE = 0.02


@pytest.fixture
def killed() -> "Callable[[subprocess.Popen[str]], None]":
    """End a program as a crash would."""

    def kill(process: "subprocess.Popen[str]") -> None:
        process.kill()
        process.wait()

    return kill


def history_of(directory: Path) -> pd.DataFrame:
    return pd.read_csv(directory / "history.csv").drop(columns=["seconds", "images_per_second"])


@pytest.mark.parametrize("trainer", ["gpu", "a100"])
def test_a_shipped_trainer_trains_an_epoch(trainer: str, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    done = run(TRAIN, *DRAWN, f"trainer={trainer}", "trainer.max_epochs=1", f"hydra.run.dir={directory}", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert provenance_of(directory)["device"] == torch.cuda.get_device_name()
    assert metrics_of(directory)["epochs"] == 1
    assert history_of(directory)["train_loss"].between(0, 10).all()


def test_a_gpu_has_the_curve_of_the_cpu(tmp_path: Path) -> None:
    curves = []
    for name, trainer in (("cpu", "cpu"), ("gpu", "gpu")):
        options = [f"trainer={trainer}", "trainer.precision=32", "trainer.deterministic=true", "trainer.max_epochs=1"]
        directory = tmp_path / name
        done = run(TRAIN, *DRAWN, *options, f"hydra.run.dir={directory}", cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        curves.append(history_of(directory))
    for column in ("train_loss", "val_loss"):
        assert (curves[0][column] - curves[1][column]).abs().max() < LOSS_TOLERANCE, curves


def test_a_killed_training_goes_on_to_the_same_figures(
    tmp_path: Path, killed: "Callable[[subprocess.Popen[str]], None]"
) -> None:
    options = [*DRAWN, "trainer=gpu", "trainer.precision=32", "trainer.deterministic=true", "trainer.max_epochs=4"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    done = run(TRAIN, *options, f"hydra.run.dir={whole}", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    process = start(TRAIN, *options, f"hydra.run.dir={broken}", cwd=tmp_path)
    wait_for(lambda: (broken / "checkpoints" / "last.ckpt").exists(), process)
    killed(process)
    done = run(TRAIN, f"resume={broken}", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert metrics_of(broken) == metrics_of(whole)
    pd.testing.assert_frame_equal(history_of(broken), history_of(whole), check_exact=True)


def test_the_data_set_stays_on_the_device(tmp_path: Path) -> None:
    config = load_overrides([*DRAWN, "trainer=gpu", f"dataset.cache_dir={tmp_path}"])
    assert config.trainer.resident
    data = prepare_data(config, config.model.image_size)
    module = build_datamodule(config, data.store.images, *build_splits(data.manifest))
    module.trainer = build_trainer(config, "cuda", [], tmp_path)
    module.setup("fit")
    assert isinstance(module.images, torch.Tensor) and module.images.device.type == "cuda"
    assert next(iter(module.train_dataloader()))["images"].device.type == "cuda"


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_two_gpus_normalise_the_whole_batch_as_one_does(tmp_path: Path) -> None:
    curves = []
    for devices in (1, 2):
        options = ["trainer=ddp", f"trainer.devices={devices}", "trainer.accelerator=gpu", "trainer.max_epochs=1"]
        directory = tmp_path / str(devices)
        done = run(TRAIN, *DRAWN, *options, "model.drop_rate=0", f"hydra.run.dir={directory}", cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        curves.append(history_of(directory))
    assert (curves[0]["train_loss"] - curves[1]["train_loss"]).abs().max() < LOSS_TOLERANCE, curves
