"""Things that hide a part of the face."""

from collections.abc import Callable

import numpy as np

from fer.synthetic.geometry import Colour, Shape, make_points, mix_colours, smooth, stroke
from fer.synthetic.head import darken_skin
from fer.synthetic.identity import Identity
from fer.synthetic.scene import Scene


def build_occluder(identity: Identity, scene: Scene) -> list[Shape]:
    """Build the shapes of ``scene.occluder``, which lie in front of everything else; none for "none"."""
    side = np.array((-1.0, 1.0) if scene.occluder_flip else (1.0, 1.0))
    return _BUILDERS[scene.occluder](identity, side) if scene.occluder in _BUILDERS else []


def _build_hand(identity: Identity, side: np.ndarray) -> list[Shape]:
    """A hand on one cheek, its fingers over half of the mouth."""
    skin, line = darken_skin(identity.skin, 0.1), darken_skin(identity.skin, 0.7)
    palm = smooth(
        make_points((0.36, 0.62), (0.6, 0.42), (0.86, 0.6), (0.92, 1.1), (0.8, 1.7), (0.34, 1.7), (0.28, 1.0)),
        closed=True,
    )
    shapes = [Shape(palm * side, skin)]
    for tip, root, width in (
        ((0.06, 0.46), (0.62, 0.62), 0.15),
        ((-0.02, 0.62), (0.6, 0.76), 0.155),
        ((0.02, 0.78), (0.58, 0.9), 0.15),
        ((0.12, 0.93), (0.56, 1.03), 0.135),
    ):
        bone = np.linspace(tip, root, 6)
        shapes.append(Shape(stroke(bone, width + 0.03, 0.55, 0.9) * side, line))
        shapes.append(Shape(stroke(bone, width, 0.55, 1.0) * side, skin))
    return shapes


def _build_strands(identity: Identity, side: np.ndarray) -> list[Shape]:
    """Locks of hair that fall over one eye."""
    shapes: list[Shape] = []
    for start, middle, end, width in (
        ((0.1, -0.92), (0.42, -0.3), (0.34, 0.3), 0.2),
        ((0.2, -0.95), (0.58, -0.3), (0.56, 0.34), 0.2),
        ((0.0, -0.9), (0.28, -0.4), (0.2, 0.05), 0.1),
    ):
        lock = stroke(smooth(make_points(start, middle, end), steps=6), width, 0.5, 0.0)
        shapes.append(Shape(lock * side, mix_colours(identity.hair, (0, 0, 0), 0.06 * len(shapes))))
    return shapes


def _build_scarf(identity: Identity, side: np.ndarray) -> list[Shape]:
    """A scarf drawn up over mouth and chin, on both sides."""
    cloth: Colour = mix_colours(identity.clothes, (255, 255, 255), 0.12)
    dark = mix_colours(identity.clothes, (0, 0, 0), 0.25)
    wrap = smooth(
        make_points(
            (-1.0, 0.42),
            (-0.5, 0.47),
            (0.0, 0.43),
            (0.5, 0.47),
            (1.0, 0.42),
            (1.3, 1.6),
            (0.0, 1.9),
            (-1.3, 1.6),
        ),
        closed=True,
    )
    folds = [
        smooth(make_points((-0.8, 0.52 + y), (-0.2, 0.66 + y), (0.5, 0.6 + 1.2 * y), (0.85, 0.5 + 1.3 * y)))
        for y in (0.0, 0.16, 0.34)
    ]
    return [Shape(wrap, cloth), *(Shape(stroke(fold, 0.035), dark) for fold in folds)]


_BUILDERS: dict[str, Callable[[Identity, np.ndarray], list[Shape]]] = {
    "hand": _build_hand,
    "hair": _build_strands,
    "scarf": _build_scarf,
}
