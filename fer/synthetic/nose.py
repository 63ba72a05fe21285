"""The nose's wings and nostrils; its bridge is modelled by light and shade alone."""

from fer.synthetic.actions import FaceActions
from fer.synthetic.geometry import Shape, make_ellipse, make_points, mirror, smooth, stroke
from fer.synthetic.head import darken_skin
from fer.synthetic.identity import Identity


def build_nose(actions: FaceActions, identity: Identity) -> list[Shape]:
    """Tip, wings and nostrils; wrinkling (AU9) lifts and widens them."""
    lift = 0.05 * actions.nose_wrinkle + 0.012 * actions.upper_lip_raise
    tip = 0.275 + identity.nose_length - lift
    wing = 0.118 * identity.nose_width + 0.022 * actions.nose_wrinkle + 0.012 * max(actions.lip_corner, 0.0)
    foot = 0.62 * wing
    base = make_points(
        (-foot, tip + 0.035), (-0.035, tip + 0.03), (0.0, tip + 0.045), (0.035, tip + 0.03), (foot, tip + 0.035)
    )  # fmt: skip
    side = make_points(
        (0.86 * wing, tip - 0.08), (1.06 * wing, tip - 0.02), (0.95 * wing, tip + 0.03), (0.66 * wing, tip + 0.03)
    )  # fmt: skip
    hole = make_ellipse((0.52 * wing, tip + 0.022), (0.27 * wing, 0.017), 12)
    return [
        Shape(stroke(smooth(base), 0.022), darken_skin(identity.skin, 0.75)),
        Shape(mirror(stroke(smooth(side), 0.026)), darken_skin(identity.skin, 0.8)),
        Shape(mirror(hole), darken_skin(identity.skin, 1.0)),
    ]
