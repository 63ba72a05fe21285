"""AWS as tests see it, and a real package for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fer.bundle.io import FaceFormat
from fer.bundle.reference_samples import ReferenceSamples, write_samples
from fer.models.network import FaceNetwork
from fer.registry.package import build_package
from fer.serving import Predictor
from tests.helpers.aws_simulator.simulator import Simulated, simulated_aws
from tests.helpers.networks import SMALL, lively, one_thread
from tests.helpers.networks import faces as blobs
from tests.helpers.served_runs import run_of


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulated]:
    with simulated_aws() as simulated:
        yield simulated


@pytest.fixture
def aws(simulator: Simulated) -> Simulated:
    """AWS without anything in it."""
    simulator.reset()
    return simulator


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a small network, with samples."""
    with one_thread():
        run = run_of(tmp_path_factory.mktemp("run"), lively(FaceNetwork(SMALL, 7, 48, 0.0)), FaceFormat(48, False))
        images = blobs(4, 48)
        predictor = Predictor.load(str(run), runtime="onnx", threads=1)
        write_samples(run / "bundle", ReferenceSamples(images, predictor.predict(list(images))))
    return run / "bundle"


@pytest.fixture(scope="session")
def small_package(small_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `model.tar.gz` of that bundle."""
    archive = tmp_path_factory.mktemp("package") / "model.tar.gz"
    build_package(small_bundle, archive)
    return archive
