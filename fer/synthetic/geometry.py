"""Shapes in head units, and how a turned head projects them onto the image.

Head units: the origin is the middle of the face, x to the image's right, y down; the crown is at y = -1
and a closed mouth's chin near y = 1, so a face is two units high.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

Colour = tuple[float, float, float]  # RGB, 0..255

_FLIP = np.array((-1.0, 1.0))  # mirrors a point at the middle line


class Shape(NamedTuple):
    """A filled shape of one colour: contours (..., points, 2) in head units."""

    contours: np.ndarray
    colour: Colour


def mix_colours(a: Colour, b: Colour, weight: float) -> Colour:
    """The colour ``weight`` (0..1) of the way from ``a`` to ``b``."""
    keep = 1.0 - weight
    return (keep * a[0] + weight * b[0], keep * a[1] + weight * b[1], keep * a[2] + weight * b[2])


def make_points(*coordinates: tuple[float, float]) -> np.ndarray:
    """(n, 2) float64 array of the given (x, y) pairs."""
    return np.array(coordinates, dtype=np.float64)


def mirror(right: np.ndarray) -> np.ndarray:
    """(2, n, 2): a contour of the image's right side of the face and its mirror image."""
    pair = np.empty((2, *right.shape))
    pair[:] = right
    np.negative(pair[1, ..., 0], out=pair[1, ..., 0])
    return pair


def stack_xy(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(..., n, 2) points of coordinates ``x`` and ``y``, which are broadcast."""
    joined = np.empty((*np.broadcast_shapes(x.shape, y.shape), 2))
    joined[..., 0] = x
    joined[..., 1] = y
    return joined


def close_by_mirroring(right: np.ndarray) -> np.ndarray:
    """(2n - 2, 2): a closed contour from its right half, which starts and ends on the middle line."""
    return np.concatenate((right, right[-2:0:-1] * _FLIP))


@lru_cache(maxsize=64)
def _compute_spline_basis(count: int, closed: bool, steps: int) -> np.ndarray:
    """Rows that turn ``count`` control points into samples of a Catmull-Rom curve through them."""
    segments = count if closed else count - 1
    t = np.arange(steps) / steps
    weights = 0.5 * np.stack(
        (-(t**3) + 2 * t**2 - t, 3 * t**3 - 5 * t**2 + 2, -3 * t**3 + 4 * t**2 + t, t**3 - t**2), axis=1
    )
    basis = np.zeros((segments * steps + (not closed), count))
    for segment in range(segments):
        for offset in range(4):
            knot = segment + offset - 1
            knot = knot % count if closed else min(max(knot, 0), count - 1)
            basis[segment * steps : (segment + 1) * steps, knot] += weights[:, offset]
    if not closed:
        basis[-1, -1] = 1.0
    return basis


def smooth(knots: np.ndarray, closed: bool = False, steps: int = 5) -> np.ndarray:
    """A Catmull-Rom curve through ``knots`` (..., n, 2), ``steps`` samples a segment."""
    return _compute_spline_basis(knots.shape[-2], closed, steps) @ knots


@lru_cache(maxsize=64)
def _compute_taper(count: int, start: float, end: float) -> np.ndarray:
    """Half-width profile of a stroke: full in the middle, ``start`` and ``end`` (0..1) at its ends."""
    t = np.linspace(0.0, 1.0, count)
    floor = start + (end - start) * t
    return 0.5 * (floor + (1.0 - floor) * np.sin(np.pi * t) ** 0.7)


def stroke(line: np.ndarray, width: float, start: float = 0.2, end: float = 0.2) -> np.ndarray:
    """Contours of a brush stroke along ``line`` (..., n, 2): ``width`` in the middle, tapered to the ends."""
    plane = np.ascontiguousarray(line).view(np.complex128)[..., 0]
    count = plane.shape[-1]
    along = np.empty_like(plane)
    np.subtract(plane[..., 2:], plane[..., :-2], out=along[..., 1:-1])
    along[..., 0] = plane[..., 1] - plane[..., 0]
    along[..., -1] = plane[..., -1] - plane[..., -2]
    across = along * (1j * width * _compute_taper(count, start, end) / (np.abs(along) + 1e-9))
    edge = np.empty((*plane.shape[:-1], 2 * count), np.complex128)
    np.add(plane, across, out=edge[..., :count])
    np.subtract(plane, across, out=edge[..., : count - 1 : -1])
    return edge.view(np.float64).reshape(*edge.shape, 2)


@lru_cache(maxsize=8)
def _compute_unit_circle(count: int) -> np.ndarray:
    angle = np.arange(count) * (2 * np.pi / count)
    return np.stack((np.cos(angle), np.sin(angle)), axis=1)


def make_ellipse(center: tuple[float, float], radius: tuple[float, float], count: int = 20) -> np.ndarray:
    """(count, 2) contour of an ellipse."""
    return _compute_unit_circle(count) * radius + center


# The head as an ellipsoid: where a point of the flat drawing lies in depth when the head turns.
_HEAD_HALF_WIDTH, _HEAD_HALF_HEIGHT, _HEAD_DEPTH = 0.9, 1.2, 0.62


@dataclass(frozen=True)
class Projection:
    """From head units to pixels: rows of ``matrix`` (2, 3) act on (x, y, depth), then ``origin`` is added."""

    matrix: np.ndarray
    origin: tuple[float, float]

    @staticmethod
    def from_head_pose(unit: float, origin: tuple[float, float], yaw: float, pitch: float, roll: float) -> "Projection":
        """``unit``: pixels a head unit; ``origin``: pixel of the face's middle; angles in degrees."""
        turn, nod, tilt = math.radians(yaw), math.radians(pitch), math.radians(roll)
        across, down = unit * math.cos(tilt), unit * math.sin(tilt)
        # Rows: roll in the image plane, applied to (x cos yaw + z sin yaw, y cos pitch + z sin pitch).
        x_scale, x_depth, y_scale, y_depth = math.cos(turn), math.sin(turn), math.cos(nod), math.sin(nod)
        matrix = np.array(
            (
                (across * x_scale, -down * y_scale, across * x_depth - down * y_depth),
                (down * x_scale, across * y_scale, down * x_depth + across * y_depth),
            )
        )
        return Projection(matrix, origin)

    def __call__(self, flat: np.ndarray) -> np.ndarray:
        """Pixels (n, 2) of points (n, 2) in head units."""
        solid = np.empty((3, len(flat)))
        solid[:2] = flat.T
        x, y = solid[0], solid[1]
        square = 1.0 - x * x * (1.0 / _HEAD_HALF_WIDTH**2) - y * y * (1.0 / _HEAD_HALF_HEIGHT**2)
        np.sqrt(np.maximum(square, 0.0, out=square), out=solid[2])
        solid[2] *= _HEAD_DEPTH
        return (self.matrix @ solid).T + self.origin
