"""The soft light and shade that models a flat face: sockets, cheeks, nose, lips, chin."""

import numpy as np

from fer.synthetic.actions import FaceActions
from fer.synthetic.geometry import Colour, Shape, make_ellipse, make_points, mirror
from fer.synthetic.head import compute_chin_y
from fer.synthetic.identity import Identity
from fer.synthetic.mouth import MOUTH_Y
from fer.synthetic.painter import NEUTRAL_SHADE

_HAIRLINE = make_ellipse((0.0, -0.92), (0.7, 0.2))
_UNDER_NOSE = make_ellipse((0.0, 0.355), (0.13, 0.045))
_NOSE_SIDE = make_points((0.04, -0.16), (0.10, -0.12), (0.19, 0.26), (0.07, 0.26))


def _make_gain(red: float, green: float, blue: float) -> Colour:
    return (red * NEUTRAL_SHADE, green * NEUTRAL_SHADE, blue * NEUTRAL_SHADE)


_SHADOW = _make_gain(0.87, 0.81, 0.79)  # skin's shadows are warm: red falls off least


def build_shades(actions: FaceActions, identity: Identity, outline: np.ndarray, light_x: float) -> list[Shape]:
    """Shapes for ``painter.paint_shade`` on the face of contour ``outline``.

    ``light_x`` in -1..1 tells which side the light comes from (-1: the image's left).
    """
    far = -1.0 if light_x > 0 else 1.0  # the side in shadow
    away = abs(light_x)
    rim = np.concatenate((outline, outline[::-1] * 0.93 + (-0.05 * far * away, -0.03)))
    dim = 1.0 - 0.14 * away
    apple = 0.21 - 0.05 * max(actions.cheek_raise, actions.lip_corner)
    pale = 1.0 - 0.1 * identity.blush
    # Dark skin reflects as much from its surface, so its highlights stand out more.
    sheen = 1.0 + 7.0 * max(0.5 - sum(identity.skin) / 765.0, 0.0)
    cheek, bridge, brow = 1.0 + 0.12 * sheen, 1.0 + 0.14 * sheen, 1.0 + 0.09 * sheen
    glow = cheek * (0.05 + 0.95 * pale)
    chin = 0.9 * (compute_chin_y(actions, identity) - 1.0)
    knit = actions.brow_lower
    return [
        Shape(rim, _make_gain(0.88, 0.82, 0.8)),
        Shape(make_ellipse((0.62 * far, 0.2), (0.16 + 0.1 * away, 0.75)), _make_gain(dim, 0.98 * dim, 0.98 * dim)),
        Shape(_HAIRLINE, _make_gain(0.9, 0.86, 0.85)),
        Shape(make_ellipse((-0.12 * far, -0.56), (0.36, 0.15)), _make_gain(brow, brow, brow)),
        Shape(mirror(make_ellipse((identity.eye_spacing - 0.02, -0.12), (0.22, 0.14))), _make_gain(0.86, 0.81, 0.81)),
        Shape(mirror(make_ellipse((0.43, apple), (0.19, 0.13))), _make_gain(1.03, pale, pale)),
        Shape(mirror(make_ellipse((0.40, apple - 0.03), (0.15, 0.07))), _make_gain(cheek, glow, glow)),
        Shape(_NOSE_SIDE * (far, 1.0), _SHADOW),
        Shape(make_ellipse((-0.01 * far, 0.06), (0.045, 0.2)), _make_gain(bridge, bridge, bridge)),
        Shape(_UNDER_NOSE, _SHADOW),
        Shape(make_ellipse((0.0, MOUTH_Y + 0.185 + chin), (0.17, 0.05)), _SHADOW),
        Shape(make_ellipse((-0.03 * far, 0.87 + chin), (0.14, 0.07)), _make_gain(1.05, 1.04, 1.03)),
        Shape(make_ellipse((0.0, -0.28), (0.07, 0.09)), _make_gain(1 - 0.13 * knit, 1 - 0.18 * knit, 1 - 0.18 * knit)),
    ]
