"""Eyes, lids, brows and glasses."""

import numpy as np

from fer.synthetic.actions import FaceActions
from fer.synthetic.geometry import (
    Colour,
    Shape,
    make_ellipse,
    make_points,
    mirror,
    mix_colours,
    smooth,
    stack_xy,
    stroke,
)
from fer.synthetic.head import darken_skin
from fer.synthetic.identity import Identity

EYE_Y = -0.06
_SIDES = np.array((1.0, -1.0))  # the image's right eye first
_ALONG = np.linspace(-1.0, 1.0, 13)  # from an eye's inner to its outer corner
# Profiles of lids over _ALONG: 0 at the corners, 1 in the middle; the higher the lid, the rounder.
_UPPER_LID, _LOWER_LID, _LID_FOLD = ((1.0 - _ALONG * _ALONG) ** sharpness for sharpness in (0.72, 0.85, 0.6))
# Iris rim, iris, pupil and highlight of an eye, in parts of the iris's radius: (4, 1, points, 2).
_IRIS_DISCS = np.stack(
    (
        make_ellipse((0.0, 0.0), (1.0, 1.0)),
        make_ellipse((0.0, 0.1), (0.8, 0.8)),
        make_ellipse((0.0, 0.0), (0.52, 0.52)),
        make_ellipse((-0.35, -0.38), (0.27, 0.27)),
    )
)[:, None]
_DARK: Colour = (36, 24, 26)


class _EyeOpening:
    """The gap between the lids of both eyes, as two curves over the eye's width."""

    def __init__(self, actions: FaceActions, identity: Identity) -> None:
        size = identity.eye_size
        self.half_width = 0.178 * size
        self.spacing = identity.eye_spacing
        raised, drooped = max(actions.upper_lid, 0.0), max(-actions.upper_lid, 0.0)
        squint = 0.16 * actions.lid_tighten + 0.16 * actions.cheek_raise + 0.22 * actions.nose_wrinkle
        knit = actions.brow_lower * (1.0 - 0.8 * actions.inner_brow_raise)
        self.rest_height = 0.105 * size * identity.eye_roundness
        upper = self.rest_height * (1.0 + 0.52 * raised) * (1.0 - squint) * (1.0 - 0.12 * knit)
        lower = 0.062 * size * identity.eye_roundness * (1.0 + 0.12 * raised)
        lower -= 0.036 * actions.lid_tighten + 0.072 * actions.cheek_raise + 0.04 * actions.nose_wrinkle
        upper -= drooped * (upper + lower)
        self.upper, self.lower = upper, max(lower, 0.012 - upper)
        self.tilt = -0.022 * identity.eye_tilt + 0.02 * actions.inner_brow_raise * drooped
        # A knit brow presses the upper lid down at its inner end; a raised one opens it there.
        self.skew = 0.3 * knit - 0.32 * actions.inner_brow_raise * (1.0 - 0.7 * raised)
        self.upper_lid = self.compute_lid(_UPPER_LID, self.upper)
        self.lower_lid = self.compute_lid(_LOWER_LID, -self.lower)

    def compute_lid(self, profile: np.ndarray, height: float) -> np.ndarray:
        """Compute y of a lid over _ALONG, ``height`` above the corners; ``profile`` is one of the lid profiles."""
        skew = self.skew if height > 0.0 else 0.0
        return EYE_Y + self.tilt * _ALONG - height * profile * (1.0 + skew * _ALONG)

    def make_curve(self, y: np.ndarray) -> np.ndarray:
        """(13, 2) points of the right eye at heights ``y`` over _ALONG."""
        return stack_xy(self.spacing + self.half_width * _ALONG, y)

    def clip(self, circle: np.ndarray) -> np.ndarray:
        """The part between the lids of circles (..., 2, n, 2), one an eye, the right eye's first."""
        along = (circle[..., 0] * _SIDES[:, None] - self.spacing) * (1.0 / self.half_width)
        along = np.minimum(np.maximum(along, -1.0), 1.0)
        x = _SIDES[:, None] * (self.spacing + self.half_width * along)
        y = np.maximum(circle[..., 1], np.interp(along, _ALONG, self.upper_lid))
        return stack_xy(x, np.minimum(y, np.interp(along, _ALONG, self.lower_lid)))


def build_eyes(actions: FaceActions, identity: Identity) -> list[Shape]:
    """Sclera, iris, lids and lashes of both eyes."""
    opening = _EyeOpening(actions, identity)
    upper = opening.make_curve(opening.upper_lid)
    lower = opening.make_curve(opening.lower_lid)
    fold_height = max(opening.upper, 0.82 * opening.rest_height) + 0.045
    fold = opening.make_curve(opening.compute_lid(_LID_FOLD, fold_height))
    skin = identity.skin
    shapes = [
        Shape(mirror(np.concatenate((fold, upper[::-1]))), darken_skin(skin, 0.24)),
        Shape(mirror(stroke(fold[1:], 0.02)), darken_skin(skin, 0.75)),
        Shape(mirror(np.concatenate((upper, lower[::-1]))), mix_colours((240, 237, 235), skin, 0.1)),
    ]
    if opening.upper + opening.lower > 0.03:
        shapes += _build_irises(actions, identity, opening)
    lash = 0.03 + 0.014 * identity.lashes
    shapes += [
        Shape(mirror(stroke(lower[2:], 0.016)), darken_skin(skin, 0.85)),
        Shape(mirror(stroke(upper, lash, 0.35, 0.7)), _DARK),
    ]
    if identity.lashes > 0.5:
        corner = upper[-1]
        wing = np.stack((upper[-3] + (0.0, -0.004), corner + (0.01, -0.01), corner + (0.05, -0.045)))
        shapes.append(Shape(mirror(stroke(wing, 0.034, 0.8, 0.0)), _DARK))
    return shapes


