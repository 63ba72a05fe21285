"""Augmentation measured on pictures whose changes can be computed."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fer.data.augmentation import MAX_ERASED, MIN_ERASED, Augmentation, PixelChange
from fer.errors import UserError

OFF = Augmentation(**{field.name: 0.0 for field in dataclasses.fields(Augmentation)})
STRONG = Augmentation(
    flip=0.5,
    rotate=30,
    scale=0.3,
    translate=0.2,
    brightness=0.9,
    contrast=0.9,
    saturation=0.9,
    erase=0.5,
    mixup=0.4,
    cutmix=1.0,
    mix_probability=0.8,
)


def only(**strengths: Any) -> Augmentation:
    return dataclasses.replace(OFF, **strengths)


def random_batch(count: int, side: int = 48, channels: int = 1) -> Tensor:
    rng = np.random.default_rng(side + channels)
    return torch.from_numpy(rng.integers(0, 256, (count, side, side, channels), dtype=np.uint8))


def constant_batch(count: int, side: int = 32) -> Tensor:
    """Image i is i everywhere."""
    return torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, side, side, 1)


def labels(count: int, classes: int = 7) -> Tensor:
    return torch.eye(classes)[torch.arange(count) % classes]


def changed(augment: Augmentation, images: Tensor, side: int, seed: tuple[int, int, int] = (0, 0, 0)) -> Tensor:
    return augment(images, labels(len(images)), side, seed)[0]


def plain(images: Tensor, side: int) -> Tensor:
    """Torch's own resize of the same bytes, (N, C, side, side) in 0…1."""
    pixels = images.permute(0, 3, 1, 2).float() / 255
    return F.interpolate(pixels, (side, side), mode="bilinear", antialias=pixels.shape[-1] > side)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [24, 48, 96, 112])
def test_without_strengths_it_is_a_plain_resize(side: int, channels: int) -> None:
    images = random_batch(5, 48, channels)
    pixels, targets = OFF(images, labels(5), side, (0, 0, 0))
    assert pixels.shape == (5, channels, side, side) and pixels.dtype == torch.float32
    assert torch.allclose(pixels, plain(images, side), atol=2e-5)
    assert torch.equal(targets, labels(5))


def test_pictures_larger_than_the_input_are_antialiased() -> None:
    images = torch.zeros(1, 128, 128, 1, dtype=torch.uint8)
    images[:, :, ::4] = 255  # a quarter of the columns; one bilinear sample an output pixel would miss them all
    pixels = changed(OFF, images, 32)
    assert torch.allclose(pixels[..., 2:-2], torch.full((1, 1, 32, 28), 0.25), atol=1e-3)
    half_turned = changed(only(rotate=180), images.expand(4, -1, -1, -1), 32)
    assert (half_turned[..., 8:-8, 8:-8] - 0.25).abs().max() < 0.02


def test_a_flip_mirrors_exactly_that_share_of_the_images() -> None:
    images = random_batch(6, 48, 3)
    flipped = changed(only(flip=1.0), images, 48)
    assert torch.allclose(flipped, plain(images, 48).flip(-1), atol=2e-5)
    many = changed(only(flip=0.3), random_batch(1).expand(2000, -1, -1, -1), 8)
    straight = plain(random_batch(1), 8)
    is_straight = (many - straight).abs().amax((1, 2, 3)) < 1e-4
    is_flipped = (many - straight.flip(-1)).abs().amax((1, 2, 3)) < 1e-4
    assert (is_straight ^ is_flipped).all()
    assert is_flipped.float().mean().item() == pytest.approx(0.3, abs=0.04)


def dot(right: int, down: int, side: int = 65) -> Tensor:
    """A soft dot, so many pixels from the centre of a black picture."""
    place = torch.arange(side) - side // 2
    square = (place.view(1, -1) - right) ** 2 + (place.view(-1, 1) - down) ** 2
    return (255 * torch.exp(-square / 18)).round().to(torch.uint8).view(1, side, side, 1)


def centres(pixels: Tensor) -> np.ndarray:
    """(N, 2): right and down of the centre of mass from the middle, in pixels."""
    place = torch.arange(pixels.shape[-1]) - (pixels.shape[-1] - 1) / 2
    mass = pixels.sum((1, 2, 3))
    right = (pixels.sum((1, 2)) * place).sum(1) / mass
    down = (pixels.sum((1, 3)) * place).sum(1) / mass
    return torch.stack((right, down), 1).numpy()


