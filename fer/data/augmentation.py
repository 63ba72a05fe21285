"""Random changes of a whole batch on its device, each image with its own draw.

Flip, rotation, scale, shift and the resize to the network's input are one interpolation (one ``grid_sample``) of
native pixels, instead of one after the other. All random numbers of a batch come from one NumPy generator that is
seeded by (seed, epoch, batch): no two epochs are alike, nothing depends on the device, and a resumed run draws what
the unbroken one would have drawn.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

MIN_ERASED, MAX_ERASED = 0.02, 0.2  # share of the image
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
ShardSlice = tuple[int, int, int]  # start, stop, count: some rows of a batch of ``count`` images


@dataclass(frozen=True)
class _AugmentationParams:
    """The random numbers of a batch: (N, 1, 1, 1) by name, views of one tensor, and mixing partners (N,)."""

    numbers: dict[str, Tensor]
    partner: Tensor

    def select(self, rows: Tensor, num_local: int) -> "_AugmentationParams":
        """The numbers of some ``rows`` of the batch; the first ``own`` have partners, which are places in ``rows``."""
        positions = torch.empty_like(self.partner)
        positions[rows] = torch.arange(len(rows), device=rows.device)
        numbers = {name: values[rows] for name, values in self.numbers.items()}
        return _AugmentationParams(numbers, positions[self.partner[rows[:num_local]]])

    def __getitem__(self, name: str) -> Tensor:
        return self.numbers[name]


@dataclass(frozen=True)
class Augmentation:
    """Strengths as in the configuration section `dataset.augment`."""

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

    def sample_params(self, count: int, seed: tuple[int, int, int], device: torch.device) -> _AugmentationParams:
        """Random numbers for ``count`` images; ``seed`` is (seed of the run, epoch, batch)."""
        rng = np.random.default_rng(seed)

        def around(strength: float) -> np.ndarray:
            return 1 + strength * rng.uniform(-1, 1, count)

        mixed = rng.random(count) < (self.mix_probability if self.mixup or self.cutmix else 0)
        cut = mixed & (rng.random(count) < (0.5 if self.mixup and self.cutmix else float(self.cutmix > 0)))
        sampled = {
            "flip": np.where(rng.random(count) < self.flip, -1.0, 1.0),
            "angle": np.radians(rng.uniform(-self.rotate, self.rotate, count)),
            "zoom": 1 / around(self.scale),
            "right": 2 * self.translate * rng.uniform(-1, 1, count),
            "down": 2 * self.translate * rng.uniform(-1, 1, count),
            "brightness": around(self.brightness),
            "contrast": around(self.contrast),
            "saturation": around(self.saturation),
            "hole_area": np.where(rng.random(count) < self.erase, rng.uniform(MIN_ERASED, MAX_ERASED, count), 0),
            "hole_aspect": np.exp(rng.uniform(-math.log(3), math.log(3), count) / 2),
            "hole_x": rng.random(count),
            "hole_y": rng.random(count),
            "hole_gray": rng.random(count),
            "mixup_kept": np.where(mixed & ~cut, rng.beta(self.mixup or 1, self.mixup or 1, count), 1),
            "cutmix_area": np.where(cut, 1 - rng.beta(self.cutmix or 1, self.cutmix or 1, count), 0),
            "cutmix_x": rng.random(count),
            "cutmix_y": rng.random(count),
        }
        # One copy to the device for all of them.
        table = torch.from_numpy(np.stack(list(sampled.values())).astype(np.float32)).to(device, non_blocking=True)
        numbers = {name: row.view(-1, 1, 1, 1) for name, row in zip(sampled, table, strict=True)}
        return _AugmentationParams(numbers, torch.from_numpy(rng.permutation(count)).to(device, non_blocking=True))

    def find_required_rows(self, shard: ShardSlice, seed: tuple[int, int, int]) -> np.ndarray:
        """Rows of a whole batch that are needed for some of it: these first, then partners from elsewhere."""
        start, stop, count = shard
        local_rows = np.arange(start, stop)
        if stop - start == count or not (self.mixup or self.cutmix):
            return local_rows
        partner = self.sample_params(count, seed, torch.device("cpu")).partner.numpy()
        return np.concatenate((local_rows, np.setdiff1d(partner[local_rows], local_rows)))

    def __call__(
        self, images: Tensor, targets: Tensor, side: int, seed: tuple[int, int, int], shard: ShardSlice | None = None
    ) -> tuple[Tensor, Tensor]:
        """Change a batch, or ``share`` of it, as the whole would be changed.

        ``images`` (N, h, w, C) uint8 and ``targets`` (N, classes) become (N, C, side, side) float32 in 0…1 and
        (N, classes), mixed where images were mixed. With a ``share`` they are those of ``rows(share, seed)``.
        """
        start, stop, count = shard or (0, len(images), len(images))
        draws = self.sample_params(count, seed, images.device)
        if stop - start < count:
            rows = self.find_required_rows((start, stop, count), seed)
            draws = draws.select(torch.from_numpy(rows).to(images.device), stop - start)
        pixels = images.permute(0, 3, 1, 2).float().div_(255)
        if pixels.shape[-1] > side:
            # One bilinear sample of a larger picture would skip pixels.
            pixels = F.interpolate(pixels, (side, side), mode="bilinear", antialias=True)
        pixels = self.jitter_colours(_warp(pixels, draws, side), draws)
        if self.erase:
            hole = _make_rectangle_masks(
                draws["hole_area"], draws["hole_aspect"], draws["hole_x"], draws["hole_y"], side
            )
            pixels = torch.where(hole, draws["hole_gray"], pixels)
        if self.mixup or self.cutmix:
            pixels, targets = _apply_mixup_cutmix(pixels, targets, draws, side)
        return pixels, targets

    def jitter_colours(self, pixels: Tensor, draws: _AugmentationParams) -> Tensor:
        """Contrast around each image's mean, saturation around its luma, then brightness; clamped to 0…1."""
        if self.contrast:
            mean = pixels.mean((1, 2, 3), keepdim=True)
            pixels = torch.lerp(mean, pixels, draws["contrast"])
        if self.saturation and pixels.shape[1] == 3:
            luma = (pixels * pixels.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
            pixels = torch.lerp(luma, pixels, draws["saturation"])
        if self.brightness:
            pixels = pixels * draws["brightness"]
        return pixels.clamp_(0, 1) if self.contrast or self.saturation or self.brightness else pixels


def _warp(pixels: Tensor, draws: _AugmentationParams, side: int) -> Tensor:
    """Flip, rotate, scale, shift and resize (N, C, h, w) to (N, C, side, side); borders repeat the edge."""
    flip, angle, zoom, right, down = (draws[name].view(-1, 1, 1) for name in ("flip", "angle", "zoom", "right", "down"))
    cosine, sine = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    # Sums of rows and columns: F.affine_grid multiplies a small matrix for every pixel, which takes four times as long.
    coords = (torch.arange(side, device=pixels.device) + 0.5) * (2 / side) - 1
    x, y = coords.view(1, 1, side), coords.view(1, side, 1)
    grid = torch.stack((cosine * flip * x + (right - sine * y), sine * flip * x + (down + cosine * y)), -1)
    return F.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _make_rectangle_masks(area: Tensor, aspect: Tensor, x: Tensor, y: Tensor, side: int) -> Tensor:
    """(N, 1, side, side) masks of rectangles: share of the image, height over width squared-rooted, centre in 0…1."""
    coords = (torch.arange(side, device=area.device) + 0.5) / side
    half = area.sqrt() / 2
    inside_x = (coords.view(1, 1, 1, side) - x).abs() < half / aspect
    inside_y = (coords.view(1, 1, side, 1) - y).abs() < half * aspect
    return inside_x & inside_y


def _apply_mixup_cutmix(
    pixels: Tensor, targets: Tensor, draws: _AugmentationParams, side: int
) -> tuple[Tensor, Tensor]:
    """MixUp (arXiv:1710.09412) or CutMix (arXiv:1905.04899) with a partner of the same batch, image by image.

    Only images that have a partner are kept: those behind them are partners alone.
    """
    partner, num_local = draws.partner, len(draws.partner)
    kept, area, x, y = (draws[name][:num_local] for name in ("mixup_kept", "cutmix_area", "cutmix_x", "cutmix_y"))
    box = _make_rectangle_masks(area, torch.ones_like(area), x, y, side)
    mixed = torch.where(box, pixels[partner], torch.lerp(pixels[partner], pixels[:num_local], kept))
    weight = (kept.view(-1) * (1 - box.float().mean((1, 2, 3)))).unsqueeze(1)
    return mixed, weight * targets[:num_local] + (1 - weight) * targets[partner]