def _build_irises(actions: FaceActions, identity: Identity, opening: _EyeOpening) -> list[Shape]:
    radius = 0.098 * identity.eye_size
    x = _SIDES * opening.spacing + 0.06 * actions.gaze_x
    y = EYE_Y - 0.018 + 0.045 * actions.gaze_y + 0.01 * min(actions.upper_lid, 0.0)
    centers = stack_xy(x, np.array(y))[:, None, :]
    rim = mix_colours(identity.eye_colour, (0, 0, 0), 0.45)
    glow = mix_colours(identity.eye_colour, (255, 240, 210), 0.22)
    rim_disc, glow_disc, pupil, glint = opening.clip(centers + radius * _IRIS_DISCS)
    shade = opening.make_curve(opening.upper_lid + 0.022)
    return [
        # The upper lid's shadow on the eyeball keeps the white from staring.
        Shape(opening.clip(mirror(stroke(shade, 0.05, 0.6, 0.6))), (190, 184, 190)),
        Shape(rim_disc, rim),
        Shape(glow_disc, glow),
        Shape(pupil, (16, 12, 14)),
        Shape(glint, (255, 255, 255)),
    ]


def build_brows(actions: FaceActions, identity: Identity) -> list[Shape]:
    """Both eyebrows."""
    inner, outer = actions.inner_brow_raise, actions.outer_brow_raise
    lower = min(max(actions.brow_lower + 0.5 * identity.resting_brow, 0.0), 1.0)
    press = lower * (1.0 - 0.75 * inner)  # with AU1 the brow is drawn together, not down
    base = -0.315 - identity.brow_height - 0.02 * (1.0 - lower)
    wrinkled = 0.035 * actions.nose_wrinkle
    droop = 0.05 * inner * (1.0 - outer)  # AU1 alone makes the brow oblique
    arch = 0.02 * identity.brow_arch
    out = identity.eye_spacing - 0.335
    line = make_points(
        (0.125 + out - 0.04 * lower, base + 0.012 - 0.15 * inner + 0.135 * press + wrinkled),
        (0.225 + out - 0.02 * lower, base - 0.018 - 0.095 * inner - 0.05 * outer + 0.10 * press + wrinkled),
        (
            0.37 + out,
            base - 0.05 - arch - 0.02 * inner - 0.125 * outer + 0.03 * press + 0.4 * wrinkled + 0.3 * droop,
        ),
        (0.53 + out, base + 0.015 - 0.085 * outer - 0.015 * press + droop),
    )
    thickness = identity.brow_thickness * (1.0 + 0.18 * press)
    colour = mix_colours(mix_colours(identity.facial_hair, (20, 14, 14), 0.35), identity.skin, 0.06)
    return [Shape(mirror(stroke(smooth(line), thickness * 1.35, 0.62, 0.08)), colour)]


def build_glasses(identity: Identity) -> list[Shape]:
    """Rims, bridge and temples; the lenses are clear."""
    if identity.glasses == "none":
        return []
    x, half = identity.eye_spacing + 0.01, 0.245
    if identity.glasses == "round":
        rim = make_ellipse((x, EYE_Y + 0.015), (half, half * 0.92), 28)
    else:
        left, right, top, bottom = x - half, x + half, EYE_Y - 0.17, EYE_Y + 0.19
        corner = 0.06
        knots = make_points(
            (left + corner, top), (x, top - 0.005), (right - corner, top),
            (right, top + corner), (right - 0.005, EYE_Y), (right - 0.01, bottom - corner),
            (right - corner, bottom), (x, bottom + 0.008), (left + corner, bottom),
            (left + 0.01, bottom - corner), (left + 0.005, EYE_Y), (left, top + corner),
        )  # fmt: skip
        rim = smooth(knots, closed=True, steps=3)
    ring = np.concatenate((rim, rim[:1]))
    nose = smooth(
        make_points((x - half, EYE_Y - 0.03), (0.04, EYE_Y - 0.075), (-0.04, EYE_Y - 0.075), (half - x, EYE_Y - 0.03))
    )
    temple = make_points(
        (x + half, EYE_Y - 0.05),
        (0.5 * (x + half + identity.face_width), EYE_Y - 0.045),
        (identity.face_width + 0.02, EYE_Y - 0.04),
    )
    return [
        Shape(mirror(stroke(temple, 0.035, 1.0, 1.0)), identity.glasses_colour),
        Shape(mirror(stroke(ring, 0.03, 1.0, 1.0)), identity.glasses_colour),
        Shape(stroke(nose, 0.03, 1.0, 1.0), identity.glasses_colour),
    ]
