"""Crops: where they lie, what stands beyond the frame, how large they get, and how they are turned."""

import cv2
import numpy as np
import pytest

from fer.video.crop import compute_roll, crop_face
from fer.video.detectors import Face
from tests.helpers.faces import face


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (120, 200, 3), np.uint8)


def test_a_crop_inside_the_frame_is_its_pixels_as_rgb(noise: np.ndarray) -> None:
    crop = crop_face(noise, Face(40, 30, 50, 40, 1.0), margin=0.2)
    assert crop.dtype == np.uint8
    assert np.array_equal(crop, noise[20:80, 35:95, ::-1])


def test_a_negative_margin_cuts_into_the_box(noise: np.ndarray) -> None:
    crop = crop_face(noise, Face(40, 30, 50, 50, 1.0), margin=-0.2)
    assert np.array_equal(crop, noise[35:75, 45:85, ::-1])


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ((-10, -20, 40, 40), (-20, 20), (-10, 30)),
        ((180, 100, 40, 40), (100, 140), (180, 220)),
        ((-100, 40, 40, 40), (40, 80), (-100, -60)),
        ((300, 300, 40, 40), (300, 340), (300, 340)),
        ((-50, -50, 300, 300), (-50, 250), (-50, 250)),
    ],
)
def test_beyond_the_frame_its_edge_is_repeated(
    noise: np.ndarray, box: tuple[float, ...], rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    padded = cv2.copyMakeBorder(noise, 400, 400, 400, 400, cv2.BORDER_REPLICATE)
    expected = padded[400 + rows[0] : 400 + rows[1], 400 + columns[0] : 400 + columns[1], ::-1]
    if len(expected) > 256:
        expected = cv2.resize(expected, (150, 150), interpolation=cv2.INTER_AREA)
    assert np.array_equal(crop_face(noise, Face(*box, score=1.0), margin=0.0), expected)


def test_large_faces_are_shrunk_by_averaging() -> None:
    stripes = np.zeros((2000, 2000, 3), np.uint8)
    stripes[:, ::2] = 200
    crop = crop_face(stripes, face(1000, 1000, 1024), margin=0.0)
    assert crop.shape == (256, 256, 3)
    assert (crop == 100).all()


@pytest.mark.parametrize(("side", "size"), [(255, 255), (256, 256), (257, 128), (700, 233), (1024, 256)])
def test_large_faces_are_divided_by_a_whole_number(side: int, size: int) -> None:
    frame = np.zeros((1100, 1100, 3), np.uint8)
    assert crop_face(frame, face(550, 550, side), margin=0.0).shape == (size, size, 3)


@pytest.mark.parametrize("shape", [(1, 200_000), (200_000, 1)])
def test_the_square_of_a_long_strip_needs_little_memory(shape: tuple[int, int]) -> None:
    strip = np.zeros((*shape, 3), np.uint8)
    strip[shape[0] // 2 :, shape[1] // 2 :] = (10, 120, 200)
    crop = crop_face(strip, Face(0, 0, shape[1], shape[0], 1.0), margin=0.0)
    assert crop.shape == (256, 256, 3)
    assert crop[0, 0].tolist() == [0, 0, 0] and crop[-1, -1].tolist() == [200, 120, 10]


def test_a_crop_does_not_hold_on_to_its_frame(noise: np.ndarray) -> None:
    crop = crop_face(noise, face(100, 60, 40), margin=0.0)
    assert not np.shares_memory(crop, noise)


def tilted(angle: float, side: int) -> tuple[np.ndarray, Face]:
    """A frame with two bright eyes and a mouth, tilted clockwise by ``angle`` degrees about (300, 200)."""
    frame = np.full((400, 600, 3), 60, np.uint8)
    turn = cv2.getRotationMatrix2D((300, 200), -angle, 1.0)
    flat = np.array([(-0.2, -0.1), (0.2, -0.1), (0, 0.05), (-0.15, 0.25), (0.15, 0.25)]) * side + (300, 200)
    points = flat @ turn[:, :2].T + turn[:, 2]
    for x, y in points[:2]:
        cv2.circle(frame, (round(x * 16), round(y * 16)), round(0.06 * side * 16), (240, 240, 240), -1, cv2.LINE_AA, 4)
    return frame, face(300, 200, side, landmarks=points)


@pytest.mark.parametrize("angle", [-170.0, -35.0, 0.0, 20.0, 90.0])
@pytest.mark.parametrize("side", [100, 360])
def test_alignment_levels_the_eyes(angle: float, side: int) -> None:
    frame, found = tilted(angle, side)
    assert found.landmarks is not None
    assert compute_roll(found.landmarks) == pytest.approx(angle, abs=1e-4)
    crop = crop_face(frame, found, margin=0.1, align=True)
    size = {100: 110, 360: 198}[side]
    assert crop.shape == (size, size, 3)
    bright = (crop[..., 0] > 150).astype(np.uint8)
    count, _, _, middles = cv2.connectedComponentsWithStats(bright)
    assert count == 3  # the background and two eyes
    middles = middles[1:][middles[1:, 0].argsort()]
    expected = (np.array([(-0.2, -0.1), (0.2, -0.1)]) / 1.1 + 0.5) * size - 0.5
    assert middles == pytest.approx(expected, abs=1.0)


def test_without_landmarks_there_is_nothing_to_align(noise: np.ndarray) -> None:
    found = face(100, 60, 50)
    assert np.array_equal(crop_face(noise, found, 0.1, align=True), crop_face(noise, found, 0.1, align=False))
