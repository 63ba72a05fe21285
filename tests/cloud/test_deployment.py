"""register.py's actions on endpoints: which they are, what they need, what a dry run prints."""

import json
import re
from pathlib import Path

import pytest

from fer.cloud.deployment import run_deployment
from fer.config.compose import load_overrides
from fer.errors import ConfigError
from tests.helpers.cloud_programs import ROLE

IN_AWS = ("aws=sagemaker", "aws.bucket=faces", f"aws.role={ROLE}", "aws.region=us-east-1")
TARGET = "registry.deploy.target=sagemaker"


@pytest.mark.parametrize(
    ("action", "target", "concerned"),
    [
        *(("deploy", None, True), ("undeploy", "async", True), ("rollback", "sagemaker", True)),
        *(("rollback", None, False), ("promote", "sagemaker", False), ("register", None, False)),
    ],
)
def test_a_rollback_is_that_of_the_champion_unless_a_target_is_named(
    action: str, target: str | None, concerned: bool
) -> None:
    given = [f"registry.action={action}", f"registry.deploy.target={target or 'null'}"]
    assert load_overrides(given, "register").registry.concerns_endpoint is concerned


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (IN_AWS, "registry.deploy.target: registry.action=deploy needs one; add registry.deploy.target=sagemaker"),
        ((TARGET,), "registry.deploy.target=sagemaker: is an endpoint of SageMaker; add aws=sagemaker"),
        (
            (*IN_AWS, TARGET, "model_uri=pretrained", "dry_run=true"),
            "model_uri=pretrained: a registered version is deployed; register it, and name it as models:/NAME/VERSION",
        ),
    ],
)
def test_what_is_missing_is_a_sentence(given: tuple[str, ...], said: str, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(ConfigError, match=re.escape(said)):
        run_deployment(load_overrides(["registry.action=deploy", *given], "register"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_dry_run_prints_creation_and_change_and_sends_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    given = ["registry.action=deploy", *IN_AWS, TARGET, "dry_run=true", "registry.version=7"]
    assert run_deployment(load_overrides(given, "register"), tmp_path / "run") == 0
    operations = [one["operation"] for one in json.loads(capsys.readouterr().out)]
    wanted = ["create_model", "create_endpoint_config", "create_endpoint", "update_endpoint"]
    assert [name for name in operations if name in wanted] == wanted
    assert operations.count("put_object") == 2 and operations[-1] == "delete_object"  # the lock
