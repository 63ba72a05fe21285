"""Both registries, empty."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fer.aws.client import AwsClient
from fer.config import Config, SageMakerAws
from fer.config.compose import load_overrides
from fer.registry.base import ModelRegistry
from fer.registry.mlflow import MlflowRegistry
from fer.registry.package import build_package
from fer.registry.sagemaker import SageMakerRegistry
from tests.helpers.aws_simulator.simulator import Simulated
from tests.helpers.candidates import BUCKET, IMAGE, NAME
from tests.helpers.networks import one_thread
from tests.helpers.registry_runs import small_run


@pytest.fixture
def aws(simulator: Simulated, monkeypatch: pytest.MonkeyPatch) -> Simulated:
    """AWS with an empty bucket, and this process set to use it."""
    simulator.reset()
    simulator.clear_faults()
    for name, value in simulator.environment.items():
        monkeypatch.setenv(name, value)
    simulator.client("s3").create_bucket(Bucket=BUCKET)
    return simulator


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose database has its tables: making them takes seconds."""
    store = tmp_path_factory.mktemp("template")
    assert MlflowRegistry(store).client
    return store


@pytest.fixture
def store(template: Path, tmp_path: Path) -> Path:
    """The directory of an empty local registry."""
    return Path(shutil.copytree(template, tmp_path / "store"))


@pytest.fixture
def configured(store: Path) -> Callable[..., Config]:
    """The configuration of register.py after overrides; `aws=sagemaker` is complete."""

    def load(*overrides: str) -> Config:
        given = [f"registry.store={store}", f"registry.name={NAME}", *overrides]
        if "aws=sagemaker" in overrides:
            given += [f"aws.bucket={BUCKET}", f"aws.image={IMAGE}"]
        return load_overrides(given, "register")

    return load


@pytest.fixture
def in_aws(aws: Simulated, configured: Callable[..., Config]) -> SageMakerRegistry:
    settings = configured("aws=sagemaker").aws
    assert isinstance(settings, SageMakerAws)
    return SageMakerRegistry(settings, AwsClient())


@pytest.fixture(params=["local", "sagemaker"])
def registry(request: pytest.FixtureRequest, store: Path) -> ModelRegistry:
    if request.param == "local":
        return MlflowRegistry(store)
    found: SageMakerRegistry = request.getfixturevalue("in_aws")
    return found


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a small network; nine of ten of its 140 test images are judged rightly."""
    with one_thread():
        return small_run(tmp_path_factory.mktemp("small"), np.arange(140) % 10 != 0)


@pytest.fixture(scope="session")
def archive(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of that run's bundle."""
    path = tmp_path_factory.mktemp("archive") / "model.tar.gz"
    with one_thread():
        build_package(small / "bundle", path)
    return path
