"""What tests of the predictor share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fer.bundle.io import Faces
from fer.models.network import FaceNetwork
from tests.model.making import SMALL, lively, one_thread
from tests.serving.making import run_of


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of the same network, trained on gray faces of 48 pixels, or on colour faces of 64."""
    network = lively(FaceNetwork(SMALL, 7, 48, 0.0))
    native = {"gray": Faces(48, False), "colour": Faces(64, True)}
    return {name: run_of(tmp_path_factory.mktemp(name), network, faces) for name, faces in native.items()}
