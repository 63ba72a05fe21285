"""Hair: what hangs behind the head, and what lies on it.

The outlines are fixed per style, with x in cheekbone half-widths and y in head units; only the face's width
scales them.
"""

from typing import NamedTuple

import numpy as np

from fer.synthetic.geometry import (
    Shape,
    close_by_mirroring,
    make_ellipse,
    make_points,
    mix_colours,
    smooth,
    stack_xy,
    stroke,
)
from fer.synthetic.identity import Identity


class _FrontHair(NamedTuple):
    """The hair on the head: its outline, and the line along which it shines."""

    outline: np.ndarray
    sheen: np.ndarray


def build_back_hair(identity: Identity) -> list[Shape]:
    """The hair that the head hides in part."""
    contours = _BEHIND.get(identity.hair_style, ())
    colour = mix_colours(identity.hair, (0, 0, 0), 0.22)
    return [Shape(contour * (identity.face_width, 1.0), colour) for contour in contours]


def build_front_hair(identity: Identity) -> list[Shape]:
    """The hair over forehead and temples, with strands and sheen; none on a bald head."""
    front = _FRONTS.get(identity.hair_style)
    if front is None:
        return []
    scale = np.array((-identity.face_width if identity.hair_flip else identity.face_width, 1.0))
    gloss = mix_colours(identity.hair, (255, 236, 214), 0.2)
    strand = mix_colours(identity.hair, (0, 0, 0), 0.25)
    sheen = front.sheen * scale
    return [
        Shape(front.outline * scale, identity.hair),
        Shape(stroke(sheen, 0.055, 0.0, 0.0), gloss),
        Shape(stroke(sheen * (0.94, 0.94) + (0.03, 0.02), 0.022, 0.0, 0.0), strand),
        Shape(stroke(sheen * (1.06, 1.06) + (0.05, 0.0), 0.022, 0.0, 0.0), strand),
    ]


def _make_symmetric_outline(*right: tuple[float, float]) -> np.ndarray:
    """Smooth closed outline from the points of its right half, middle line to middle line."""
    return smooth(close_by_mirroring(make_points(*right)), closed=True, steps=4)


def _make_free_outline(*knots: tuple[float, float]) -> np.ndarray:
    """Smooth closed outline through points all around."""
    return smooth(make_points(*knots), closed=True, steps=4)


def _make_sheen(*knots: tuple[float, float]) -> np.ndarray:
    return smooth(make_points(*knots))


def _make_curls() -> np.ndarray:
    """(15, n, 2): round curls along the upper edge of the hair."""
    angle = np.radians(np.linspace(150.0, 390.0, 15))
    rim = stack_xy(1.16 * np.cos(angle), -0.62 + 0.58 * np.sin(angle))
    return rim[:, None, :] + make_ellipse((0.0, 0.0), (0.2, 0.15), 14)


# fmt: off
_BEHIND: dict[str, tuple[np.ndarray, ...]] = {
    "bob": (
        _make_symmetric_outline(
            (0.0, -1.14), (0.7, -1.03), (1.14, -0.63), (1.3, 0.0), (1.36, 0.5), (1.2, 0.74), (0.7, 0.72),
            (0.0, 0.7),
        ),
    ),
    "long": (
        _make_symmetric_outline(
            (0.0, -1.14), (0.7, -1.03), (1.12, -0.63), (1.26, 0.0), (1.34, 0.7), (1.5, 1.5), (1.3, 2.2),
            (0.0, 2.2),
        ),
    ),
    "fringe": (
        _make_symmetric_outline(
            (0.0, -1.13), (0.66, -1.0), (1.1, -0.62), (1.2, -0.1), (1.18, 0.34), (0.9, 0.46), (0.0, 0.4),
        ),
    ),
    "curly": (make_ellipse((0.0, -0.62), (1.16, 0.58), 28), _make_curls()),
    "bun": (make_ellipse((0.0, -1.2), (0.36, 0.22)),),
}


