"""Batches of clips: windows, their masks, and random changes that are the same for all frames of a clip."""

import dataclasses

import numpy as np
import pytest
import torch

from fer.data.augmentation import Augmentation
from fer.data.clips.index import MIDDLE, ClipIndex, ClipWindows
from fer.data.datamodule import BatchLoader, EpochSampler, FaceDataModule, Split

CLIPS, FRAMES, SIDE = 23, 12, 8
LENGTHS = np.random.default_rng(1).integers(1, FRAMES + 1, CLIPS)
STARTS = np.concatenate(([0], np.cumsum(LENGTHS))).astype(np.int64)
INDEX = ClipIndex(STARTS, np.concatenate([np.arange(length) * 0.1 for length in LENGTHS]).astype(np.float32))
WINDOWS = ClipWindows(INDEX, length=5, step_s=0.1)
IMAGES = np.random.default_rng(2).integers(0, 256, (STARTS[-1], SIDE, SIDE, 3), dtype=np.uint8)
SPLIT = Split(
    np.arange(CLIPS), np.eye(7, dtype=np.float32)[np.arange(CLIPS) % 7], np.linspace(0.5, 2, CLIPS, dtype=np.float32)
)
STRONG = Augmentation(
    **{"flip": 0.5, "rotate": 20, "scale": 0.2, "translate": 0.1, "brightness": 0.5, "contrast": 0, "saturation": 0.4},
    **{"erase": 0.5, "mixup": 0, "cutmix": 0, "mix_probability": 0},
)
MIXING = dataclasses.replace(STRONG, contrast=0.4, mixup=0.4, cutmix=1.0, mix_probability=0.8)


def build_loader(seed: int = 3, rank: int = 0, processes: int = 1, images=IMAGES, select_rows=None) -> BatchLoader:
    sampler = EpochSampler(CLIPS, seed)
    return BatchLoader(images, SPLIT, 6, sampler, rank, processes, select_rows, windows=WINDOWS)


def read_epoch(loader: BatchLoader, epoch: int):
    loader.sampler.set_epoch(epoch)
    return list(loader)


def test_a_batch_holds_windows_of_its_clips_and_says_which_frames_are_there():
    for batch in build_loader():
        assert batch["images"].shape == (6, 5, SIDE, SIDE, 3) and batch["images"].dtype == torch.uint8
        assert batch["mask"].shape == (6, 5) and batch["mask"].dtype == torch.bool
        labels = batch["targets"].argmax(1)
        assert batch["targets"].shape == (6, 7) and len(batch["weights"]) == 6
        for window, mask, label in zip(batch["images"], batch["mask"], labels, strict=True):
            found = [np.flatnonzero((IMAGES == frame.numpy()).all((1, 2, 3)))[0] for frame in window]
            clips = np.searchsorted(STARTS, found, side="right") - 1
            assert len(set(clips)) == 1 and clips[0] % 7 == label
            assert int(mask.sum()) == min(LENGTHS[clips[0]], 5)
            assert (np.diff(found)[(mask[1:] & mask[:-1]).numpy()] == 1).all()


def test_windows_are_a_function_of_seed_epoch_and_number():
    first, again = read_epoch(build_loader(), 2), read_epoch(build_loader(), 2)
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one["images"], other["images"]) and torch.equal(one["mask"], other["mask"])
    for changed in (read_epoch(build_loader(seed=4), 2), read_epoch(build_loader(), 1)):
        assert not all(torch.equal(one["images"], other["images"]) for one, other in zip(first, changed, strict=True))
    # The window of a long clip moves from epoch to epoch.
    longest = int(LENGTHS.argmax())
    loader = BatchLoader(IMAGES, Split(*(part[[longest]] for part in vars(SPLIT).values())), 1, EpochSampler(1, 0))
    loader.windows = WINDOWS
    seen = {read_epoch(loader, epoch)[0]["images"].numpy().tobytes() for epoch in range(100)}
    assert len(seen) == LENGTHS[longest] - 4


