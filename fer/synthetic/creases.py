"""Lines that actions and age fold into the skin, each as dark as it is deep."""

from typing import NamedTuple

import numpy as np

from fer.synthetic.actions import FaceActions
from fer.synthetic.geometry import Shape, make_points, mirror, smooth, stroke
from fer.synthetic.head import darken_skin
from fer.synthetic.identity import Identity
from fer.synthetic.mouth import MOUTH_Y

_VISIBLE = 0.12  # fainter creases than this are not drawn


class _Crease(NamedTuple):
    depth: float  # 0 flat .. 1 as deep as they get; values outside mean the nearer end
    line: np.ndarray
    width: float


_NOSE_BRIDGE = (
    mirror(make_points((0.03, -0.12), (0.085, -0.145), (0.12, -0.2))),
    mirror(make_points((0.03, -0.05), (0.09, -0.065), (0.14, -0.11))),
    mirror(make_points((0.05, 0.02), (0.10, 0.01), (0.15, -0.03))),
)
_CROWS_FEET = (
    mirror(make_points((0.555, -0.06), (0.6, -0.085), (0.64, -0.12))),
    mirror(make_points((0.56, -0.02), (0.61, -0.015), (0.65, -0.025))),
)
_CHIN = smooth(make_points((-0.12, 0.79), (0.0, 0.755), (0.12, 0.79)))


def build_creases(actions: FaceActions, identity: Identity) -> list[Shape]:
    """Build all creases that are deep enough to see."""
    lines = (
        *_build_forehead_creases(actions, identity),
        *_build_eye_and_nose_creases(actions, identity),
        *_build_mouth_creases(actions, identity),
    )
    shapes = []
    for crease in lines:
        if crease.depth > _VISIBLE:
            depth = min(crease.depth, 1.0)
            contours = stroke(crease.line, crease.width * (0.6 + 0.4 * depth))
            shapes.append(Shape(contours, darken_skin(identity.skin, 0.75 * depth)))
    return shapes


def _build_forehead_creases(actions: FaceActions, identity: Identity) -> list[_Crease]:
    inner, outer = actions.inner_brow_raise, actions.outer_brow_raise
    raised = max(inner, outer)
    knit = make_points((0.052, -0.36 + 0.05 * inner), (0.042, -0.30), (0.05, -0.22))
    result = [_Crease(1.15 * actions.brow_lower, mirror(knit), 0.03)]
    arc = 0.07 * (outer - 0.5 * inner)  # AU1 alone folds the middle of the forehead upward
    half = 0.22 + 0.2 * outer
    for row, strength in ((0.0, 1.0), (0.09, 0.85)):
        y = -0.52 - identity.brow_height - 0.1 * raised - row
        end, middle = y + arc + 0.015, y + 0.3 * arc + 0.005
        line = make_points((-half, end), (-0.5 * half, y), (0.0, middle), (0.5 * half, y), (half, end))
        depth = strength * (0.55 * raised + 0.45 * identity.age * (0.4 + raised))
        result.append(_Crease(depth, smooth(line), 0.022))
    return result


def _build_eye_and_nose_creases(actions: FaceActions, identity: Identity) -> list[_Crease]:
    cheek, wrinkle, age = actions.cheek_raise, actions.nose_wrinkle, identity.age
    bag = smooth(make_points((0.19, 0.09), (0.33, 0.115 - 0.02 * cheek), (0.47, 0.07)))
    return [
        *(_Crease(wrinkle, line, 0.026) for line in _NOSE_BRIDGE),
        _Crease(0.85 * cheek + 0.5 * wrinkle + 0.2 * age, mirror(bag), 0.02),
        *(_Crease(0.9 * cheek + 0.25 * age - 0.2, line, 0.018) for line in _CROWS_FEET),
    ]


def _build_mouth_creases(actions: FaceActions, identity: Identity) -> list[_Crease]:
    """The nasolabial folds, and the bunched chin (AU17)."""
    smile, frown = max(actions.lip_corner, 0.0), max(-actions.lip_corner, 0.0)
    reach = 0.105 * smile + 0.05 * actions.lip_stretch
    low = MOUTH_Y + 0.02 - 0.1 * smile + 0.05 * frown
    wing = 0.165 * identity.nose_width
    fold = make_points(
        (wing, 0.21 - 0.05 * actions.nose_wrinkle),
        (wing + 0.09 + 0.4 * reach, 0.32),
        (0.325 + reach, low - 0.06),
        (0.33 + reach, low + 0.05),
    )
    pull = max(0.75 * smile, actions.nose_wrinkle, 0.7 * actions.upper_lip_raise, 0.45 * frown)
    return [
        _Crease(pull + 0.35 * identity.age, mirror(smooth(fold)), 0.026),
        _Crease(actions.chin_raise + 0.5 * frown - 0.2, _CHIN, 0.026),
    ]