def _make_curtain(fall: float) -> _FrontHair:
    """Parted off the middle; falls along both cheeks down to ``fall``."""
    return _FrontHair(
        _make_free_outline(
            (-1.06, fall), (-1.2, 0.0), (-1.1, -0.6), (-0.7, -1.04), (0.0, -1.15), (0.7, -1.04),
            (1.1, -0.6), (1.2, 0.0), (1.06, fall), (0.94, 0.24), (0.9, -0.3), (0.62, -0.6), (0.1, -0.78),
            (-0.24, -0.9), (-0.5, -0.68), (-0.84, -0.42), (-0.93, -0.1), (-0.94, 0.24),
        ),
        _make_sheen((-0.02, -0.98), (0.55, -0.86), (0.92, -0.5)),
    )


_FRONTS: dict[str, _FrontHair] = {
    "cropped": _FrontHair(
        _make_symmetric_outline(
            (0.0, -1.08), (0.55, -0.97), (0.93, -0.69), (1.05, -0.34), (1.02, -0.06), (0.93, -0.08),
            (0.9, -0.36), (0.8, -0.56), (0.74, -0.66), (0.4, -0.69), (0.0, -0.68),
        ),
        _make_sheen((-0.62, -0.82), (-0.3, -0.92), (0.1, -0.93)),
    ),
    # Combed over from a side parting.
    "parted": _FrontHair(
        _make_free_outline(
            (-1.03, -0.02), (-1.07, -0.45), (-0.96, -0.78), (-0.6, -1.03), (-0.1, -1.16), (0.5, -1.09),
            (0.93, -0.8), (1.07, -0.45), (1.03, -0.02), (0.93, -0.06), (0.9, -0.36), (0.78, -0.56),
            (0.3, -0.62), (-0.2, -0.7), (-0.5, -0.86), (-0.66, -0.68), (-0.86, -0.5), (-0.92, -0.06),
        ),
        _make_sheen((-0.36, -0.98), (0.15, -0.98), (0.62, -0.84)),
    ),
    # A quiff, brushed up and to the side.
    "swept": _FrontHair(
        _make_free_outline(
            (-1.02, -0.04), (-1.06, -0.5), (-0.98, -0.86), (-0.68, -1.14), (-0.1, -1.26), (0.52, -1.2),
            (0.95, -0.94), (1.07, -0.52), (1.02, -0.04), (0.93, -0.1), (0.89, -0.42), (0.76, -0.66),
            (0.36, -0.76), (-0.12, -0.72), (-0.5, -0.66), (-0.8, -0.58), (-0.9, -0.38), (-0.93, -0.1),
        ),
        _make_sheen((-0.66, -0.9), (-0.2, -1.04), (0.42, -1.06)),
    ),
    "curly": _FrontHair(
        _make_symmetric_outline(
            (0.0, -1.1), (0.6, -1.04), (1.02, -0.76), (1.12, -0.4), (1.03, -0.12), (0.95, -0.28),
            (0.9, -0.46), (0.76, -0.56), (0.62, -0.66), (0.42, -0.63), (0.22, -0.7), (0.0, -0.66),
        ),
        _make_sheen((-0.6, -0.84), (-0.3, -0.95), (0.05, -0.97)),
    ),
    "bob": _make_curtain(0.5),
    "long": _make_curtain(0.95),
    # Straight down to just over the brows.
    "fringe": _FrontHair(
        _make_symmetric_outline(
            (0.0, -1.14), (0.6, -1.02), (1.01, -0.7), (1.13, -0.28), (1.1, 0.2), (1.0, 0.16), (0.93, -0.2),
            (0.84, -0.46), (0.55, -0.53), (0.28, -0.55), (0.0, -0.54),
        ),
        _make_sheen((-0.62, -0.74), (-0.2, -0.82), (0.3, -0.81)),
    ),
    # Drawn back tight.
    "bun": _FrontHair(
        _make_symmetric_outline(
            (0.0, -1.08), (0.58, -0.97), (0.96, -0.67), (1.06, -0.3), (1.0, -0.1), (0.95, -0.28),
            (0.84, -0.52), (0.6, -0.68), (0.3, -0.77), (0.0, -0.8),
        ),
        _make_sheen((-0.7, -0.72), (-0.46, -0.86), (-0.1, -0.95)),
    ),
}
# fmt: on
