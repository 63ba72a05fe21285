"""The mouth: lips, opening, teeth and tongue."""

import numpy as np

from fer.synthetic.actions import FaceActions
from fer.synthetic.geometry import Shape, make_ellipse, make_points, mix_colours, smooth, stack_xy, stroke
from fer.synthetic.head import darken_skin
from fer.synthetic.identity import Identity

MOUTH_Y = 0.545
_ALONG = np.linspace(-1.0, 1.0, 21)  # from the left to the right lip corner
_BOW = np.interp(  # cupid's bow: height of the upper lip's edge over the lip's middle height
    np.abs(_ALONG), (0.0, 0.16, 0.34, 0.62, 0.85, 1.0), (0.84, 1.0, 1.0, 0.66, 0.26, 0.0)
)


class _Lips:
    """The four edges of the lips as heights over _ALONG, and where their corners are."""

    def __init__(self, actions: FaceActions, identity: Identity) -> None:
        corner = min(max(actions.lip_corner + 0.6 * identity.resting_lip_corner, -1.0), 1.0)
        smile, frown = max(corner, 0.0), max(-corner, 0.0)
        press, stretch, drop = actions.lip_press, actions.lip_stretch, actions.jaw_drop
        sneer = max(actions.upper_lip_raise, 0.55 * actions.nose_wrinkle)
        part = max(actions.lips_part, min(2.0 * drop, 1.0))
        self.part = part
        # A dropped jaw alone rounds the mouth; pulled or stretched corners keep it wide.
        rounding = drop * (1.0 - 0.75 * smile) * (1.0 - 0.8 * stretch)
        self.half_width = identity.mouth_width * (
            0.262 + 0.115 * smile + 0.09 * stretch + 0.01 * frown - 0.025 * press - 0.075 * rounding
        )
        middle = MOUTH_Y - 0.035 * actions.chin_raise - 0.012 * sneer + 0.02 * smile
        self.corner_y = middle - 0.125 * smile + 0.105 * frown + 0.02 * stretch + 0.05 * drop
        upper_gap = part * (0.018 + 0.045 * sneer + 0.03 * smile + 0.035 * stretch + 0.03 * rounding)
        lower_gap = part * (0.02 + 0.045 * stretch + 0.03 * smile) + 0.25 * drop
        upper_mid = middle - 0.04 * sneer - upper_gap - 0.03 * frown
        lower_mid = middle - 0.03 * frown - 0.04 * sneer * (1.0 - part) + lower_gap
        # Round (surprise) and square (fear, anger) mouths are fuller at the sides than a smile.
        fullness = 1.0 - 0.42 * rounding - 0.55 * stretch * part
        plain = 1.0 - _ALONG * _ALONG
        self.inner_top = self._compute_edge(upper_mid, plain ** (fullness + (1.0 - fullness) * smile))
        self.inner_bottom = np.maximum(self._compute_edge(lower_mid, plain**fullness), self.inner_top)
        flesh = identity.lip_fullness * (1.0 - 0.72 * press)
        top = flesh * (0.068 - 0.018 * smile - 0.014 * stretch - 0.012 * sneer)
        bottom = flesh * (0.088 - 0.016 * smile - 0.014 * stretch + 0.012 * actions.chin_raise)
        self.outer_top = self.inner_top - top * _BOW
        self.outer_bottom = self.inner_bottom + bottom * plain**0.8

    def _compute_edge(self, middle: float, profile: np.ndarray) -> np.ndarray:
        return self.corner_y + (middle - self.corner_y) * profile

    def make_curve(self, y: np.ndarray) -> np.ndarray:
        """(21, 2) points at heights ``y``."""
        return stack_xy(self.half_width * _ALONG, y)

    def make_band(self, top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
        """Contour of the band between two heights over _ALONG."""
        return np.concatenate((self.make_curve(top), self.make_curve(bottom)[::-1]))


def build_mouth(actions: FaceActions, identity: Identity) -> list[Shape]:
    """Lips, and what shows between them."""
    lips = _Lips(actions, identity)
    # Pressed or stretched lips lose colour.
    colour = mix_colours(identity.lips, identity.skin, 0.35 * actions.lip_press)
    upper = mix_colours(colour, darken_skin(identity.skin), 0.32)
    shapes = [
        Shape(lips.make_band(lips.inner_top, lips.outer_bottom), colour),
        Shape(lips.make_band(lips.outer_top, lips.inner_top + 0.004), upper),
    ]
    gap = float((lips.inner_bottom - lips.inner_top).max())
    line = mix_colours((70, 22, 26), darken_skin(identity.skin), 0.25)
    if gap > 0.02:
        shapes += _build_mouth_interior(actions, lips, gap)
    weight = 0.022 + max(0.012 - 0.3 * gap, 0.0) + 0.008 * actions.lip_press
    shapes.append(Shape(stroke(lips.make_curve(lips.inner_top), weight, 0.5, 0.5), line))
    if actions.tongue_show > 0.15 and gap > 0.04:
        shapes += _build_tongue(actions, lips)
    elif actions.lip_press < 0.5:
        bottom = lips.inner_bottom[7:14] + 0.45 * (lips.outer_bottom - lips.inner_bottom)[7:14]
        shine = stack_xy(lips.half_width * _ALONG[7:14], bottom)
        shapes.append(Shape(stroke(shine, 0.022), mix_colours(colour, (255, 255, 255), 0.3)))
    return shapes


def _build_mouth_interior(actions: FaceActions, lips: _Lips, gap: float) -> list[Shape]:
    """The dark of the mouth, the tongue's back, and the rows of teeth that the lips uncover."""
    top, bottom = lips.inner_top, lips.inner_bottom
    shapes = [Shape(lips.make_band(top, bottom), (84, 22, 30))]
    drop = actions.jaw_drop
    smile, stretch = max(actions.lip_corner, 0.0), actions.lip_stretch
    if drop > 0.3:
        hump = min(4.0 * (drop - 0.3), 1.0) * gap * (0.3 + 0.08 * np.cos(2.0 * _ALONG))
        back = np.maximum(float(bottom.max()) - hump, top)
        shapes.append(Shape(lips.make_band(np.minimum(back, bottom), bottom), (186, 78, 84)))
    sneer = max(actions.upper_lip_raise, actions.nose_wrinkle)
    bared = min(0.45 + 0.6 * smile + 0.6 * stretch + 0.4 * sneer, 1.0)
    edge = top + min(0.105 * bared, gap * (0.62 + 0.2 * max(1.0 - 4.0 * drop, 0.0)))
    shapes.append(Shape(lips.make_band(top, np.minimum(edge, bottom)), (250, 247, 240)))
    if stretch > 0.3 and drop < 0.75 and actions.tongue_show < 0.2:
        height = min(0.13 * (stretch - 0.3), 0.36 * gap)
        rise = np.maximum(bottom - height, np.minimum(edge + 0.012 + 0.08 * drop, bottom))
        shapes.append(Shape(lips.make_band(rise, bottom), (232, 228, 222)))
    return shapes


def _build_tongue(actions: FaceActions, lips: _Lips) -> list[Shape]:
    start = float(lips.inner_bottom.max()) - 0.06
    length = 0.21 * actions.tongue_show
    half = 0.42 * lips.half_width
    center = start + 0.5 * length
    groove = smooth(make_points((0.0, start), (0.004, center), (0.0, center + 0.3 * length)))
    return [
        Shape(make_ellipse((0.0, center), (half, 0.5 * length + 0.045)), (206, 92, 98)),
        Shape(stroke(groove, 0.024), (160, 58, 68)),
    ]
