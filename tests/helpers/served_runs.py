"""Runs and pictures for tests of the predictor."""

from pathlib import Path

import numpy as np

from fer.bundle.io import FaceFormat, build_description, save_bundle
from fer.emotions import EMOTIONS
from fer.models.network import FaceNetwork
from tests.helpers.networks import faces

FACTS = {"metrics": {}, "data_fingerprint": "0", "config_sha256": "0"}


def run_of(folder: Path, network: FaceNetwork, native: FaceFormat) -> Path:
    """``folder``, as a run with a bundle of temperature 1.5."""
    save_bundle(folder / "bundle", network, build_description(network, EMOTIONS, native, 1.5, FACTS))
    return folder


def mixed() -> list[np.ndarray]:
    """Pictures of several sizes and shapes, gray and colour."""
    found = [faces(1, side, channels, side)[0] for side in (32, 48, 64, 200) for channels in (1, 3)]
    found += [image[..., 0] for image in found if image.shape[2] == 1]
    return [*found, faces(1, 160, 3, 9)[0][20:120, :90], faces(1, 64, 3, 8)[0][:, ::2]]