def test_evaluation_takes_the_middle_window():
    batches = list(BatchLoader(IMAGES, SPLIT, 10, windows=WINDOWS))
    frames, mask = WINDOWS.select(np.arange(CLIPS), np.full(CLIPS, MIDDLE))
    assert torch.equal(torch.cat([batch["images"] for batch in batches]), torch.from_numpy(IMAGES[frames]))
    assert torch.equal(torch.cat([batch["mask"] for batch in batches]), torch.from_numpy(mask))


def test_images_on_the_device_give_the_same_batches():
    for one, other in zip(build_loader(), build_loader(images=torch.from_numpy(IMAGES)), strict=True):
        assert torch.equal(one["images"], other["images"]) and torch.equal(one["mask"], other["mask"])


@pytest.mark.parametrize("augmentation", [STRONG, MIXING], ids=["alone", "mixed"])
@pytest.mark.parametrize("processes", [2, 7])
def test_processes_share_every_batch_exactly(augmentation, processes):
    def build_module():
        return FaceDataModule(
            *(IMAGES, SPLIT, SPLIT),
            **{"augmentation": augmentation, "side": 16, "batch_size": 6, "seed": 3, "weighted_sampling": False},
            **{"resident": False, "windows": WINDOWS},
        )

    class Trainer:
        training = True

        def __init__(self, rank, processes):
            self.global_rank, self.world_size = rank, processes

    def read_changed(rank, processes):
        module = build_module()
        module.trainer = Trainer(rank, processes)
        return [module.on_after_batch_transfer(batch, 0) for batch in module.train_dataloader()]

    shares = [read_changed(rank, processes) for rank in range(processes)]
    for number, whole in enumerate(read_changed(0, 1)):
        assert whole["images"].shape == (6, 5, 3, 16, 16) and whole["mask"].shape == (6, 5)
        parts = [share[number] for share in shares]
        own = [part["shard"][1] - part["shard"][0] for part in parts]
        for key in ("images", "mask", "targets"):
            assert all(len(part[key]) == max(count, 1) for part, count in zip(parts, own, strict=True))
            joined = torch.cat([part[key][:count] for part, count in zip(parts, own, strict=True)])
            torch.testing.assert_close(joined, whole[key])


@pytest.mark.parametrize("augmentation", [STRONG, MIXING], ids=["alone", "mixed"])
def test_all_frames_of_a_clip_are_changed_alike(augmentation):
    # Clips whose frames are all the same picture stay such clips, and are changed as that picture is.
    still = torch.from_numpy(IMAGES[:8])
    targets = torch.eye(7)[:7].repeat(2, 1)[:8]
    clips = still[:, None].expand(-1, 4, -1, -1, -1)
    single, single_targets = augmentation(still, targets, 16, (0, 1, 2))
    changed, changed_targets = augmentation(clips, targets, 16, (0, 1, 2))
    torch.testing.assert_close(changed, single[:, None].expand(-1, 4, -1, -1, -1))
    torch.testing.assert_close(changed_targets, single_targets)
    assert not torch.equal(changed[0], changed[1])


def test_a_plugin_changes_all_frames_of_a_clip_alike():
    def speckle(pixels, generators):
        return pixels + torch.tensor([generator.random() for generator in generators]).float().view(-1, 1, 1, 1)

    clips = torch.from_numpy(IMAGES[:12].reshape(4, 3, SIDE, SIDE, 3))
    off = Augmentation(**{field.name: 0.0 for field in dataclasses.fields(Augmentation)})
    targets = torch.eye(7)[:4]
    plain, _ = off(clips, targets, 16, (0, 0, 0))
    changed, _ = dataclasses.replace(off, plugins={"speckle": speckle})(clips, targets, 16, (0, 0, 0))
    added = (changed - plain).flatten(2).mean(2)
    torch.testing.assert_close(added, added[:, :1].expand(-1, 3))
    assert len({round(float(value), 4) for value in added[:, 0]}) == 4
