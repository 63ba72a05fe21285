"""What tests of the predictor share."""

from pathlib import Path

import pytest

from fer.bundle.io import FaceFormat
from fer.models.network import FaceNetwork
from tests.helpers.networks import SMALL, lively
from tests.helpers.served_runs import run_of


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of the same network, trained on gray faces of 48 pixels, or on colour faces of 64."""
    network = lively(FaceNetwork(SMALL, 7, 48, 0.0))
    native = {"gray": FaceFormat(48, False), "colour": FaceFormat(64, True)}
    return {name: run_of(tmp_path_factory.mktemp(name), network, faces) for name, faces in native.items()}
