"""The wheel in a directory of its own, without the packages of its extras, used from an empty directory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fer.core.extras import EXTRAS
from tests.helpers.package_fixtures import pip
from tests.helpers.programs import FAST, Done, Program, metrics_of, provenance_of, table_of

# Imported by Python as it starts: what the plain installation lacks cannot be imported.
WITHOUT_EXTRAS = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if f"{{name}}.".startswith({tuple(f"{package}." for package in (*EXTRAS, "botocore", "s3transfer"))}):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Run `fer COMMAND…` in an empty directory to its end."""
    site, plain, empty = (tmp_path_factory.mktemp(name) for name in ("site", "plain", "empty"))
    pip("install", "--no-deps", "--no-index", "--target", str(site), str(wheel))
    (plain / "sitecustomize.py").write_text(WITHOUT_EXTRAS)
    paths = os.pathsep.join(map(str, (site, plain)))
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1"}

    def run(*command: str) -> Done:
        return subprocess.run(
            [sys.executable, str(site / "bin" / "fer"), *command],
            cwd=empty,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture(scope="module")
def trained(installed: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a sweep of one job, so that a program has started it, with a group file of one's own."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "conf" / "dataset").mkdir(parents=True)
    (folder / "conf" / "dataset" / "mine.yaml").write_text("defaults: [synthetic]\nlimit: 210\n")
    own = ("--config-dir", str(folder / "conf"), "dataset=mine", f"hydra.sweep.dir={folder / 'sweep'}")
    done = installed("train", "-m", *own, *FAST, "trainer.max_epochs=1", "seed=3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"After an interruption: fer train sweep.resume={folder / 'sweep'}\n" in done.stdout
    return folder / "sweep" / "0"


def test_it_trains_with_a_group_of_ones_own(trained: Path) -> None:
    provenance = provenance_of(trained)
    assert provenance["status"] == "finished"
    assert provenance["command"][:3] == ["-m", "fer.cli.train", f'resume="{trained}"']
    # The environment may lie in a repository, which is not the project's.
    assert (provenance["git_commit"], provenance["packages"]["fer-experiments"] is None) == (None, False)
    assert 0 <= metrics_of(trained)["test"]["accuracy"]["value"] <= 1
    text = (trained / "run.yaml").read_text()
    assert "\n#   fer train --config-dir RUN --config-name run\n" in text and "\n  limit: 210\n" in text
    assert (trained / "report.html").is_file()


def test_it_judges_a_clip_and_names_the_missing_extra(
    installed: Program, trained: Path, clip: Path, tmp_path: Path
) -> None:
    options = (f"model_uri={trained}", "trainer.threads=1", f"hydra.run.dir={tmp_path / 'run'}")
    done = installed("infer", f"extraction.input={clip}", *options)
    assert done.returncode == 0, done.stderr
    assert (table_of(tmp_path / "run")["status"] == "ok").any()
    refused = installed("serve", "--model", str(trained))
    assert refused.returncode == 1
    assert refused.stderr == (
        "fer serve: needs prometheus_client; install it with pip install 'fer-experiments[serve]'\n"
    )


def test_it_classifies_by_the_model_that_it_brings(installed: Program, clip: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = installed("infer", f"extraction.input={clip}", "trainer.threads=1", f"hydra.run.dir={run}")
    assert done.returncode == 0, done.stderr
    assert (table_of(run)["status"] == "ok").any()
    pinned = provenance_of(run)["model"]["uri"]
    assert pinned.startswith("pretrained@sha256:") and f"\nmodel_uri: {pinned}\n" in (run / "run.yaml").read_text()
    assert f"Model: the one that comes with the program ({pinned})" in done.stdout
    assert "Classified by the model that comes with the program" in (run / "report.html").read_text()


def test_it_documents_its_keys(installed: Program) -> None:
    done = installed("config", "docs")
    assert done.returncode == 0 and done.stdout.startswith("| key | allowed | meaning |\n"), done.stderr
