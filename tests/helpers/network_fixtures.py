"""Small networks that the tests make themselves."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fer.models.network import FaceNetwork
from tests.helpers.networks import SMALL, lively
from tests.helpers.paths import SHARED


@pytest.fixture(scope="session")
def network() -> FaceNetwork:
    """A network whose logits differ from face to face; tests only read it."""
    return lively(FaceNetwork(SMALL, 7, 48, 0.0))


@pytest.fixture
def make_network() -> Callable[[], FaceNetwork]:
    """Function that makes the same network anew, ready to train."""
    return lambda: lively(FaceNetwork(SMALL, 7, 48, 0.0)).train()


@pytest.fixture(scope="session")
def imagenet_weights() -> Path:
    """Published weights of mobilenetv2_100 beside the repository; tests that need them are skipped without."""
    path = SHARED / "models" / "mobilenetv2_100_imagenet.safetensors"
    if not path.is_file():
        pytest.skip(f"{path} is not on this machine")
    return path
