"""Batches: bytes from the image store, in an order drawn anew each epoch, augmented on the device."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from typing_extensions import override

from fer.data.augmentation import Augmentation, ShardSlice
from fer.data.clips.index import MIDDLE, ClipWindows

Batch = dict[str, Any]
# Tells the random places of windows from the other random numbers of the same batch.
WINDOW_STREAM = 1


@dataclass(frozen=True)
class Split:
    """One split of a data set: ``rows`` (N,) of the store, ``targets`` (N, classes) and ``weights`` (N,), float32."""

    rows: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


class EpochSampler:
    """The order of training samples, a function of (seed, epoch) alone.

    Lightning calls ``set_epoch`` on the sampler of a loader.

    Args:
        count: Number of samples, N.
        seed: Seed of the run.
        weights: (N,) to draw samples with replacement in proportion to them; None to shuffle.
    """

    def __init__(self, count: int, seed: int, weights: np.ndarray | None = None) -> None:
        self.count = count
        self.seed = seed
        self.probabilities = None if weights is None else weights / weights.sum()
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self.epoch = epoch

    def sample_indices(self) -> np.ndarray:
        """Return the positions (N,) of this epoch."""
        rng = np.random.default_rng((self.seed, self.epoch))
        if self.probabilities is None:
            return rng.permutation(self.count)
        return rng.choice(self.count, self.count, p=self.probabilities)


def _shard_slice(count: int, rank: int, world_size: int) -> ShardSlice:
    """Return the rows of a batch that one of several processes takes: (start, stop, count)."""
    return count * rank // world_size, count * (rank + 1) // world_size, count


def _padded_slice(shard: ShardSlice) -> ShardSlice:
    """Return the rows of a batch that a process holds: its own, or one of weight 0 where it has none.

    With a row each, all processes take part in what they exchange about a batch.
    """
    start, stop, count = shard
    return start, max(stop, start + 1), count


class BatchLoader:
    """Iterates over a split as batches of uint8 images; no workers, because reading is an index into memory.

    A batch holds ``images`` (N, h, w, C) uint8, ``targets`` (N, classes), ``weights`` (N,), ``whole_weight`` (the sum
    of weights of the batch of all processes), ``position`` (epoch, number of the batch) and ``shard``, which rows of
    the batch of all processes these are. Of clips, ``images`` are windows (N, T, h, w, C), and ``mask`` (N, T) says
    which of their frames are there; where a window of a training sample lies is a function of (seed, epoch, number).

    Args:
        images: The whole store (M, h, w, C): a memory map, or a tensor on the device.
        split: The rows of the store to iterate over, with their targets and weights.
        batch_size: Images a batch, of all processes together.
        sampler: Order of the training samples; None for the split's own order, the incomplete last batch included.
        rank: Number of this process; it gets its slice of every batch.
        world_size: Number of processes.
        select_rows: Gives, for a shard and a position, all rows of the batch that the shard is made of; None where
            it is made of its own rows.
        windows: The windows of the store's clips; None where a row of the split is an image.
    """

    # Lightning sets the epoch through the attributes `sampler` and `batch_sampler`, whichever is there.
    batch_sampler = None

    def __init__(
        self,
        images: np.ndarray | torch.Tensor,
        split: Split,
        batch_size: int,
        sampler: EpochSampler | None = None,
        rank: int = 0,
        world_size: int = 1,
        select_rows: Callable[[ShardSlice, tuple[int, int]], np.ndarray] | None = None,
        windows: ClipWindows | None = None,
    ) -> None:
        self.images = images
        self.split = split
        self.windows = windows
        self.batch_size = batch_size
        self.sampler = sampler
        self.rank = rank
        self.world_size = world_size
        self.select_rows = select_rows

    def __len__(self) -> int:
        count = len(self.split.rows)
        if self.sampler is None or count < self.batch_size:
            return math.ceil(count / self.batch_size)
        return count // self.batch_size

    def __iter__(self) -> Iterator[Batch]:
        order = np.arange(len(self.split.rows)) if self.sampler is None else self.sampler.sample_indices()
        epoch = 0 if self.sampler is None else self.sampler.epoch
        for number in range(len(self)):
            batch_rows = order[number * self.batch_size : (number + 1) * self.batch_size]
            shard = _shard_slice(len(batch_rows), self.rank, self.world_size)
            start, stop, _ = _padded_slice(shard)
            local = (
                np.arange(start, stop)
                if self.select_rows is None
                else self.select_rows(_padded_slice(shard), (epoch, number))
            )
            local_rows = batch_rows[local]
            weights = self.split.weights[batch_rows]
            batch: Batch
            if self.windows is None:
                batch = {"images": self._gather_pixels(self.split.rows[local_rows])}
            else:
                places = self._draw_places(len(batch_rows), (epoch, number))[local]
                frames, mask = self.windows.select(self.split.rows[local_rows], places)
                batch = {"images": self._gather_pixels(frames), "mask": torch.from_numpy(mask)}
            yield batch | {
                "targets": torch.from_numpy(self.split.targets[local_rows]),
                "weights": torch.from_numpy(weights[start:stop] * np.float32(stop == shard[1])),
                "whole_weight": torch.from_numpy(weights).sum(),
                "position": (epoch, number),
                "shard": shard,
            }

    def _draw_places(self, count: int, position: tuple[int, int]) -> np.ndarray:
        """Where the windows of a whole batch lie."""
        if self.sampler is None:
            return np.full(count, MIDDLE)
        return np.random.default_rng((self.sampler.seed, *position, WINDOW_STREAM)).random(count)

    def _gather_pixels(self, rows: np.ndarray) -> torch.Tensor:
        if isinstance(self.images, torch.Tensor):
            return self.images[torch.from_numpy(rows).to(self.images.device)]
        return torch.from_numpy(self.images[rows])


class FaceDataModule(pl.LightningDataModule):
    """Training and validation batches for Lightning.

    Args:
        images: (M, h, w, C) uint8, the images of the store.
        train: Rows, targets and weights of the training split.
        val: The same of the validation split.
        augmentation: Random changes of training images.
        side: The network's input size, pixels.
        batch_size: Images a step, of all processes together.
        seed: Seed of the run, for order and augmentation.
        weighted_sampling: Draw training samples in proportion to their weights instead of weighting their loss.
        resident: Keep the images on the device.
        windows: The windows of the store's clips; None where a row of the splits is an image.

    Examples:
        >>> data = FaceDataModule(store.images, train, val, augmentation=augmentation, side=96, batch_size=64,
        ...                       seed=0, weighted_sampling=False, resident=False)
        >>> trainer.fit(module, datamodule=data)
    """

    def __init__(
        self,
        images: np.ndarray,
        train: Split,
        val: Split,
        *,
        augmentation: Augmentation,
        side: int,
        batch_size: int,
        seed: int,
        weighted_sampling: bool,
        resident: bool,
        windows: ClipWindows | None = None,
    ) -> None:
        super().__init__()
        self.images: np.ndarray | torch.Tensor = images
        self.splits = {"train": train, "val": val}
        self.augmentation = augmentation
        self.side = side
        self.batch_size = batch_size
        self.seed = seed
        self.weighted_sampling = weighted_sampling
        self.resident = resident
        self.windows = windows

    @override
    def setup(self, stage: str) -> None:
        if self.resident and self.trainer is not None and isinstance(self.images, np.ndarray):
            self.images = torch.from_numpy(np.ascontiguousarray(self.images)).to(self.trainer.strategy.root_device)

    @override
    def train_dataloader(self) -> BatchLoader:
        split = self.splits["train"]
        sampler = EpochSampler(len(split.rows), self.seed, split.weights if self.weighted_sampling else None)
        if self.weighted_sampling:
            split = Split(split.rows, split.targets, np.ones_like(split.weights))
        return self._build_loader(
            split, sampler, lambda shard, position: self.augmentation.find_required_rows(shard, (self.seed, *position))
        )

    @override
    def val_dataloader(self) -> BatchLoader:
        return self._build_loader(self.splits["val"])

    def _build_loader(
        self,
        split: Split,
        sampler: EpochSampler | None = None,
        select_rows: Callable[[ShardSlice, tuple[int, int]], np.ndarray] | None = None,
    ) -> BatchLoader:
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return BatchLoader(self.images, split, self.batch_size, sampler, rank, world_size, select_rows, self.windows)

    @override
    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        if self.trainer is not None and self.trainer.training:
            seed, shard = (self.seed, *batch["position"]), _padded_slice(batch["shard"])
            batch["images"], batch["targets"] = self.augmentation(
                batch["images"], batch["targets"], self.side, seed, shard
            )
            if "mask" in batch:
                batch["mask"] = batch["mask"][: len(batch["images"])]
        return batch