def test_rotation_turns_around_the_centre_by_the_drawn_angle() -> None:
    augment, images = only(rotate=40), dot(16, 0).expand(200, -1, -1, -1)
    moved = centres(changed(augment, images, 65, (1, 2, 3)))
    angles = np.degrees(np.arctan2(moved[:, 1], moved[:, 0]))
    assert np.allclose(np.hypot(*moved.T), 16, atol=0.1)
    assert angles.min() < -35 and angles.max() > 35 and np.abs(angles).max() <= 40.2
    assert abs(angles.mean()) < 5 and len(np.unique(angles.round(2))) > 150
    drawn = augment.sample_params(200, (1, 2, 3), torch.device("cpu"))["angle"].flatten().numpy()
    assert np.allclose(angles, -np.degrees(drawn), atol=0.3)
    # The same turn for a dot elsewhere: below the centre instead of to the right of it.
    below = centres(changed(augment, dot(0, 16).expand(200, -1, -1, -1), 65, (1, 2, 3)))
    assert np.allclose(below, np.column_stack((-moved[:, 1], moved[:, 0])), atol=0.2)


def test_a_flipped_picture_is_turned_without_distortion() -> None:
    augment = only(flip=1.0, rotate=40)
    right = centres(changed(augment, dot(16, 0).expand(50, -1, -1, -1), 65))
    below = centres(changed(augment, dot(0, 16).expand(50, -1, -1, -1), 65))
    assert np.allclose(np.hypot(*right.T), 16, atol=0.1) and (right[:, 0] < -12).all()
    assert np.allclose(below, np.column_stack((right[:, 1], -right[:, 0])), atol=0.2)


def test_translation_shifts_by_a_share_of_the_image_either_way() -> None:
    moved = centres(changed(only(translate=0.2), dot(0, 0).expand(300, -1, -1, -1), 65))
    assert np.abs(moved).max() <= 0.2 * 65 + 0.05
    assert (moved.min(axis=0) < -0.18 * 65).all() and (moved.max(axis=0) > 0.18 * 65).all()
    assert abs(np.corrcoef(moved.T)[0, 1]) < 0.2  # right and down are drawn apart


def test_scale_changes_distances_by_a_fraction_either_way() -> None:
    moved = centres(changed(only(scale=0.25), dot(12, -9).expand(300, -1, -1, -1), 65))
    factors = np.hypot(*moved.T) / 15
    assert factors.min() == pytest.approx(0.75, abs=0.02) and factors.max() == pytest.approx(1.25, abs=0.02)
    assert np.allclose(moved[:, 0] / moved[:, 1], -12 / 9, atol=0.02)


def test_brightness_contrast_and_saturation() -> None:
    gray = torch.full((400, 8, 8, 3), 100, dtype=torch.uint8)
    factors = changed(only(brightness=0.3), gray, 8)[:, 0, 0, 0] / (100 / 255)
    assert factors.min().item() == pytest.approx(0.7, abs=0.01) and factors.max().item() == pytest.approx(1.3, abs=0.01)
    assert torch.allclose(changed(only(contrast=0.5, saturation=0.5), gray, 8), plain(gray, 8), atol=1e-6)
    halves = torch.full((400, 8, 8, 1), 100, dtype=torch.uint8)
    halves[:, :4] = 150
    pixels = changed(only(contrast=0.4), halves, 8)
    spread = (pixels[:, 0, 0, 0] - pixels[:, 0, -1, 0]) / (50 / 255)
    assert torch.allclose(pixels.mean((1, 2, 3)), torch.tensor(125 / 255), atol=1e-5)
    assert spread.min().item() == pytest.approx(0.6, abs=0.01) and spread.max().item() == pytest.approx(1.4, abs=0.01)
    red = torch.tensor([120, 90, 90], dtype=torch.uint8).expand(400, 8, 8, 3)
    pixels = changed(only(contrast=0.5), red, 8)[..., 0, 0]  # around the mean of the image, not of each colour
    assert torch.allclose(pixels.mean(1), torch.tensor(100 / 255), atol=1e-5)
    assert ((pixels[:, 0] - pixels[:, 1]) / (30 / 255)).max().item() == pytest.approx(1.5, abs=0.01)
    pixels = changed(only(saturation=0.5), red, 8)[..., 0, 0]
    luma = pixels @ torch.tensor([0.299, 0.587, 0.114])
    assert torch.allclose(luma, torch.tensor((0.299 * 120 + 0.701 * 90) / 255), atol=1e-5)
    spread = (pixels[:, 0] - pixels[:, 1]) / (30 / 255)
    assert spread.min().item() == pytest.approx(0.5, abs=0.01) and spread.max().item() == pytest.approx(1.5, abs=0.01)


