"""Plugins of a training: what does not keep the contract is refused before there is a run, in one sentence."""

import logging
import sys
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from pytorch_lightning.callbacks import Callback

from fer.config.compose import load_overrides
from fer.config.plugins import describe_plugins, list_plugin_changes
from fer.core.run_layout import PROVENANCE_JSON
from fer.errors import ExitCode, PreconditionError, UserError
from fer.models.losses import LOSSES, compute_weighted_loss
from fer.runs.run_directory import Run, load_run_config
from fer.train.module_factory import build_module
from fer.train.pipeline import resume, train
from fer.train.plugins import build_augmentation, build_callbacks, check_plugins, load_loss, record_plugins
from tests.helpers.composing import refusal
from tests.helpers.plugin_package import install, install_documented

CODE = """
import pytorch_lightning as pl
import torch


def mean(logits, targets):
    return -(targets * logits.log_softmax(1)).sum(1).mean()


def detached(logits, targets):
    return -(targets * logits.log_softmax(1)).sum(1).detach()


def failing(logits, targets):
    raise RuntimeError("no such thing\\nand more")


class Count(pl.Callback):
    def __init__(self, start=0, steps=()):
        self.start = start
        if steps:
            steps.clear()

    def state_dict(self):
        return {"start": self.start}


def thing(**options):
    return object()


def brighten():
    return lambda pixels, generators: (pixels * 1.5).clamp(max=1)


def normalise():
    return lambda pixels, generators: pixels - pixels.mean()


def crop():
    return lambda pixels, generators: pixels[..., 2:]


def colour_only():
    return lambda pixels, generators: pixels.view(-1, 3, 64, 64)


class Silent:
    def __init__(self, run, token):
        raise AssertionError("a run begins")
"""
ENTRIES = {
    **{f"loss.{name}": f"odd_ones:{name}" for name in ("mean", "detached", "failing")},
    **{"callback.count": "odd_ones:Count", "callback.again": "odd_ones:Count", "callback.thing": "odd_ones:thing"},
    **{
        f"augmentation.{name}": f"odd_ones:{name}" for name in ("brighten", "normalise", "crop", "colour_only", "thing")
    },
    "tracker.silent": "odd_ones:Silent",
}
FEW = ("model=mobilenetv2_050", "model.image_size=64", "dataset.sources.synthetic.count=70")


