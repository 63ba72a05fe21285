"""Random augmentation of a whole batch on its device; each image draws its own parameters.

Flip, rotation, scale, shift and the resize to the network's input are one interpolation (one ``grid_sample``) of
native pixels, instead of one after the other. All random numbers of a batch come from one NumPy generator that is
seeded by (seed, epoch, batch): no two epochs are alike, nothing depends on the device, and a resumed run draws what
the unbroken one would have drawn.
"""

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fer.errors import UserError

MIN_ERASED, MAX_ERASED = 0.02, 0.2  # fraction of the image
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
# A plugin's augmentation: (N, C, side, side) float32 in 0…1, and a generator for each image, to changed pixels.
PixelChange = Callable[[Tensor, Sequence[np.random.Generator]], Tensor]
ShardSlice = tuple[int, int, int]  # (start, stop, count): rows start…stop of a batch of ``count`` images


@dataclass(frozen=True)
class _AugmentationParams:
    """The random numbers of a batch: (N, 1, 1, 1) by name, views of one tensor, and mixing partners (N,)."""

    numbers: dict[str, Tensor]
    partner: Tensor

    def select(self, rows: Tensor, num_local: int) -> "_AugmentationParams":
        """The parameters of some ``rows``; the first ``num_local`` have partners, given as positions in ``rows``."""
        positions = torch.empty_like(self.partner)
        positions[rows] = torch.arange(len(rows), device=rows.device)
        numbers = {name: values[rows] for name, values in self.numbers.items()}
        return _AugmentationParams(numbers, positions[self.partner[rows[:num_local]]])

    def repeat(self, frames: int) -> "_AugmentationParams":
        """The parameters of the single frames of clips of so many, all those of a clip alike."""
        numbers = {name: values.repeat_interleave(frames, 0) for name, values in self.numbers.items()}
        within = torch.arange(frames, device=self.partner.device)
        return _AugmentationParams(numbers, (self.partner[:, None] * frames + within).flatten())

    def __getitem__(self, name: str) -> Tensor:
        return self.numbers[name]


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training images, applied to a batch on its device.

    The fields are those of the configuration section `dataset.augment`: probabilities (0…1), largest changes either
    way as a fraction, ``rotate`` in degrees, and the alphas of MixUp and CutMix; ``plugins`` are what the section's
    names of plugins stand for.

    Examples:
        >>> augmentation = Augmentation(**config.dataset.augment.model_dump())
        >>> pixels, targets = augmentation(images, targets, side=224, seed=(seed, epoch, batch))
    """

    flip: float
    rotate: float
    scale: float
    translate: float
    brightness: float
    contrast: float
    saturation: float
    erase: float
    mixup: float
    cutmix: float
    mix_probability: float
    plugins: Mapping[str, PixelChange] = field(default_factory=dict)

    def sample_params(self, count: int, seed: tuple[int, int, int], device: torch.device) -> _AugmentationParams:
        """Draw the parameters of ``count`` images; ``seed`` is (seed of the run, epoch, batch)."""
        rng = np.random.default_rng(seed)

        def sample_factor(strength: float) -> np.ndarray:
            return 1 + strength * rng.uniform(-1, 1, count)

        mixed = rng.random(count) < (self.mix_probability if self.mixup or self.cutmix else 0)
        cut = mixed & (rng.random(count) < (0.5 if self.mixup and self.cutmix else float(self.cutmix > 0)))
        sampled = {
            "flip": np.where(rng.random(count) < self.flip, -1.0, 1.0),
            "angle": np.radians(rng.uniform(-self.rotate, self.rotate, count)),
            "zoom": 1 / sample_factor(self.scale),
            "right": 2 * self.translate * rng.uniform(-1, 1, count),
            "down": 2 * self.translate * rng.uniform(-1, 1, count),
            "brightness": sample_factor(self.brightness),
            "contrast": sample_factor(self.contrast),
            "saturation": sample_factor(self.saturation),
            "hole_area": np.where(rng.random(count) < self.erase, rng.uniform(MIN_ERASED, MAX_ERASED, count), 0),
            "hole_aspect": np.exp(rng.uniform(-math.log(3), math.log(3), count) / 2),
            "hole_x": rng.random(count),
            "hole_y": rng.random(count),
            "hole_gray": rng.random(count),
            "mixup_weight": np.where(mixed & ~cut, rng.beta(self.mixup or 1, self.mixup or 1, count), 1),
            "cutmix_area": np.where(cut, 1 - rng.beta(self.cutmix or 1, self.cutmix or 1, count), 0),
            "cutmix_x": rng.random(count),
            "cutmix_y": rng.random(count),
        }
        # One copy to the device for all of them.
        table = torch.from_numpy(np.stack(list(sampled.values())).astype(np.float32)).to(device, non_blocking=True)
        numbers = {name: row.view(-1, 1, 1, 1) for name, row in zip(sampled, table, strict=True)}
        return _AugmentationParams(numbers, torch.from_numpy(rng.permutation(count)).to(device, non_blocking=True))

    def find_required_rows(self, shard: ShardSlice, seed: tuple[int, int, int]) -> np.ndarray:
        """Find the rows of a batch that a shard of it is made of.

        Args:
            shard: (start, stop, count) of the shard.
            seed: (seed of the run, epoch, batch).

        Returns:
            Row numbers: those of the shard first, then its mixing partners from elsewhere.
        """
        start, stop, count = shard
        local_rows = np.arange(start, stop)
        if stop - start == count or not (self.mixup or self.cutmix):
            return local_rows
        partner = self.sample_params(count, seed, torch.device("cpu")).partner.numpy()
        return np.concatenate((local_rows, np.setdiff1d(partner[local_rows], local_rows)))

    def __call__(
        self, images: Tensor, targets: Tensor, side: int, seed: tuple[int, int, int], shard: ShardSlice | None = None
    ) -> tuple[Tensor, Tensor]:
        """Augment a batch, or a shard of it exactly as it is within the whole batch.

        All frames of a clip are changed alike, and two clips are mixed frame by frame.

        Args:
            images: (N, h, w, C) uint8, or clips (N, T, h, w, C); of a shard, those of
                ``find_required_rows(shard, seed)``.
            targets: (N, classes) target distributions of the same rows.
            side: Height and width of the result, pixels.
            seed: (seed of the run, epoch, batch).
            shard: (start, stop, count) where the images are not the whole batch.

        Returns:
            (N, C, side, side) float32 in 0…1, or (N, T, C, side, side) of clips, and (N, classes), mixed where images
            were mixed.
        """
        start, stop, count = shard or (0, len(images), len(images))
        params = self.sample_params(count, seed, images.device)
        rows = np.arange(count)
        if stop - start < count:
            rows = self.find_required_rows((start, stop, count), seed)
            params = params.select(torch.from_numpy(rows).to(images.device), stop - start)
        if images.ndim == 4:
            return self._change(images, targets, params, rows, side, seed)
        frames = images.shape[1]
        pixels, targets = self._change(
            *(images.flatten(0, 1), targets.repeat_interleave(frames, 0), params.repeat(frames)),
            *(rows.repeat(frames), side, seed),
        )
        return pixels.unflatten(0, (-1, frames)), targets[::frames]

    def _change(
        self,
        images: Tensor,
        targets: Tensor,
        params: _AugmentationParams,
        rows: np.ndarray,
        side: int,
        seed: tuple[int, int, int],
    ) -> tuple[Tensor, Tensor]:
        """Change images (N, h, w, C), which are these rows of the whole batch, by the parameters of each."""
        pixels = images.permute(0, 3, 1, 2).float().div_(255)
        if pixels.shape[-1] > side:
            # One bilinear sample of a larger image would skip pixels.
            pixels = F.interpolate(pixels, (side, side), mode="bilinear", antialias=True)
        pixels = self._jitter_colours(_warp(pixels, params, side), params)
        if self.erase:
            hole = _make_rectangle_masks(
                params["hole_area"], params["hole_aspect"], params["hole_x"], params["hole_y"], side
            )
            pixels = torch.where(hole, params["hole_gray"], pixels)
        if self.plugins:
            pixels = apply_pixel_changes(self.plugins, pixels, rows, seed)
        if self.mixup or self.cutmix:
            pixels, targets = _apply_mixup_cutmix(pixels, targets, params, side)
        return pixels, targets

    def _jitter_colours(self, pixels: Tensor, params: _AugmentationParams) -> Tensor:
        """Contrast around each image's mean, saturation around its luma, then brightness; clamped to 0…1."""
        if self.contrast:
            mean = pixels.mean((1, 2, 3), keepdim=True)
            pixels = torch.lerp(mean, pixels, params["contrast"])
        if self.saturation and pixels.shape[1] == 3:
            luma = (pixels * pixels.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
            pixels = torch.lerp(luma, pixels, params["saturation"])
        if self.brightness:
            pixels = pixels * params["brightness"]
        return pixels.clamp_(0, 1) if self.contrast or self.saturation or self.brightness else pixels


def apply_pixel_changes(
    changes: Mapping[str, PixelChange], pixels: Tensor, rows: np.ndarray, seed: tuple[int, int, int]
) -> Tensor:
    """Apply the augmentations of plugins to images of a batch.

    Each image has a generator of its own, so that it is changed alike wherever the rest of its batch is.

    Args:
        changes: The augmentations by name.
        pixels: (N, C, side, side) float32 in 0…1.
        rows: (N,) numbers of the images within the whole batch.
        seed: (seed of the run, epoch, batch).

    Raises:
        UserError: One gives pixels of another shape or type.
    """
    for name, change in changes.items():
        generators = [np.random.default_rng((*seed, zlib.crc32(name.encode()), int(row))) for row in rows]
        changed = change(pixels, generators)
        if not isinstance(changed, Tensor) or (changed.shape, changed.dtype) != (pixels.shape, pixels.dtype):
            given = f"{changed.dtype} {tuple(changed.shape)}" if isinstance(changed, Tensor) else type(changed).__name__
            raise UserError(
                f"the augmentation {name} must give {pixels.dtype} {tuple(pixels.shape)}, as it gets, but gives {given}"
            )
        pixels = changed
    return pixels


def _warp(pixels: Tensor, params: _AugmentationParams, side: int) -> Tensor:
    """Flip, rotate, scale, shift and resize (N, C, h, w) to (N, C, side, side); borders repeat the edge."""
    flip, angle, zoom, right, down = (
        params[name].view(-1, 1, 1) for name in ("flip", "angle", "zoom", "right", "down")
    )
    cosine, sine = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    # Sums of rows and columns: F.affine_grid multiplies a small matrix for every pixel, which takes four times as long.
    coords = (torch.arange(side, device=pixels.device) + 0.5) * (2 / side) - 1
    x, y = coords.view(1, 1, side), coords.view(1, side, 1)
    grid = torch.stack((cosine * flip * x + (right - sine * y), sine * flip * x + (down + cosine * y)), -1)
    return F.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _make_rectangle_masks(area: Tensor, aspect: Tensor, x: Tensor, y: Tensor, side: int) -> Tensor:
    """(N, 1, side, side) masks of rectangles: area as a fraction, square root of height over width, centre in 0…1."""
    coords = (torch.arange(side, device=area.device) + 0.5) / side
    half = area.sqrt() / 2
    inside_x = (coords.view(1, 1, 1, side) - x).abs() < half / aspect
    inside_y = (coords.view(1, 1, side, 1) - y).abs() < half * aspect
    return inside_x & inside_y


def _apply_mixup_cutmix(
    pixels: Tensor, targets: Tensor, params: _AugmentationParams, side: int
) -> tuple[Tensor, Tensor]:
    """MixUp (arXiv:1710.09412) or CutMix (arXiv:1905.04899) with a partner of the same batch, image by image.

    Returns only the images that have a partner: those behind them are partners alone.
    """
    partner, num_local = params.partner, len(params.partner)
    lam, area, x, y = (params[name][:num_local] for name in ("mixup_weight", "cutmix_area", "cutmix_x", "cutmix_y"))
    box = _make_rectangle_masks(area, torch.ones_like(area), x, y, side)
    mixed = torch.where(box, pixels[partner], torch.lerp(pixels[partner], pixels[:num_local], lam))
    weight = (lam.view(-1) * (1 - box.float().mean((1, 2, 3)))).unsqueeze(1)
    return mixed, weight * targets[:num_local] + (1 - weight) * targets[partner]