def test_erasing_blanks_one_rectangle_within_its_bounds() -> None:
    count, side = 1000, 64
    black = torch.zeros(count, side, side, 1, dtype=torch.uint8)
    pixels = changed(only(erase=0.6), black, side)[:, 0]
    hole = pixels > 0
    share = hole.float().mean((1, 2))
    erased = share > 0
    assert erased.float().mean().item() == pytest.approx(0.6, abs=0.05)
    assert share.max().item() < MAX_ERASED * 1.1 and share[erased].max().item() > MAX_ERASED * 0.9
    heights, widths = hole.any(2).sum(1).float(), hole.any(1).sum(1).float()
    assert torch.equal(heights * widths, hole.sum((1, 2)).float())  # one whole rectangle
    inside = erased & ~(hole[:, 0].any(1) | hole[:, -1].any(1) | hole[:, :, 0].any(1) | hole[:, :, -1].any(1))
    assert inside.sum() > 200 and share[inside].min().item() > MIN_ERASED * 0.85
    aspect = (heights / widths)[inside]
    assert aspect.min().item() > 1 / 3 / 1.2 and aspect.max().item() < 3 * 1.2
    filled = pixels.amax((1, 2))[erased]
    assert torch.allclose(filled, (pixels.sum((1, 2)) / hole.sum((1, 2)))[erased], atol=1e-4)  # one gray
    assert filled.min() < 0.1 and filled.max() > 0.9


@pytest.mark.parametrize(
    "augment",
    [
        only(mixup=0.4, mix_probability=1),
        only(cutmix=1, mix_probability=1),
        only(mixup=1, cutmix=1, mix_probability=0.7),
    ],
)
def test_targets_mix_as_the_pixels_do(augment: Augmentation) -> None:
    count = 200
    images = constant_batch(count)
    pixels, targets = augment(images, torch.eye(count), 32, (4, 0, 0))
    assert torch.allclose(targets.sum(1), torch.ones(count), atol=1e-6) and (targets >= 0).all()
    assert ((targets > 1e-7).sum(1) <= 2).all() and ((targets > 1e-7).sum(1) == 2).float().mean() > 0.5
    values = torch.arange(count) / 255
    assert torch.allclose(pixels.mean((1, 2, 3)), targets @ values, atol=1e-5)


def test_cutmix_gives_the_partner_the_share_of_changed_pixels() -> None:
    count = 200
    pixels, targets = only(cutmix=1, mix_probability=1)(constant_batch(count), torch.eye(count), 32, (4, 0, 0))
    own = (torch.arange(count) / 255).view(-1, 1, 1, 1)
    replaced = ((pixels - own).abs() > 1e-6).float().mean((1, 2, 3))
    assert torch.allclose(targets.diagonal(), 1 - replaced, atol=1e-6)
    values = [torch.unique((image * 255).round()).numel() for image in pixels]
    assert set(values) == {1, 2}  # pixels are the one picture's or the other's, never between
    assert replaced.min() < 0.05 and replaced.max() > 0.7


def test_mixup_draws_its_share_for_each_image() -> None:
    pixels, targets = only(mixup=1, mix_probability=1)(constant_batch(250), torch.eye(250), 16, (0, 0, 0))
    assert (pixels.amax((1, 2, 3)) - pixels.amin((1, 2, 3))).max() < 1e-6
    kept = targets.diagonal()
    assert kept.mean().item() == pytest.approx(0.5, abs=0.06) and len(torch.unique(kept)) > 240


def test_the_share_of_mixed_images_is_the_probability() -> None:
    _, targets = only(mixup=1, cutmix=1, mix_probability=0.3)(constant_batch(250), torch.eye(250), 16, (1, 0, 0))
    assert (targets.diagonal() < 1).float().mean().item() == pytest.approx(0.3, abs=0.08)
    pixels, targets = only(mixup=1, cutmix=1, mix_probability=1)(constant_batch(250), torch.eye(250), 16, (1, 0, 0))
    is_cut = (pixels.amax((1, 2, 3)) - pixels.amin((1, 2, 3))) > 1e-6  # MixUp leaves a constant picture constant
    assert is_cut.float().mean().item() == pytest.approx(0.5, abs=0.1)
    _, targets = only(mixup=1, cutmix=1, mix_probability=0)(constant_batch(250), torch.eye(250), 16, (1, 0, 0))
    assert torch.equal(targets, torch.eye(250))


@pytest.mark.parametrize("channels", [1, 3])
def test_everything_at_once_stays_in_range(channels: int) -> None:
    for native, side in ((48, 96), (96, 48)):
        images = random_batch(64, native, channels)
        pixels, targets = STRONG(images, labels(64), side, (0, 1, 2))
        assert pixels.shape == (64, channels, side, side) and torch.isfinite(pixels).all()
        assert pixels.min() >= 0 and pixels.max() <= 1 and pixels.std() > 0.05
        assert torch.allclose(targets.sum(1), torch.ones(64), atol=1e-6) and targets.min() >= 0


