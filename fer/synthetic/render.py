"""Draw a face as an image of its own, or into a larger image."""

import cv2
import numpy as np

from fer.synthetic.actions import FaceActions
from fer.synthetic.creases import build_creases
from fer.synthetic.eyes import build_brows, build_eyes, build_glasses
from fer.synthetic.geometry import Projection, Shape
from fer.synthetic.hair import build_back_hair, build_front_hair
from fer.synthetic.head import build_beard, build_body, build_ears, build_outline
from fer.synthetic.identity import Identity
from fer.synthetic.light import apply_camera, relight, render_backdrop
from fer.synthetic.mouth import build_mouth
from fer.synthetic.nose import build_nose
from fer.synthetic.occluders import build_occluder
from fer.synthetic.painter import paint, paint_shade
from fer.synthetic.scene import Scene
from fer.synthetic.shading import build_shades

SMALLEST = 16  # pixels; below this no expression is left
_DRAWN_AT_LEAST = 128  # pixels a side; smaller images are drawn larger and shrunk
_FACE_UNITS = 2.1  # head units an image's side spans: brow to chin, with the hair cut as in FER2013
_PERSON_HALF_WIDTH, _PERSON_ABOVE = 2.4, 2.0  # head units from the face's middle that a person reaches
_MIDDLE_Y = 0.06  # head units below the face's middle that stand at the image's centre


def draw_face(actions: FaceActions, identity: Identity, scene: Scene, size: int) -> np.ndarray:
    """Draw a face alone, tightly framed; a pure function of its arguments.

    Args:
        actions: What the face does.
        identity: Whose face it is.
        scene: Framing, light, camera, backdrop and occluder.
        size: Width and height of the image, pixels.

    Returns:
        (size, size, 3) uint8 RGB.

    Raises:
        ValueError: The size is under 16 pixels.
    """
    if size < SMALLEST:
        raise ValueError(f"size must be at least {SMALLEST} pixels, not {size}")
    factor = max(2, -(-_DRAWN_AT_LEAST // size))
    side = factor * size
    canvas = render_backdrop(side, scene)
    unit = side / _FACE_UNITS * scene.scale
    middle = 0.5 * side
    origin = (middle + side * scene.shift_x, middle + side * scene.shift_y - _MIDDLE_Y * unit)
    _draw_person(canvas, actions, identity, scene, unit, origin)
    small = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    return apply_camera(relight(small, scene), scene)


def paste_face(
    canvas_rgb: np.ndarray,
    actions: FaceActions,
    identity: Identity,
    scene: Scene,
    center_xy: tuple[float, float],
    face_height: float,
) -> np.ndarray:
    """Draw a person into a canvas in place, and return it. Shoulders reach down to the canvas's lower edge.

    Args:
        canvas_rgb: (height, width, 3) uint8 RGB.
        actions: What the face does.
        identity: Whose face it is.
        scene: Of it only light and occluder count: framing, backdrop and camera are the canvas's own.
        center_xy: Pixel of the face's middle, between crown and chin.
        face_height: Pixels from crown to chin.

    Raises:
        ValueError: The face is under 16 pixels high.
    """
    if face_height < SMALLEST:
        raise ValueError(f"face_height must be at least {SMALLEST} pixels, not {face_height}")
    unit = 0.5 * face_height
    left = max(int(center_xy[0] - _PERSON_HALF_WIDTH * unit), 0)
    right = max(int(center_xy[0] + _PERSON_HALF_WIDTH * unit), 0)
    top = max(int(center_xy[1] - _PERSON_ABOVE * unit), 0)
    patch = canvas_rgb[top:, left:right]
    if patch.size == 0:
        return canvas_rgb  # the person is out of the frame
    large = cv2.resize(patch, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    origin = (2.0 * (center_xy[0] - left), 2.0 * (center_xy[1] - top))
    _draw_person(large, actions, identity, scene, 2.0 * unit, origin)
    # Nearest enlargement and area shrinking undo each other: untouched pixels come back unchanged.
    person = cv2.resize(large, patch.shape[1::-1], interpolation=cv2.INTER_AREA)
    # Only the person is lit; the canvas brought its own light.
    red, green, blue = cv2.split(cv2.absdiff(person, patch))
    drawn = cv2.max(cv2.max(red, green), blue)
    lit = np.clip(relight(person, scene), 0.0, 255.0).astype(np.uint8)
    cv2.copyTo(lit, drawn, patch)
    return canvas_rgb


def _draw_person(
    canvas: np.ndarray,
    actions: FaceActions,
    identity: Identity,
    scene: Scene,
    unit: float,
    origin: tuple[float, float],
) -> None:
    """Paint body and head; ``unit``: pixels a head unit; ``origin``: pixel of the face's middle."""
    upright = Projection.from_head_pose(unit, origin, 0.0, 0.0, 0.0)
    turned = Projection.from_head_pose(unit, origin, actions.yaw, actions.pitch, actions.roll)
    face = Shape(build_outline(actions, identity), identity.skin)
    paint(canvas, turned, build_back_hair(identity))
    paint(canvas, upright, build_body(actions, identity))
    paint(
        canvas,
        turned,
        [*build_ears(identity), face, *build_creases(actions, identity), *build_beard(actions, identity)],
    )
    paint_shade(canvas, turned, face, build_shades(actions, identity, face.contours, scene.light_x), 0.055 * unit)
    paint(
        canvas,
        turned,
        [
            *build_nose(actions, identity),
            *build_mouth(actions, identity),
            *build_eyes(actions, identity),
            *build_brows(actions, identity),
            *build_glasses(identity),
            *build_front_hair(identity),
            *build_occluder(identity, scene),
        ],
    )
