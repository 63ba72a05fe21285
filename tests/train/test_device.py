"""What `trainer.precision=auto` stands for on this machine."""

from pathlib import Path

import pytest
import torch

from fer.config.compose import load_overrides
from fer.errors import PreconditionError
from fer.runs.run_directory import load_run_config, write_config
from fer.train import pipeline
from fer.train.device import choose_precision, resolve_precision
from fer.train.pipeline import train
from tests.helpers.programs import FAST


@pytest.mark.parametrize(("amx", "expected"), [(True, "bf16"), (False, "32")])
def test_a_cpu_takes_bfloat16_where_it_has_matrices_of_it(
    amx: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": amx, "avx512_bf16": True})
    assert choose_precision("cpu") == expected
    config = resolve_precision(load_overrides([*FAST, "trainer.precision=auto"]))
    assert config.trainer.precision == expected


def test_other_processors_know_no_amx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert choose_precision("cpu") == "32"
    assert choose_precision("mps") == "32"


@pytest.mark.parametrize(("supported", "expected"), [(True, "bf16"), (False, "16")])
def test_a_gpu_takes_bfloat16_where_it_computes_in_it(
    supported: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    assert choose_precision("cuda") == expected


def test_what_is_given_stays() -> None:
    config = load_overrides([*FAST, "trainer.precision=64"])
    assert resolve_precision(config) is config


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(PreconditionError, match=r"^trainer\.accelerator=gpu: this machine has none"):
        resolve_precision(load_overrides([*FAST, "trainer.accelerator=gpu", "trainer.precision=auto"]))


def test_a_directory_with_a_run_yaml_alone_is_begun_with_what_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []
    monkeypatch.setattr(pipeline, "_run_or_launch", lambda config, *_: begun.append(config.trainer.precision))
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    config = load_overrides([*FAST, "trainer.precision=auto", "trainer.accelerator=cpu"])
    write_config(tmp_path, config, "train.py")
    pipeline.resume(tmp_path)
    assert begun == ["32"]


@pytest.mark.slow
@pytest.mark.usefixtures("without_report")
def test_a_run_holds_what_was_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    options = ["trainer.precision=auto", "trainer.max_epochs=1", f"dataset.cache_dir={tmp_path / 'cache'}"]
    train(load_overrides([*FAST, *options]), tmp_path / "run")
    assert load_run_config(tmp_path / "run").trainer.precision == "bf16"