@pytest.fixture(autouse=True)
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented package, and one of odd ones."""
    for package in ("my_package", "odd_ones"):
        monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.syspath_prepend(install_documented(tmp_path / "mine"))
    monkeypatch.syspath_prepend(install(tmp_path / "odd", "odd_ones", ENTRIES, CODE))


def config(*overrides: str) -> Any:
    return load_overrides([*FEW, *overrides])


REFUSED = {
    "model.loss.kind=mean": "must give a loss (N,) of each image, with its gradient, but gives a tensor ()",
    "model.loss.kind=detached": "but gives a tensor (4,) without gradient",
    "model.loss.kind=failing": "cannot be computed with the options {} (RuntimeError: no such thing)",
    "trainer.callbacks.count.begin=3": "cannot be built with the options {'begin': 3} (TypeError: ",
    "trainer.callbacks.thing={}": "gives no pytorch_lightning.Callback, but builtins.object",
    "trainer.callbacks={count: {}, again: {start: 1}}": "keep their state under one name",
    "dataset.augment.plugins.rain.drop=3": "(TypeError: ",
    "dataset.augment.plugins.thing={}": "gives no function of pixels and generators, but builtins.object",
    "dataset.augment.plugins.normalise={}": "it must depend on the image and its own generator alone",
    "dataset.augment.plugins.crop={}": "the augmentation crop must give torch.float32 (4, 1, 64, 64), as it gets",
    "dataset.augment.plugins.colour_only={}": "fails on images of 1 channels",
    "tracker.plugins.lines.path=x": "(TypeError: got an unexpected keyword argument 'path')",
    "tracker.plugins.silent={}": "(TypeError: missing a required argument: 'token')",
}


@pytest.mark.slow
@pytest.mark.parametrize("override", REFUSED)
def test_what_does_not_keep_the_contract_is_refused_before_there_is_a_run(override: str, tmp_path: Path) -> None:
    with pytest.raises(PreconditionError) as raised:
        train(config(override), tmp_path / "run")
    message = str(raised.value)
    assert raised.value.exit_code == ExitCode.CONFIG
    assert REFUSED[override] in message and message.startswith(override.split("=")[0].split(".")[0])
    assert "\n" not in message
    assert not (tmp_path / "run").exists()


def test_what_keeps_the_contract_passes_and_no_tracker_begins() -> None:
    check_plugins(
        config(
            *("model.loss.kind=poly", "model.loss.options.epsilon=2", "trainer.callbacks={epoch_log: {}, count: {}}"),
            *("dataset.augment.plugins={brighten: {}, rain: {drops: 3}}", "tracker.plugins.silent.token=x"),
        )
    )


def test_only_what_is_named_is_imported() -> None:
    check_plugins(config("trainer.callbacks.count={}"))
    assert "odd_ones" in sys.modules and "my_package" not in sys.modules
    # Without a training nothing but trackers is used.
    evaluated = load_overrides(["trainer.stages=[test]", "model_uri=x", "trainer.callbacks.not_there={}"])
    check_plugins(evaluated)
    assert build_callbacks(evaluated) == [] and not build_augmentation(evaluated).plugins


def test_names_are_refused_by_the_configuration_already() -> None:
    assert "dataset.augment.plugins: flip is built in" in refusal("dataset.augment.plugins.flip={}")
    for name in ("csv", "wandb", "mlflow", "tensorboard"):
        assert f"tracker.plugins: {name} is built in" in refusal(f"tracker.plugins.{name}={{}}")
    assert "'a.b' is no plugin's name" in refusal("trainer.callbacks={a.b: {}}")
    assert "trainer.callbacks.count=3: must be a map, such as {}" in refusal("trainer.callbacks.count=3")
    assert "kind=focal takes no options" in refusal("model.loss.kind=focal", "model.loss.options.gamma=2")
    assert "model.loss.kind=odd_ones:mean: must match" in refusal("model.loss.kind='odd_ones:mean'")


def test_built_in_losses_are_never_those_of_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offers = {f"loss.{name}": "thief:x" for name in LOSSES}
    monkeypatch.syspath_prepend(install(tmp_path / "thief", "thief", offers, "raise RuntimeError"))
    for name in LOSSES:
        assert load_loss(config(f"model.loss.kind={name}")) is None


def test_a_loss_gets_smoothed_targets_and_weights_count() -> None:
    loss = load_loss(config("model.loss.kind=poly", "model.loss.options.epsilon=0"))
    logits, targets, weights = torch.randn(5, 7), torch.eye(7)[:5], torch.arange(5.0)
    values = [
        compute_weighted_loss(logits, targets, weights, kind, 0.1, 2.0, plugin)
        for kind, plugin in (("poly", loss), ("cross_entropy", None))
    ]
    torch.testing.assert_close(*values)
    with pytest.raises(UserError, match=r"model.loss.kind=x: must give a loss of each of 5 images, but gives \(\)"):
        compute_weighted_loss(logits, targets, weights, "x", 0.1, 2.0, lambda logits, _: logits.mean())


def test_a_loss_adds_nothing_to_a_checkpoint() -> None:
    plugin, _ = build_module(config("model.loss.kind=poly"), 7, "cpu")
    built_in, _ = build_module(config(), 7, "cpu")
    assert plugin.state_dict().keys() == built_in.state_dict().keys()
    assert plugin.hparams["settings"].keys() == built_in.hparams["settings"].keys()
    assert plugin.hparams["settings"]["loss_kind"] == "poly"


def test_state_that_no_checkpoint_can_give_back_is_refused_when_it_is_written() -> None:
    *callbacks, guard = build_callbacks(config("trainer.callbacks.count={}"))
    assert len(callbacks) == 1
    checkpoint: dict[str, Any] = {"state_dict": object(), "callbacks": {"Count": {"rows": [1, torch.ones(2)]}}}
    guard.on_save_checkpoint(cast(Any, None), cast(Any, None), checkpoint)
    for wrong in ({"callbacks": {"Count": {"path": Path()}}}, {"added": lambda: 0}):
        with pytest.raises(UserError, match="trainer.callbacks.count: keeps what no checkpoint holds"):
            guard.on_save_checkpoint(cast(Any, None), cast(Any, None), wrong)


def test_callbacks_come_in_the_order_of_the_configuration_with_options_of_their_own() -> None:
    chosen = config("trainer.callbacks={count: {steps: [1, 2]}, epoch_log: {}}")
    callbacks = build_callbacks(chosen)
    assert [type(callback).__name__ for callback in callbacks[:2]] == ["Count", "EpochLog"]
    assert all(isinstance(callback, Callback) for callback in callbacks)
    assert chosen.trainer.callbacks["count"] == {"steps": [1, 2]}, "a plugin changed what run.yaml holds"
    assert build_callbacks(config()) == []


def test_a_run_keeps_its_plugins_and_another_version_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    chosen = config("model.loss.kind=poly")
    run = Run(tmp_path / "run", chosen)
    record_plugins(run, chosen)
    now = {"package": "my_package", "version": "1.0", "entry_point": "my_package:poly_loss"}
    assert run.provenance["plugins"] == describe_plugins(chosen) == {"loss.poly": now}
    before = {**now, "version": "0.9"}
    run.update_provenance(plugins={"loss.poly": before})
    with caplog.at_level(logging.WARNING):
        record_plugins(run, chosen)
    assert "loss.poly: my_package 0.9 my_package:poly_loss then, my_package 1.0 my_package:poly_loss now" in caplog.text
    assert run.provenance["plugins"]["loss.poly"] == before
    assert list_plugin_changes(None, {"loss.poly": now}) == list_plugin_changes({}, {}) == []
    plain = Run(tmp_path / "plain", config())
    record_plugins(plain, config())
    assert "plugins" not in plain.provenance


@pytest.mark.parametrize("begun", [True, False])
def test_a_run_is_read_but_not_resumed_without_its_package(
    begun: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path / "run", config("trainer.callbacks.epoch_log.file=a.txt"))
    run.finish("interrupted")
    if not begun:
        (run.directory / PROVENANCE_JSON).unlink()
    monkeypatch.setattr(sys, "path", [path for path in sys.path if not path.endswith("mine")])
    saved = load_run_config(run.directory)
    assert saved.trainer.callbacks == {"epoch_log": {"file": "a.txt"}}
    assert load_overrides([], "register", run.directory).trainer == saved.trainer
    sentence = (
        "trainer.callbacks.epoch_log: no installed package offers a callback of this name; there are again, count"
    )
    for attempt in (lambda: resume(run.directory), lambda: load_overrides([], "train", run.directory)):
        with pytest.raises(PreconditionError, match=sentence):
            attempt()
    assert (run.directory / PROVENANCE_JSON).exists() == begun
