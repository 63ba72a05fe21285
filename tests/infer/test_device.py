"""On which device faces are classified: the choice, the fall back, and what is recorded. A GPU is only pretended."""

import logging
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fer.config.compose import load_overrides
from fer.config.inference import Inference
from fer.core import extras
from fer.errors import ConfigError, ModelError, PreconditionError, UserError
from fer.infer import device, pipeline
from fer.infer.device import InferencePlan, describe_plan, load_predictor, plan_inference

ON_CPU, ON_GPU = InferencePlan("onnx", "cpu", False, 8), InferencePlan("torch", "cuda", False, 256)


def load(*overrides: str) -> Inference:
    return load_overrides([f"inference.{text}" for text in overrides], "infer").inference


class Model:
    """What stands in for a predictor; ``failing`` devices cannot compute."""

    description = SimpleNamespace(faces=SimpleNamespace(side=48))

    def __init__(self, failing: str) -> None:
        self.failing, self.loaded, self.batches = failing, list[tuple[Any, ...]](), list[int]()

    def load(self, *arguments: Any) -> "Model":
        self.loaded.append(arguments)
        return self

    def predict(self, images: Sequence[np.ndarray], batch_size: int) -> None:
        self.batches.append(len(images))
        if self.loaded[-1][1] == self.failing:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB\nand more lines")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "has_gpu", lambda: True)
    monkeypatch.setattr(device, "get_device_name", lambda name: "cpu" if name == "cpu" else "NVIDIA H100")


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "has_gpu", lambda: False)


@pytest.mark.parametrize(
    ("overrides", "plan"),
    [
        ([], ON_GPU),
        (["device=gpu"], ON_GPU),
        (["runtime=torch"], ON_GPU),
        (["precision=16"], InferencePlan("torch", "cuda", True, 256)),
        (["batch_size=32"], InferencePlan("torch", "cuda", False, 32)),
        (["runtime=onnx"], ON_CPU),
        (["runtime=openvino"], InferencePlan("openvino", "cpu", False, 8)),
        (["device=cpu"], ON_CPU),
        (["device=cpu", "runtime=torch"], InferencePlan("torch", "cpu", False, 8)),
    ],
)
@pytest.mark.usefixtures("gpu")
def test_a_gpu_is_taken_unless_the_configuration_says_otherwise(overrides: list[str], plan: InferencePlan) -> None:
    assert plan_inference(load(*overrides)) == plan


@pytest.mark.parametrize(
    ("overrides", "plan"),
    [
        ([], ON_CPU),
        (["runtime=torch"], InferencePlan("torch", "cpu", False, 8)),
        (["precision=16"], ON_CPU),
        (["batch_size=64"], InferencePlan("onnx", "cpu", False, 64)),
        (["runtime=openvino", "batch_size=64"], InferencePlan("openvino", "cpu", False, 64)),
    ],
)
@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_all_stays_on_the_cpu(overrides: list[str], plan: InferencePlan) -> None:
    assert plan_inference(load(*overrides)) == plan


@pytest.mark.usefixtures("no_gpu")
def test_a_gpu_that_is_missing_is_told_before_anything_starts(tmp_path: Path) -> None:
    config = load_overrides(["inference.device=gpu", f"model_uri={tmp_path}"], "infer")
    with pytest.raises(PreconditionError) as caught:
        pipeline.infer(config, tmp_path / "run")
    assert str(caught.value) == (
        "inference.device=gpu: this machine has none that PyTorch can use; use inference.device=auto or cpu"
    )
    assert caught.value.exit_code == 2 and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["device=gpu", "runtime=onnx"], ["device=gpu needs PyTorch", "inference.runtime=auto"]),
        (["device=cpu", "precision=16"], ["precision=16 needs a GPU", "inference.precision=32"]),
        (["runtime=onnx", "precision=16"], ["precision=16 needs a GPU"]),
        (["device=gpu", "runtime=openvino"], ["device=gpu needs PyTorch", "inference.runtime=auto"]),
        (["runtime=openvino", "precision=16"], ["precision=16 needs a GPU"]),
        (["device=cuda"], ["inference.device=cuda: allowed are auto, cpu or gpu"]),
        (["precision=8"], ["inference.precision=8: allowed are 32 or 16"]),
        (["batch_size=0"], ["inference.batch_size=0: must be at least 1"]),
    ],
)
def test_what_cannot_be_is_refused(overrides: list[str], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(*overrides)
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.usefixtures("gpu")
def test_a_full_batch_is_tried_on_the_gpu(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    model = Model(failing="nothing")
    monkeypatch.setattr(device, "Predictor", model)
    with caplog.at_level(logging.INFO):
        predictor, plan = load_predictor("bundle", load("precision=16", "batch_size=40"), 2)
    assert predictor is model and model.loaded == [("bundle", "cuda", "torch", 2, True)] and model.batches == [40]
    assert "Classifying on NVIDIA H100, 40 faces at a time, in half precision" in caplog.text
    assert describe_plan(plan) == {"runtime": "torch", "device": "NVIDIA H100", "precision": "16", "batch_size": 40}


@pytest.mark.usefixtures("gpu")
def test_auto_falls_back_where_the_gpu_fails(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    model = Model(failing="cuda")
    monkeypatch.setattr(device, "Predictor", model)
    with caplog.at_level(logging.WARNING):
        _, plan = load_predictor("bundle", load("precision=16"), 2)
    assert plan == ON_CPU and model.loaded[-1] == ("bundle", "cpu", "onnx", 2)
    assert caplog.messages == [
        "inference.device=auto: the GPU cannot classify (CUDA out of memory. Tried to allocate 2 GiB); the CPU does "
        "instead"
    ]
    with pytest.raises(ModelError, match=r"^inference\.device=gpu: the GPU cannot classify .*smaller inference\.batch"):
        load_predictor("bundle", load("device=gpu"), 2)


@pytest.mark.usefixtures("no_gpu")
def test_the_log_says_that_the_cpu_does_it(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(device, "Predictor", Model(failing="nothing"))
    with caplog.at_level(logging.INFO):
        load_predictor("bundle", load(), 2)
        load_predictor("bundle", load("precision=16"), 2)
    assert caplog.messages == [
        "inference.device=auto: the CPU classifies, by onnx",
        "inference.precision=16: this machine has no GPU, so that faces are classified in full precision",
    ]


def test_pytorch_is_not_asked_where_there_is_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "may_have_gpu", lambda: False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: pytest.fail("imports PyTorch for nothing"))
    assert not device.has_gpu()


def test_a_missing_runtime_is_told_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "_is_importable", lambda _: False)
    config = load_overrides(["inference.runtime=openvino", f"model_uri={tmp_path}"], "infer")
    with pytest.raises(UserError) as caught:
        pipeline.infer(config, tmp_path / "run")
    assert str(caught.value) == (
        "inference.runtime=openvino: needs openvino; install it with pip install 'fer-experiments[export]'"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("asked", ["inference.device=gpu", "inference.precision=16", "inference.runtime=openvino"])
def test_a_batch_transform_has_no_gpu_and_no_openvino(asked: str) -> None:
    config = load_overrides(["inference.route=transform", "model_uri=pretrained", asked], "infer")
    with pytest.raises(ConfigError, match=r"a batch transform classifies on CPUs .*; use inference\.route=process"):
        pipeline.validate_and_pin(config)
