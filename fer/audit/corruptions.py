"""Corruptions of pictures in five severities, by torchvision's transforms; the same for every model and run.

Sizes are fractions of the picture's side, so that pictures of 48 and of 224 pixels are made equally bad.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

SEVERITIES = 5
# What is blanked is grey.
_BLANK = 127
# How the crop's direction is drawn: right, down, left, up for a shift; one way or the other otherwise.
_DIRECTIONS = ((1, 0), (0, 1), (-1, 0), (0, -1))
Apply = Callable[[Tensor, float, torch.Generator], Tensor]


@dataclass(frozen=True)
class Corruption:
    """A corruption.

    Attributes:
        name: Its key in metrics.json.
        title: Its name on pages.
        unit: What its levels are.
        levels: SEVERITIES of them, the mildest first.
        apply: Gives for images (N, C, h, w) uint8, a level and a generator the corrupted images.
    """

    name: str
    title: str
    unit: str
    levels: tuple[float, ...]
    apply: Apply


def _blur(images: Tensor, sigma: float, _: torch.Generator) -> Tensor:
    pixels = sigma * images.shape[-1]
    size = 2 * max(1, round(3 * pixels)) + 1
    # The kernel must fit between the edges, which are mirrored.
    size = min(size, 2 * images.shape[-1] - 1)
    return F.gaussian_blur(images, [size, size], [pixels, pixels])


def _add_noise(images: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
        return F.gaussian_noise(images.float() / 255, sigma=sigma).mul(255).round().to(torch.uint8)


def _compress(images: Tensor, quality: float, _: torch.Generator) -> Tensor:
    with warnings.catch_warnings():
        # torchvision announces that JPEG will move to another package, once an image.
        warnings.simplefilter("ignore", DeprecationWarning)
        return F.jpeg(images, int(quality))


def _change_brightness(images: Tensor, factor: float, _: torch.Generator) -> Tensor:
    return F.adjust_brightness(images, factor)


def _reduce_resolution(images: Tensor, factor: float, _: torch.Generator) -> Tensor:
    side = images.shape[-1]
    small = max(1, round(side / factor))
    return F.resize(F.resize(images, [small, small], antialias=True), [side, side], antialias=True)


def _occlude(images: Tensor, area: float, generator: torch.Generator) -> Tensor:
    """Blank a square of ``area`` of the picture, at another place in each."""
    side = images.shape[-1]
    size = min(side, round(side * area**0.5))
    places = torch.rand((len(images), 2), generator=generator) * (side - size)
    blank = torch.full((1, 1, 1), _BLANK, dtype=torch.uint8)
    return torch.stack(
        [
            F.erase(image, int(top), int(left), size, size, blank)
            for image, (top, left) in zip(images, places.round().tolist(), strict=True)
        ]
    )


def _move_crop(
    images: Tensor,
    generator: torch.Generator,
    ways: int,
    choose: Callable[[int], tuple[float, list[int], float]],
) -> Tensor:
    """Shift, scale or turn each image in one of several ways, drawn at random; its edge is continued outwards.

    ``choose`` gives for a way the angle in degrees, the shift in pixels and the scale.
    """
    side = images.shape[-1]
    padded = F.pad(images, [side // 2] * 4, padding_mode="edge")
    drawn = torch.randint(ways, (len(images),), generator=generator)
    moved = torch.empty_like(images)
    for way in range(ways):
        angle, shift, scale = choose(way)
        rows = drawn == way
        if rows.any():
            whole = F.affine(padded[rows], angle, shift, scale, [0.0, 0.0], interpolation=F.InterpolationMode.BILINEAR)
            moved[rows] = F.center_crop(whole, [side, side])
    return moved


def _shift(images: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    pixels = round(fraction * images.shape[-1])
    return _move_crop(
        images,
        generator,
        len(_DIRECTIONS),
        lambda way: (0.0, [pixels * _DIRECTIONS[way][0], pixels * _DIRECTIONS[way][1]], 1.0),
    )


def _scale(images: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    return _move_crop(images, generator, 2, lambda way: (0.0, [0, 0], 1 + fraction if way else 1 / (1 + fraction)))


def _rotate(images: Tensor, degrees: float, generator: torch.Generator) -> Tensor:
    return _move_crop(images, generator, 2, lambda way: (degrees if way else -degrees, [0, 0], 1.0))


_SIDE = "fraction of the side"
CORRUPTIONS = (
    Corruption("gaussian_blur", "blur", f"sigma, {_SIDE}", (0.01, 0.02, 0.03, 0.045, 0.06), _blur),
    Corruption("gaussian_noise", "noise", "sigma, 0 to 1", (0.04, 0.08, 0.12, 0.18, 0.26), _add_noise),
    Corruption("jpeg", "JPEG", "quality", (40, 25, 15, 10, 5), _compress),
    Corruption("brighter", "brighter", "factor", (1.25, 1.5, 1.8, 2.2, 2.8), _change_brightness),
    Corruption("darker", "darker", "factor", (0.75, 0.55, 0.4, 0.25, 0.15), _change_brightness),
    Corruption("low_resolution", "low resolution", "times fewer pixels a side", (1.5, 2, 3, 4, 6), _reduce_resolution),
    Corruption("occlusion", "occlusion", "fraction of the area", (0.05, 0.1, 0.2, 0.3, 0.4), _occlude),
)
JITTERS = (
    Corruption("shift", "shift", _SIDE, (0.03, 0.06, 0.1, 0.15, 0.2), _shift),
    Corruption("scale", "scale", "fraction larger or smaller", (0.05, 0.1, 0.2, 0.3, 0.4), _scale),
    Corruption("rotation", "rotation", "degrees", (5, 10, 15, 20, 30), _rotate),
)
