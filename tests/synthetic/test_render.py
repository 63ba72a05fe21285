from dataclasses import replace

import cv2
import numpy as np
import pytest

from fer.emotions import EMOTIONS
from fer.synthetic import FaceActions, Identity, Scene, draw_face, paste_face, sample_actions


def changed(actions: FaceActions) -> np.ndarray:
    """(64, 64) bool: pixels that ``actions`` move on the default face."""
    before, after = (draw_face(face, Identity(), Scene(), 64).astype(int) for face in (FaceActions(), actions))
    return np.abs(after - before).max(axis=2) > 12


def test_drawing_is_pure() -> None:
    scene = replace(Scene.sample(np.random.default_rng(2)), noise=10.0)
    first, second = (draw_face(FaceActions(), Identity(), scene, 64) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("actions", "rows"),
    [
        (FaceActions(outer_brow_raise=1.0, inner_brow_raise=1.0), slice(4, 34)),
        (FaceActions(upper_lid=-1.0), slice(20, 36)),
        (FaceActions(lip_corner=-1.0), slice(34, 64)),
        (FaceActions(jaw_drop=1.0), slice(34, 64)),
    ],
)
def test_an_action_moves_its_own_part_of_the_face(actions: FaceActions, rows: slice) -> None:
    moved = changed(actions)
    assert moved[rows].sum() > 40
    moved[rows] = False
    assert not moved.any()


def test_a_face_too_small_to_see_is_refused() -> None:
    with pytest.raises(ValueError, match="size must be at least 16 pixels, not 8"):
        draw_face(FaceActions(), Identity(), Scene(), 8)
    with pytest.raises(ValueError, match="face_height must be at least 16 pixels, not 5"):
        paste_face(np.zeros((64, 64, 3), np.uint8), FaceActions(), Identity(), Scene(), (32, 32), 5)


def test_an_unknown_style_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown occluder 'hat'; there are none, hand, hair, scarf"):
        Scene(occluder="hat")
    with pytest.raises(ValueError, match="unknown hair_style 'mohawk'; there are bald, cropped"):
        Identity(hair_style="mohawk")


def test_pasting_leaves_the_rest_of_the_canvas_alone() -> None:
    canvas = np.random.default_rng(0).integers(0, 256, (180, 320, 3), dtype=np.uint8)
    before = canvas.copy()
    assert paste_face(canvas, FaceActions(), Identity(), Scene(), (240.0, 80.0), 90.0) is canvas
    np.testing.assert_array_equal(canvas[:, :110], before[:, :110])
    assert (canvas[50:110, 215:265] != before[50:110, 215:265]).any(axis=2).mean() > 0.95


def test_a_face_may_reach_over_the_canvas_edge_or_lie_outside() -> None:
    canvas = np.full((90, 120, 3), 128, np.uint8)
    paste_face(canvas, FaceActions(), Identity(), Scene(), (0.0, 0.0), 100.0)
    assert (canvas[:40, :30] != 128).any()
    canvas[:] = 128
    paste_face(canvas, FaceActions(), Identity(), Scene(), (-500.0, 40.0), 100.0)
    paste_face(canvas, FaceActions(), Identity(), Scene(), (60.0, 500.0), 100.0)
    assert (canvas == 128).all()


def test_the_haar_cascade_finds_pasted_faces() -> None:
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    found = 0
    for index in range(42):
        rng = np.random.default_rng((5, index))
        canvas = np.full((360, 640, 3), rng.integers(90, 220, 3), np.uint8)
        actions = sample_actions(EMOTIONS[index % len(EMOTIONS)], rng.uniform(0.3, 1.0), rng)
        x, y, height = rng.uniform(150, 490), rng.uniform(150, 200), rng.uniform(160, 220)
        paste_face(canvas, actions, Identity.sample(rng), Scene(), (x, y), height)
        boxes = cascade.detectMultiScale(cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY), 1.1, 5, minSize=(60, 60))
        found += any(
            abs(bx + bw / 2 - x) < 0.25 * height and abs(by + bh / 2 - y) < 0.3 * height for bx, by, bw, bh in boxes
        )
    assert found >= 0.9 * 42
