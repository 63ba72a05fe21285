"""Optimizers by name, gradients that add up over batches, and a limit of time."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fer.config.compose import load_overrides
from fer.errors import ModelError, PreconditionError
from fer.models.network import FaceNetwork
from fer.train.module import FaceClassifierModule
from fer.train.module_factory import build_module
from fer.train.optimizers import build_optimizer
from fer.train.pipeline import train
from tests.helpers.composing import refusal
from tests.helpers.networks import batch_of, settings
from tests.helpers.programs import FAST, metrics_of

Make = Callable[[], FaceNetwork]
SHORT = (*FAST, "dataset.sources.synthetic.count=70", "trainer.limit_batches=2")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("adamw", {"betas": [0.8, 0.9]}),
        ("sgd", {"momentum": 0.5, "nesterov": False}),
        ("adam", {}),
        ("lamb", {}),
        ("lion", {"betas": [0.9, 0.98]}),
        ("rmsprop", {}),
        ("adafactorbv", {}),
    ],
)
def test_an_optimizer_by_name_takes_its_options_and_makes_a_step(
    make_network: Make, name: str, options: dict[str, object]
) -> None:
    network = make_network()
    optimizer = build_optimizer(network, name, 0.01, 0.05, options, False)
    for key, value in options.items():
        assert optimizer.param_groups[0][key] == (tuple(value) if isinstance(value, list) else value)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0, 0.05]
    before = {key: value.clone() for key, value in network.named_parameters()}
    batch = batch_of(4)
    network.train()(batch["images"]).square().sum().backward()
    optimizer.step()
    assert any(not torch.equal(value, before[key]) for key, value in network.named_parameters())


def test_the_default_is_that_of_pytorch(make_network: Make) -> None:
    default = FaceClassifierModule(make_network(), settings()).build_optimizer()
    assert type(default) is torch.optim.AdamW and default.defaults["betas"] == (0.9, 0.999)


def test_on_a_cpu_the_fused_step_is_taken_by_new_runs_and_differs_by_rounding(tmp_path: Path) -> None:
    from fer.runs.run_directory import write_config

    write_config(tmp_path, load_overrides([*SHORT]), "train.py")
    saved = tmp_path / "run.yaml"
    saved.write_text("".join(line for line in saved.read_text().splitlines(keepends=True) if "fused:" not in line))
    steps = {}
    for name, config in {"new": load_overrides([*SHORT]), "saved": load_overrides([], saved=tmp_path)}.items():
        torch.manual_seed(0)
        module = build_module(config, 7, "cpu")[0]
        optimizer = module.build_optimizer()
        assert bool(optimizer.defaults["fused"]) == (name == "new")
        module.network.train()(batch_of(4)["images"]).square().sum().backward()
        optimizer.step()
        steps[name] = [parameter.detach().clone() for parameter in module.network.parameters()]
    for new, old in zip(steps["new"], steps["saved"], strict=True):
        torch.testing.assert_close(new, old, rtol=1e-5, atol=1e-6)


def test_what_an_optimizer_does_not_take_is_a_sentence(make_network: Make, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"optimizer\.name=sgd: cannot be built with optimizer\.options=.*betas"):
        build_optimizer(make_network(), "sgd", 0.1, 0.0, {"betas": [0.9, 0.99]}, False)
    config = load_overrides([*SHORT, "optimizer.name=sgd", "+optimizer.options.betas=[0.9,0.99]"])
    with pytest.raises(PreconditionError, match="cannot be built with"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert "did you mean adamw" in refusal("optimizer.name=adamww")
    assert "lr is no option; use optimizer.lr" in refusal("+optimizer.options.lr=3")


def test_a_saved_run_can_switch_to_another_optimizer(tmp_path: Path) -> None:
    from fer.runs.run_directory import write_config

    write_config(tmp_path, load_overrides([*SHORT]), "train.py")
    config = load_overrides(["optimizer.name=sgd", "+optimizer.options.momentum=0.5"], saved=tmp_path)
    optimizer = build_module(config, 7, "cpu")[0].build_optimizer()
    assert isinstance(optimizer, torch.optim.SGD) and optimizer.param_groups[0]["momentum"] == 0.5


@pytest.mark.slow
@pytest.mark.usefixtures("without_report")
def test_gradients_add_up_and_time_runs_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    limits = ["trainer.accumulate=2", "trainer.max_epochs=5", "trainer.max_time=1e-6"]
    train(load_overrides([*SHORT, *limits]), tmp_path / "run")
    assert metrics_of(tmp_path / "run")["epochs"] == 1
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 1
