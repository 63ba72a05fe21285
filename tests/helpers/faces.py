"""Drawn frames with faces, and the detector's weights that lie beside the repository."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer.synthetic import FaceActions, Identity, Scene, paste_face
from fer.video.detectors import Face
from tests.helpers.paths import SHARED


def shared(name: str) -> Path:
    """A file of ../shared; the test is skipped where it is absent."""
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"{path} is not on this machine")
    return path


def yunet_weights() -> Path:
    return shared("models/yunet_n_640_640.onnx")


def person(seed: int) -> Identity:
    """Someone without hair, beard or glasses over the face, which detectors might stumble over."""
    return replace(Identity.sample(np.random.default_rng(seed)), hair_style="cropped", beard="none", glasses="none")


def drawn_frame(
    people: list[tuple[Identity, tuple[float, float], float]],
    size: tuple[int, int] = (640, 360),
    actions: FaceActions | None = None,
) -> np.ndarray:
    """(H, W, 3) uint8 BGR with people (who, (x, y) of the face's middle, pixels from crown to chin); last in front."""
    canvas = np.full((size[1], size[0], 3), (196, 204, 208), np.uint8)
    for who, place, height in people:
        paste_face(canvas, actions or FaceActions(), who, Scene(), place, height)
    return cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR)


def face(x: float, y: float, side: float = 60.0, score: float = 0.9, landmarks: np.ndarray | None = None) -> Face:
    """A square face around (x, y)."""
    return Face(x - 0.5 * side, y - 0.5 * side, side, side, score, landmarks)
