"""A training with the package that the documentation shows, a plugin of each kind; resumed, and without the package."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from tests.helpers.paths import PROJECT
from tests.helpers.plugin_package import install_documented
from tests.helpers.programs import FAST, Done, environment, provenance_of, run

pytestmark = [pytest.mark.slow, pytest.mark.e2e]
TRAIN = str(PROJECT / "train.py")
PLUGINS = (
    "model.loss.kind=poly",
    "model.loss.options.epsilon=2",
    "model.loss.label_smoothing=0",
    "trainer.callbacks.epoch_log={}",
    # More than an image has pixels, each with a chance of being missed.
    "dataset.augment.plugins.rain.drops=20000",
    "tracker.plugins.lines.file=lines.jsonl",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_documented(tmp_path_factory.mktemp("site"))


def train(site: Path | None, *overrides: str, cwd: Path) -> Done:
    paths = os.pathsep.join(map(str, filter(None, (PROJECT, site))))
    return run(TRAIN, *overrides, cwd=cwd, surroundings={**environment(), "PYTHONPATH": paths})


@pytest.fixture(scope="module")
def first(site: Path, workplace: Path) -> Path:
    directory = workplace / "plugins"
    overrides = (*FAST, "trainer.max_epochs=1", "trainer.limit_batches=2", *PLUGINS, f"hydra.run.dir={directory}")
    done = train(site, *overrides, cwd=workplace)
    assert done.returncode == 0, done.stderr
    assert f"lines: finished, see {directory / 'lines.jsonl'}" in done.stdout
    return directory


def test_each_plugin_does_its_part(first: Path) -> None:
    history = pd.read_csv(first / "history.csv")
    # Poly-1 adds epsilon times what is missing to certainty, which is about 6/7 without training.
    assert 1.2 < (history["val_objective"] - history["val_loss"]).item() < 2
    assert (first / "epochs.txt").read_text() == f"1 {history['val_accuracy'].item():.4f}\n"
    assert json.loads((first / "lines.jsonl").read_text()) == {"epoch": 1, "val_loss": history["val_loss"].item()}
    # The sheet has white pictures with a line of text below each.
    sheet = np.asarray(Image.open(first / "trackers" / "samples.png").convert("L"))
    assert (sheet[:48] == 255).mean() > 0.95
    assert provenance_of(first)["plugins"]["loss.poly"] == {
        "package": "my_package",
        "version": "1.0",
        "entry_point": "my_package:poly_loss",
    }
    assert sorted(provenance_of(first)["plugins"]) == [
        "augmentation.rain",
        "callback.epoch_log",
        "loss.poly",
        "tracker.lines",
    ]


def test_a_resumed_run_brings_the_state_of_a_callback_along(first: Path, site: Path, workplace: Path) -> None:
    directory = workplace / "resumed-with-plugins"
    done = train(
        site,
        *("--config-dir", str(first), "--config-name", "run", f"hydra.run.dir={directory}"),
        *(f"trainer.resume_from={first}", "trainer.max_epochs=2", "tracker.plugins={}", "trainer.stages=[fit]"),
        cwd=workplace,
    )
    assert done.returncode == 0, done.stderr
    assert (directory / "epochs.txt").read_text().startswith("2 ")
    saved = yaml.safe_load((directory / "run.yaml").read_text())
    assert saved["model"]["loss"]["options"] == {"epsilon": 2}
    assert "its run.yaml has no" not in done.stdout, "maps that hold something are not missing"


def test_without_the_package_a_run_is_read_but_not_repeated(first: Path, workplace: Path) -> None:
    saved = ("--config-dir", str(first), "--config-name", "run")
    done = train(None, *saved, cwd=workplace)
    assert done.returncode == 2
    assert done.stderr == (
        "train.py: model.loss.kind=poly: no installed package offers a loss of this name; there are cross_entropy, "
        "focal; docs/how-to/plugins.md says how to offer one\n"
    )
    done = run("-m", "fer.replay", str(first), cwd=workplace)
    assert done.returncode == 2 and "model.loss.kind=poly: no installed package" in done.stderr
    assert "Traceback" not in done.stderr
    assert train(None, *saved, "--info", "config", cwd=workplace).returncode == 0
    assert run("-m", "fer.compare", str(first), str(first), cwd=workplace).returncode == 0
