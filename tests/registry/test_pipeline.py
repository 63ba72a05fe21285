"""Registering a run: packaged, checked, judged, kept once; the same on this machine and in AWS."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from fer.config import Config
from fer.core.io import compute_sha256, write_text
from fer.errors import ModelError
from fer.registry.base import ModelRegistry
from fer.registry.factory import open_registry
from fer.registry.pipeline import run_action
from tests.helpers.aws_simulator.simulator import Simulated
from tests.helpers.candidates import NAME, table
from tests.helpers.registry_runs import metrics_of

pytestmark = pytest.mark.slow

LENIENT = "registry.gate.max_calibration_error=0.5"


def variant(small: Path, folder: Path, right: np.ndarray, mark: str) -> Path:
    """The small run with other data and other test predictions."""
    run = Path(shutil.copytree(small, folder / mark))
    description = yaml.safe_load((run / "bundle" / "bundle.yaml").read_text())
    write_text(run / "bundle" / "bundle.yaml", yaml.safe_dump({**description, "data_fingerprint": mark}))
    judged = table(right)
    metrics = {**metrics_of(judged), "weights_sha256": description["weights_sha256"]}
    write_text(run / "metrics.json", json.dumps(metrics))
    judged.drop(columns="content_hash").to_parquet(run / "predictions_test.parquet")
    return run


@pytest.fixture(params=["local", "sagemaker"])
def chosen(request: pytest.FixtureRequest, configured: Callable[..., Config]) -> Callable[..., Config]:
    """The configuration for a run, in each registry."""
    if request.param == "sagemaker":
        request.getfixturevalue("aws")

    def load(run: Path, *overrides: str) -> Config:
        return configured(f"model_uri={run}", LENIENT, f"aws={request.param}", *overrides)

    return load


def test_a_run_is_registered_with_all_its_facts(chosen: Callable[..., Config], small: Path, tmp_path: Path) -> None:
    config = chosen(small)
    assert run_action(config, tmp_path / "run") == 0
    registry: ModelRegistry = open_registry(config)
    version = registry.find(NAME, "champion")
    assert (version.version, version.status) == (1, "Approved")
    assert version.facts == {
        "git_commit": "c" * 40,
        "data_fingerprint": "data-1",
        "run_yaml_sha256": compute_sha256(small / "run.yaml"),
    }
    package = registry.fetch(version, tmp_path / "fetched")
    assert package.read_bytes() == (tmp_path / "run" / "model.tar.gz").read_bytes()
    kept = tmp_path / "fetched"
    assert (kept / "run.yaml").read_bytes() == (small / "run.yaml").read_bytes()
    assert (kept / "metrics.json").read_bytes() == (small / "metrics.json").read_bytes()
    assert json.loads((kept / "verdict.json").read_text())["status"] == "Approved"
    assert "## Verdict: Approved\n- All limits are kept" in (kept / "model_card.md").read_text()
    expected = table(np.arange(140) % 10 != 0)
    pd.testing.assert_frame_equal(pd.read_parquet(kept / "test.parquet"), expected)
    provenance = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert (provenance["status"], provenance["version"]) == ("finished", f"models:/{NAME}/1")
    # The same bundle again, also as an archive: the version that exists.
    assert run_action(chosen(package), tmp_path / "again") == 0
    assert [version.version for version in registry.list_versions(NAME)] == [1]
    assert not (tmp_path / "again" / "model.tar.gz").exists()


def test_the_gate_compares_with_the_champion_and_a_user_chooses(
    configured: Callable[..., Config], small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def done(*overrides: str) -> tuple[int, str]:
        capsys.readouterr()
        code = run_action(configured(LENIENT, *overrides), tmp_path / overrides[0].replace("/", "-"))
        return code, capsys.readouterr().out

    assert done("registry.action=list") == (
        *(0, f"No version of {NAME} is registered; register one with register.py\n"),
    )
    good = np.arange(140) % 10 != 0
    better = variant(small, tmp_path, good | (np.arange(140) < 70), "better")
    worse = variant(small, tmp_path, np.arange(140) % 3 != 0, "worse")
    assert [done(f"model_uri={run}")[0] for run in (small, better, worse)] == [0, 0, 3]
    reasons = [version.reasons for version in open_registry(configured()).list_versions(NAME)]
    assert f"champion models:/{NAME}/1 on 140 images in common: +0.050" in reasons[1]
    assert ": worse, at a tolerance of 0.02" in reasons[2]
    rows = [line.split() for line in done("registry.action=list")[1].splitlines()]
    assert rows[0] == ["version", "status", "aliases", "accuracy", "macro-F1", "created"]
    assert [row[:4] for row in rows[1:3]] == [
        ["1", "Approved", "champion", "0.900"],
        ["2", "Approved", "challenger", "0.950"],
    ]
    assert rows[3][:3] == ["3", "Rejected", "0.664"]
    assert done("registry.action=promote") == (0, f"models:/{NAME}/2 is champion now\n")
    shown = done("registry.action=show")[1]
    assert shown.startswith(f"models:/{NAME}/2\n  status               Approved; champion\n")
    assert "All limits are kept" in shown and "/model_card.md\n" in shown and "data_fingerprint     better" in shown
    assert done("registry.action=rollback") == (0, f"models:/{NAME}/1 is champion now\n")
    assert not list(tmp_path.glob("registry.action*"))


def test_a_bundle_alone_waits_for_somebody(configured: Callable[..., Config], small: Path, tmp_path: Path) -> None:
    config = configured(f"model_uri={small / 'bundle'}")
    assert run_action(config, tmp_path / "run") == 0
    [version] = open_registry(config).list_versions(NAME)
    assert (version.status, version.aliases) == ("PendingManualApproval", ())
    assert "comes without any figures" in version.reasons


def test_a_run_whose_figures_are_of_other_weights_is_refused(
    configured: Callable[..., Config], small: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(small, tmp_path / "run"))
    metrics = json.loads((run / "metrics.json").read_text())
    write_text(run / "metrics.json", json.dumps({**metrics, "weights_sha256": "0" * 64}))
    with pytest.raises(ModelError, match="metrics.json: is of other weights than"):
        run_action(configured(f"model_uri={run}"), tmp_path / "register")
    assert not (tmp_path / "register").exists()


def test_what_fails_midway_is_marked(configured: Callable[..., Config], small: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(small, tmp_path / "run"))
    with np.load(run / "bundle" / "samples.npz") as content:
        images, probabilities = content["images"], content["probabilities"]
    np.savez(run / "bundle" / "samples.npz", images=images, probabilities=np.roll(probabilities, 1, 1))
    config = configured(f"model_uri={run}")
    with pytest.raises(ModelError, match="it is not registered"):
        run_action(config, tmp_path / "register")
    provenance = json.loads((tmp_path / "register" / "provenance.json").read_text())
    assert provenance["status"] == "failed"
    assert open_registry(config).list_versions(NAME) == []


def test_a_dry_run_prints_requests_and_sends_none(
    aws: Simulated, configured: Callable[..., Config], small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured(f"model_uri={small}", LENIENT, "aws=sagemaker", "dry_run=true")
    before = aws.calls()
    assert run_action(config, tmp_path / "left") == 0
    requests = json.loads(capsys.readouterr().out)
    # The promotion's lock is none of what the model needs.
    needed = [request for request in requests if not str(request["parameters"].get("Key")).startswith("fer/locks/")]
    operations = [request["operation"] for request in needed]
    order = ["get_public_access_block", "list_model_packages", "put_object", "create_model_package_group"]
    order += ["create_model_package", "add_tags"]
    assert [operations.index(name) for name in order] == sorted(operations.index(name) for name in order)
    [created] = [request for request in requests if request["operation"] == "create_model_package"]
    assert created["parameters"]["ModelApprovalStatus"] == "Approved"
    assert aws.calls() == before
    assert not (tmp_path / "left").exists()


def test_a_dry_run_says_what_would_be_decided(
    configured: Callable[..., Config],
    small: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = ("registry.gate.min_accuracy=0.99", "aws.region=us-east-1")
    config = configured(f"model_uri={small}", "aws=sagemaker", "dry_run=true", *limits)
    with caplog.at_level(logging.INFO):
        assert run_action(config, tmp_path / "r") == 0
    requests = json.loads(capsys.readouterr().out)
    [created] = [request for request in requests if request["operation"] == "create_model_package"]
    assert created["parameters"]["ModelApprovalStatus"] == "Rejected"
    assert created["parameters"]["ModelCard"]["ModelCardStatus"] == "Draft"
    # A version that is rejected gets no alias.
    assert "add_tags" not in {request["operation"] for request in requests}
    assert f"Would be registered: models:/{NAME}/4 (Rejected)" in caplog.text
    assert "accuracy 0.900" in caplog.text and "Approved" not in caplog.text
