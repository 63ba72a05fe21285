"""Every shipped experiment and trainer runs; the real zip gives the known counts."""

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.helpers.paths import PROJECT
from tests.helpers.programs import Program, metrics_of

ONE_BATCH = (
    *("trainer.max_epochs=1", "trainer.limit_batches=1", "trainer.threads=1", "dataset.batch_size=16"),
    *("model.weights=none", "model.image_size=48", "trainer=cpu"),
)
EXPERIMENTS = sorted(path.stem for path in (PROJECT / "conf" / "experiment").glob("*.yaml"))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_runs_a_batch(
    train: Program, ferplus_like: Path, rafdb_like: Path, workplace: Path, name: str
) -> None:
    roots = {
        "ferplus": [f"dataset.sources.ferplus.root={ferplus_like}"],
        "ferplus_best": [f"dataset.sources.ferplus.root={ferplus_like}"],
        "motion": ["dataset.sources.synthetic_clips.count=84"],
        "paper": [f"dataset.sources.ferplus.root={ferplus_like}", f"dataset.sources.rafdb.root={rafdb_like}"],
    }
    directory = workplace / f"experiment-{name}"
    # 2,800 faces take longer to draw than all the rest.
    few = ["dataset.sources.synthetic.count=140"]
    # What is fitted on embeddings has no batches.
    limits = ONE_BATCH if name != "sweep_heads" else ("trainer=cpu", "trainer.threads=1", "model.image_size=48")
    done = train(f"experiment={name}", *roots.get(name, few), *limits, f"hydra.run.dir={directory}")
    assert done.returncode == 0, done.stderr
    saved = yaml.safe_load((directory / "run.yaml").read_text())
    assert saved["name"] == name
    assert metrics_of(directory)["val"]["samples"] > 0


def test_a_missing_test_part_is_said_and_validation_reported(
    train: Program, ferplus_like: Path, workplace: Path
) -> None:
    directory = workplace / "no-test-part"
    source = ("dataset=ferplus", f"dataset.sources.ferplus.root={ferplus_like}")
    done = train(*source, *ONE_BATCH, "dataset.sources.ferplus.contempt=drop", f"hydra.run.dir={directory}")
    assert done.returncode == 0, done.stderr
    assert "Test: there is no test part; validation is reported" in done.stdout
    assert metrics_of(directory)["test"] is None
    assert "The data have no test part" in (directory / "report.html").read_text()
    described = yaml.safe_load((directory / "bundle" / "bundle.yaml").read_text())
    assert described["faces"] == {"side": 48, "colour": False}


def test_pretrained_weights_without_a_network_are_one_sentence(train: Program, tmp_path: Path) -> None:
    few = ("dataset.sources.synthetic.count=280", "trainer=cpu")
    done = train(*ONE_BATCH[:-3], *few, "model.weights=pretrained", f"hydra.run.dir={tmp_path / 'run'}")
    assert done.returncode == 2
    assert "cannot be fetched from the hub" in done.stderr
    assert "model.weights=FILE" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.nightly
def test_the_real_zip_gives_the_known_counts(
    train: Program, ferplus_zip: str, ferplus_cache: str, workplace: Path
) -> None:
    directory = workplace / "real"
    data = ("experiment=ferplus", f"dataset.sources.ferplus.root={ferplus_zip}", f"dataset.cache_dir={ferplus_cache}")
    done = train(*data, *ONE_BATCH, f"hydra.run.dir={directory}")
    assert done.returncode == 0, done.stderr
    found = re.search(r"(\d+) validation images also stand in an earlier part \((\d+) pixel for pixel\)", done.stdout)
    assert found
    assert found.groups() == ("421", "279")
    used = pd.read_parquet(directory / "manifest.parquet")
    training, validation = (set(used.loc[used["split"] == part, "content_hash"]) for part in ("train", "val"))
    assert len(training) > 20_000
    assert not training & validation
