"""Batches: bytes out of the store, in an order drawn anew each epoch, augmented on the device."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from fer.data.augmentation import Augmentation, ShardSlice

Batch = dict[str, Any]


@dataclass(frozen=True)
class Split:
    """One part of a data set: ``rows`` (N,) of the store, ``targets`` (N, classes) and ``weights`` (N,), float32."""

    rows: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


class EpochSampler:
    """The order of training samples, a function of (seed, epoch) alone.

    With ``weights`` (N,) samples are drawn with replacement in proportion to them, otherwise shuffled. Lightning
    calls ``set_epoch`` on a loader's ``sampler``.
    """

    def __init__(self, count: int, seed: int, weights: np.ndarray | None = None) -> None:
        self.count = count
        self.seed = seed
        self.probabilities = None if weights is None else weights / weights.sum()
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def sample_indices(self) -> np.ndarray:
        """Positions (N,) of this epoch."""
        rng = np.random.default_rng((self.seed, self.epoch))
        if self.probabilities is None:
            return rng.permutation(self.count)
        return rng.choice(self.count, self.count, p=self.probabilities)


def _shard_slice(count: int, rank: int, world_size: int) -> ShardSlice:
    """The rows of a batch that one of several processes takes: (start, stop, count)."""
    return count * rank // world_size, count * (rank + 1) // world_size, count


def _padded_slice(shard: ShardSlice) -> ShardSlice:
    """The rows of a batch that a process holds: its own, or one that does not count where it has none.

    With a row each, all take part in what they exchange about a batch.
    """
    start, stop, count = shard
    return start, max(stop, start + 1), count


class BatchLoader:
    """Iterates over a part as batches of uint8 images; no workers, because reading is an index into memory.

    ``images`` is the whole store: a memory map, or a tensor on the device. ``sampler`` and ``batch_sampler`` are
    the names under which Lightning looks for what to tell the epoch. Of ``processes``, the one numbered ``rank``
    gets its slice of every batch; `share` says which, and `whole_weight` is the sum of weights of the whole batch.
    ``needed`` gives, of a share and a place, all rows of the batch whose images the slice is made of.
    """

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
    ) -> None:
        self.images = images
        self.split = split
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
            local_rows = (
                batch_rows[start:stop]
                if self.select_rows is None
                else batch_rows[self.select_rows(_padded_slice(shard), (epoch, number))]
            )
            weights = self.split.weights[batch_rows]
            yield {
                "images": self._gather_pixels(self.split.rows[local_rows]),
                "targets": torch.from_numpy(self.split.targets[local_rows]),
                "weights": torch.from_numpy(weights[start:stop] * np.float32(stop == shard[1])),
                "whole_weight": torch.from_numpy(weights).sum(),
                "place": (epoch, number),
                "share": shard,
            }

    def _gather_pixels(self, rows: np.ndarray) -> torch.Tensor:
        if isinstance(self.images, torch.Tensor):
            return self.images[torch.from_numpy(rows).to(self.images.device)]
        return torch.from_numpy(self.images[rows])


class FaceDataModule(pl.LightningDataModule):
    """Training and validation batches for Lightning.

    ``images`` (M, h, w, C) uint8 is the store, ``side`` the network's input size, ``weighted_sampling`` draws
    training samples in proportion to their weights, ``resident`` keeps the store on the device.
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

    def setup(self, stage: str) -> None:
        if self.resident and self.trainer is not None and isinstance(self.images, np.ndarray):
            self.images = torch.from_numpy(np.ascontiguousarray(self.images)).to(self.trainer.strategy.root_device)

    def train_dataloader(self) -> BatchLoader:
        split = self.splits["train"]
        sampler = EpochSampler(len(split.rows), self.seed, split.weights if self.weighted_sampling else None)
        if self.weighted_sampling:
            split = Split(split.rows, split.targets, np.ones_like(split.weights))
        return self.build_loader(
            split, sampler, lambda shard, position: self.augmentation.find_required_rows(shard, (self.seed, *position))
        )

    def val_dataloader(self) -> BatchLoader:
        return self.build_loader(self.splits["val"])

    def build_loader(
        self,
        split: Split,
        sampler: EpochSampler | None = None,
        select_rows: Callable[[ShardSlice, tuple[int, int]], np.ndarray] | None = None,
    ) -> BatchLoader:
        """Batches of a part, of which each of several processes gets its slice."""
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return BatchLoader(self.images, split, self.batch_size, sampler, rank, world_size, select_rows)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        if self.trainer is not None and self.trainer.training:
            seed, shard = (self.seed, *batch["place"]), _padded_slice(batch["share"])
            batch["images"], batch["targets"] = self.augmentation(
                batch["images"], batch["targets"], self.side, seed, shard
            )
        return batch
