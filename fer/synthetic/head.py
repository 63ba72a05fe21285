"""The head without its features: body, neck, ears, outline, and beard."""

import numpy as np

from fer.synthetic.actions import FaceActions
from fer.synthetic.geometry import Colour, Shape, close_by_mirroring, make_points, mirror, mix_colours, smooth, stroke
from fer.synthetic.identity import Identity

_COVERS_EARS = ("bob", "long", "fringe")
_JAW_TRAVEL = 0.17  # head units the chin sinks when the jaw drops fully


def compute_chin_y(actions: FaceActions, identity: Identity) -> float:
    """Lowest point of the face."""
    return 1.0 + identity.chin_length + _JAW_TRAVEL * actions.jaw_drop - 0.02 * actions.chin_raise


def darken_skin(skin: Colour, depth: float = 1.0) -> Colour:
    """The skin's colour in a crease or shadow; ``depth`` 0..1."""
    return mix_colours(skin, (skin[0] * 0.60, skin[1] * 0.46, skin[2] * 0.44), depth)


def build_outline(actions: FaceActions, identity: Identity) -> np.ndarray:
    """(n, 2) contour of crown, cheeks and jaw."""
    width, jaw = identity.face_width, identity.face_width * identity.jaw_width
    chin = compute_chin_y(actions, identity)
    sunk = chin - 1.0
    plump = 0.015 * actions.cheek_raise
    right = make_points(
        (0.0, -1.0),
        (0.5 * width, -0.91),
        (0.86 * width, -0.665),
        (1.0 * width, -0.30),
        (0.985 * width, 0.08),
        (0.35 * width + 0.6 * jaw + plump, 0.38 + 0.2 * sunk),
        (0.93 * jaw, 0.63 + 0.5 * sunk),
        (0.62 * jaw, 0.87 + 0.9 * sunk),
        (0.26 * jaw, 0.985 + sunk),
        (0.0, chin),
    )
    return smooth(close_by_mirroring(right), closed=True, steps=4)


def build_body(actions: FaceActions, identity: Identity) -> list[Shape]:
    """Shoulders and neck, behind the head; they reach far below the image."""
    chin = compute_chin_y(actions, identity)
    neck = 0.56 * identity.face_width * (0.62 + 0.45 * identity.jaw_width)
    shoulder = 2.55 * identity.face_width
    slope = smooth(
        make_points(
            (0.0, 1.36),
            (neck * 1.05, 1.27),
            (0.55 * shoulder, 1.43),
            (0.86 * shoulder, 1.6),
            (shoulder, 2.0),
            (1.02 * shoulder, 2.6),
        )
    )
    torso = np.concatenate((slope, make_points((1.05 * shoulder, 9.0), (0.0, 9.0))))
    collar = make_points(
        (0.0, 1.62),
        (0.6 * neck, 1.5),
        (neck * 1.15, 1.24),
        (neck * 1.32, 1.3),
        (0.66 * neck, 1.62),
        (0.0, 1.74),
    )
    # Narrow at the top, or its corners would show beside the jaw of a turned head.
    throat = make_points(
        (0.0, 0.5),
        (0.62 * neck, 0.6),
        (0.96 * neck, 0.84),
        (neck, 1.1),
        (neck * 1.2, 1.34),
        (0.5 * neck, 1.56),
        (0.0, 1.62),
    )
    shade = make_points(
        (0.0, 0.5),
        (0.62 * neck, 0.6),
        (0.96 * neck, 0.84),
        (neck, chin + 0.02),
        (0.5 * neck, chin + 0.14),
        (0.0, chin + 0.17),
    )
    return [
        Shape(close_by_mirroring(torso), identity.clothes),
        Shape(close_by_mirroring(throat), darken_skin(identity.skin, 0.18)),
        Shape(close_by_mirroring(shade), darken_skin(identity.skin, 0.6)),
        Shape(close_by_mirroring(collar), mix_colours(identity.clothes, (0, 0, 0), 0.18)),
    ]


def build_ears(identity: Identity) -> list[Shape]:
    """Both ears, behind the head's outline; none where the hair hangs over them."""
    if identity.hair_style in _COVERS_EARS:
        return []
    edge = identity.face_width
    shell = make_points(
        (edge - 0.06, -0.14),
        (edge + 0.04, -0.18),
        (edge + 0.1, -0.08),
        (edge + 0.07, 0.1),
        (edge + 0.01, 0.2),
        (edge - 0.06, 0.18),
    )
    fold = smooth(make_points((edge + 0.005, -0.1), (edge + 0.06, -0.09), (edge + 0.045, 0.04), (edge + 0.005, 0.1)))
    return [
        Shape(mirror(smooth(shell, closed=True, steps=4)), darken_skin(identity.skin, 0.14)),
        Shape(mirror(stroke(fold, 0.03)), darken_skin(identity.skin, 0.55)),
    ]


def build_beard(actions: FaceActions, identity: Identity) -> list[Shape]:
    """Stubble, moustache or full beard; the mouth is drawn over it."""
    if identity.beard == "none":
        return []
    strength = 0.2 if identity.beard == "stubble" else 0.92
    colour = mix_colours(identity.skin, mix_colours(identity.facial_hair, (0, 0, 0), 0.1), strength)
    lift = 0.05 * max(actions.lip_corner, 0.0) + 0.05 * actions.upper_lip_raise
    reach = 0.3 + 0.07 * actions.lip_stretch + 0.05 * actions.lip_corner
    moustache = make_points(
        (0.0, 0.40 - lift * 0.6),
        (0.12, 0.39 - lift * 0.7),
        (reach * 0.8, 0.47 - lift),
        (reach + 0.05, 0.60 - 1.4 * lift - 0.06 * min(actions.lip_corner, 0.0)),
        (reach * 0.9, 0.57 - lift),
        (0.12, 0.52),
        (0.0, 0.50),
    )
    shapes = [Shape(smooth(close_by_mirroring(moustache), closed=True, steps=3), colour)]
    if identity.beard == "moustache":
        return shapes
    width, jaw = identity.face_width, identity.face_width * identity.jaw_width
    chin = compute_chin_y(actions, identity)
    sunk = chin - 1.0
    right = make_points(
        (0.0, 0.50),
        (0.36, 0.47 - lift),
        (0.60 * width, 0.40 - 0.5 * lift),
        (0.86 * width, 0.12),
        (0.93 * width, -0.16),
        (0.995 * width, -0.16),
        (0.99 * width, 0.08),
        (0.35 * width + 0.6 * jaw + 0.008, 0.38 + 0.2 * sunk),
        (0.93 * jaw + 0.012, 0.63 + 0.5 * sunk),
        (0.62 * jaw + 0.012, 0.88 + 0.9 * sunk),
        (0.26 * jaw, 1.0 + sunk),
        (0.0, chin + 0.02),
    )
    return [Shape(smooth(close_by_mirroring(right), closed=True, steps=3), colour), *shapes]