def test_each_image_has_its_own_draw_and_no_two_epochs_are_alike() -> None:
    augment = dataclasses.replace(STRONG, mixup=0, cutmix=0, erase=0)
    alike = random_batch(1).expand(16, -1, -1, -1)
    pictures = [changed(augment, alike, 32, (7, epoch, batch)) for epoch in range(4) for batch in range(3)]
    flat = torch.cat(pictures).flatten(1)
    assert len(flat) == 192
    distance = torch.cdist(flat, flat) + 1e9 * torch.eye(192)
    assert distance.min() > 0.1


def test_the_same_seed_gives_the_same_batch() -> None:
    images = random_batch(16)
    first, again = STRONG(images, labels(16), 64, (3, 2, 1)), STRONG(images, labels(16), 64, (3, 2, 1))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    for seed in ((4, 2, 1), (3, 3, 1), (3, 2, 2)):
        assert not torch.equal(first[0], STRONG(images, labels(16), 64, seed)[0])
    assert torch.equal(images, random_batch(16))  # the input is as it was


@pytest.mark.parametrize("augment", [STRONG, dataclasses.replace(STRONG, mixup=0.0, cutmix=0.0)])
def test_a_share_of_a_batch_is_changed_as_the_whole_is(augment: Augmentation) -> None:
    images, targets, seed = random_batch(9), labels(9), (4, 1, 2)
    whole = augment(images, targets, 32, seed)
    for start, stop in ((0, 4), (4, 9), (8, 9), (0, 9)):
        rows = augment.find_required_rows((start, stop, 9), seed)
        assert rows[: stop - start].tolist() == list(range(start, stop)) and len(set(rows)) == len(rows)
        assert len(rows) == stop - start or augment is STRONG
        share = augment(images[rows], targets[rows], 32, seed, (start, stop, 9))
        assert all(torch.equal(got, all_rows[start:stop]) for got, all_rows in zip(share, whole, strict=True))


def speckle(pixels: Tensor, generators: Sequence[np.random.Generator]) -> Tensor:
    """As a plugin changes each image by its own generator."""
    return pixels + torch.tensor([generator.random() for generator in generators], dtype=torch.float32).view(
        -1, 1, 1, 1
    )


@pytest.mark.parametrize("shard", [(0, 3, 8), (3, 8, 8), (7, 8, 8)])
def test_a_plugin_changes_a_shard_as_the_whole_batch(shard: tuple[int, int, int]) -> None:
    augment = dataclasses.replace(STRONG, plugins={"one": speckle, "two": speckle})
    images, targets, seed = random_batch(8), labels(8), (3, 1, 2)
    whole, whole_targets = augment(images, targets, 32, seed)
    rows = augment.find_required_rows(shard, seed)
    part, part_targets = augment(images[rows], targets[rows], 32, seed, shard)
    assert torch.allclose(part, whole[shard[0] : shard[1]], atol=1e-5)
    assert torch.allclose(part_targets, whole_targets[shard[0] : shard[1]])


def test_a_plugin_sees_pixels_before_mixing_and_draws_anew_for_each_image_batch_and_name() -> None:
    images = constant_batch(4)
    seeds = ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0))
    added = [
        (changed(only(plugins={name: speckle}), images, 32, seed) - changed(OFF, images, 32, seed))[:, 0, 0, 0]
        for seed in seeds
        for name in ("one", "two")
    ]
    assert len({round(value, 5) for values in added for value in values.tolist()}) == 4 * 4 * 2
    mixing = dataclasses.replace(OFF, mixup=1.0, mix_probability=1.0)
    constant = dataclasses.replace(mixing, plugins={"half": lambda pixels, _: torch.full_like(pixels, 0.5)})
    assert torch.allclose(changed(constant, images, 32), torch.tensor(0.5))


@pytest.mark.parametrize(
    ("change", "given"),
    [
        (lambda pixels, _: pixels[:, :, 1:], r"torch.float32 \(4, 1, 31, 32\)"),
        (lambda pixels, _: pixels.double(), r"torch.float64 \(4, 1, 32, 32\)"),
        (lambda pixels, _: None, "NoneType"),
    ],
)
def test_pixels_of_another_shape_or_type_are_refused(change: PixelChange, given: str) -> None:
    with pytest.raises(UserError, match=rf"the augmentation odd must give torch.float32 \(4, 1, 32, 32\).*{given}"):
        changed(only(plugins={"odd": change}), constant_batch(4), 32)
