"""Batches: bytes out of the store, in an order drawn anew each epoch, augmented on the device."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from fer.data.augmentation import Augmentation, Share

Batch = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """One part of a data set: ``rows`` (N,) of the store, ``targets`` (N, classes) and ``weights`` (N,), float32."""

    rows: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


class EpochOrder:
    """The order of training samples, a function of (seed, epoch) alone.

    With ``weights`` (N,) samples are drawn with replacement in proportion to them, otherwise shuffled. Lightning
    calls ``set_epoch`` on a loader's ``sampler``.
    """

    def __init__(self, count: int, seed: int, weights: np.ndarray | None = None) -> None:
        self.count = count
        self.seed = seed
        self.shares = None if weights is None else weights / weights.sum()
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def order(self) -> np.ndarray:
        """Positions (N,) of this epoch."""
        rng = np.random.default_rng((self.seed, self.epoch))
        if self.shares is None:
            return rng.permutation(self.count)
        return rng.choice(self.count, self.count, p=self.shares)


def share_of(count: int, rank: int, processes: int) -> Share:
    """The rows of a batch that one of several processes takes: (start, stop, count)."""
    return count * rank // processes, count * (rank + 1) // processes, count


def held(share: Share) -> Share:
    """The rows of a batch that a process holds: its own, or one that does not count where it has none.

    With a row each, all take part in what they exchange about a batch.
    """
    start, stop, count = share
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
        part: Part,
        batch_size: int,
        sampler: EpochOrder | None = None,
        rank: int = 0,
        processes: int = 1,
        needed: Callable[[Share, tuple[int, int]], np.ndarray] | None = None,
    ) -> None:
        self.images = images
        self.part = part
        self.batch_size = batch_size
        self.sampler = sampler
        self.rank = rank
        self.processes = processes
        self.needed = needed

    def __len__(self) -> int:
        count = len(self.part.rows)
        if self.sampler is None or count < self.batch_size:
            return math.ceil(count / self.batch_size)
        return count // self.batch_size

    def __iter__(self) -> Iterator[Batch]:
        order = np.arange(len(self.part.rows)) if self.sampler is None else self.sampler.order()
        epoch = 0 if self.sampler is None else self.sampler.epoch
        for number in range(len(self)):
            whole = order[number * self.batch_size : (number + 1) * self.batch_size]
            share = share_of(len(whole), self.rank, self.processes)
            start, stop, _ = held(share)
            chosen = whole[start:stop] if self.needed is None else whole[self.needed(held(share), (epoch, number))]
            weights = self.part.weights[whole]
            yield {
                "images": self._pixels(self.part.rows[chosen]),
                "targets": torch.from_numpy(self.part.targets[chosen]),
                "weights": torch.from_numpy(weights[start:stop] * np.float32(stop == share[1])),
                "whole_weight": torch.from_numpy(weights).sum(),
                "place": (epoch, number),
                "share": share,
            }

    def _pixels(self, rows: np.ndarray) -> torch.Tensor:
        if isinstance(self.images, torch.Tensor):
            return self.images[torch.from_numpy(rows).to(self.images.device)]
        return torch.from_numpy(self.images[rows])


class FaceData(pl.LightningDataModule):
    """Training and validation batches for Lightning.

    ``images`` (M, h, w, C) uint8 is the store, ``side`` the network's input size, ``weighted_sampling`` draws
    training samples in proportion to their weights, ``resident`` keeps the store on the device.
    """

    def __init__(
        self,
        images: np.ndarray,
        train: Part,
        val: Part,
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
        self.parts = {"train": train, "val": val}
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
        part = self.parts["train"]
        order = EpochOrder(len(part.rows), self.seed, part.weights if self.weighted_sampling else None)
        if self.weighted_sampling:
            part = Part(part.rows, part.targets, np.ones_like(part.weights))
        return self.loader(part, order, lambda share, place: self.augmentation.rows(share, (self.seed, *place)))

    def val_dataloader(self) -> BatchLoader:
        return self.loader(self.parts["val"])

    def loader(
        self,
        part: Part,
        order: EpochOrder | None = None,
        needed: Callable[[Share, tuple[int, int]], np.ndarray] | None = None,
    ) -> BatchLoader:
        """Batches of a part, of which each of several processes gets its slice."""
        rank, processes = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return BatchLoader(self.images, part, self.batch_size, order, rank, processes, needed)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        if self.trainer is not None and self.trainer.training:
            seed, share = (self.seed, *batch["place"]), held(batch["share"])
            batch["images"], batch["targets"] = self.augmentation(
                batch["images"], batch["targets"], self.side, seed, share
            )
        return batch
