"""What the configuration knows about names, and what it must not import to know it."""

import subprocess
import sys

import pytest
import timm

from fer.config import Config
from fer.config.error_messages import list_known_keys
from fer.config.key_docs import find_nearest, iter_keys
from fer.config.model import list_timm_architectures
from tests.helpers.paths import PROJECT

HEAVY = ("torch", "cv2", "timm", "pandas", "pytorch_lightning", "boto3", "torchvision", "scipy", "numpy")


def test_architectures_are_those_of_timm() -> None:
    assert list_timm_architectures() == set(timm.list_models())


def test_the_configuration_answers_at_once() -> None:
    code = f"import sys, fer.config.compose, fer.cli; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


def test_checking_a_name_does_not_import_timm() -> None:
    code = (
        "import sys; from fer.config.compose import load_overrides; "
        "print(load_overrides(['model=resnet50']).model.name, 'timm' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "resnet50 False False\n"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("trainer.max_epoch", "trainer.max_epochs"),
        ("trainer.lr", "optimizer.lr"),
        ("lr", None),
        ("optimzer.lr", "optimizer.lr"),
        ("model.early_stopping.patience", "trainer.early_stopping.patience"),
        ("dataset.labelsmoothing", "model.loss.label_smoothing"),
        ("optimizer.momentum", None),
        ("optimizer.sheduler.kind", "optimizer.schedule.kind"),
        ("modl", "model"),
        ("wholly.different", None),
    ],
)
def test_the_nearest_key(name: str, meant: str | None) -> None:
    assert find_nearest(name, list_known_keys(), 0.75) == meant


def test_allowed_values_are_said_in_plain_words() -> None:
    allowed = {key.name: key.allowed for key in iter_keys(Config)}
    assert allowed["optimizer.lr"] == "number > 0, ≤ 10"
    assert allowed["trainer.early_stopping.patience"] == "whole number or null ≥ 1"
    assert allowed["trainer.ema_decay"] == "number ≥ 0, < 1"
    assert allowed["trainer.stages"] == "list of fit, test, embed"
    assert allowed["dataset.fractions"] == "list of 3 of numbers"
    assert allowed["dataset.sources.<name>.kind"] == (
        "ferplus, rafdb, fer2013, folder, table, synthetic, clips, synthetic_clips"
    )
    assert allowed["model.name"] == "text"
    assert allowed["trainer.compile"] == "true or false"


def test_keys_of_some_kinds_of_source_say_of_which() -> None:
    meanings = {key.name: key.description for key in iter_keys(Config)}
    assert meanings["dataset.sources.<name>.count"].startswith("(synthetic) Number of faces")
    assert meanings["dataset.sources.<name>.contempt"].startswith("(ferplus, synthetic) With 7 classes")
    assert "; (rafdb) Directory, .zip or .tar.gz with train/ and test/" in meanings["dataset.sources.<name>.root"]
