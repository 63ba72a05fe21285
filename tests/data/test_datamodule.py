"""Batches: their order, their number, and what Lightning makes of them."""

from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from fer.data.augmentation import Augmentation
from fer.data.datamodule import Batch, BatchLoader, EpochSampler, FaceDataModule, Split
from tests.helpers.image_data import noise

COUNT = 103
STRENGTHS = {"flip": 0.5, "rotate": 10.0, "scale": 0.1, "translate": 0.1, "brightness": 0.2, "contrast": 0.2}
AUGMENT = Augmentation(**STRENGTHS, saturation=0, erase=0.2, mixup=0.2, cutmix=0, mix_probability=0.5)


def images(count: int = 2 * COUNT) -> np.ndarray:
    """Image i holds i in its first pixel, so that a batch tells which rows it took."""
    pixels = np.stack([noise(number, 8) for number in range(count)])[..., None]
    pixels[:, 0, 0, 0] = np.arange(count)
    return pixels


def part(rows: np.ndarray) -> Split:
    rng = np.random.default_rng(0)
    targets = np.eye(7, dtype=np.float32)[rng.integers(0, 7, len(rows))]
    return Split(rows, targets, rng.uniform(0.5, 2, len(rows)).astype(np.float32))


ROWS = np.arange(0, 2 * COUNT, 2)


def rows_of(batches: list[Batch]) -> list[int]:
    return torch.cat([batch["images"][:, 0, 0, 0] for batch in batches]).tolist()


def epoch_of(loader: BatchLoader, epoch: int) -> list[Batch]:
    assert loader.sampler is not None
    loader.sampler.set_epoch(epoch)
    return list(loader)


def module(batch_size: int = 10, weighted: bool = False, seed: int = 5, resident: bool = False) -> FaceDataModule:
    return FaceDataModule(
        images(),
        part(ROWS),
        part(ROWS[:45] + 1),
        augmentation=AUGMENT,
        side=16,
        batch_size=batch_size,
        seed=seed,
        weighted_sampling=weighted,
        resident=resident,
    )


def test_training_takes_each_sample_once_an_epoch_in_another_order() -> None:
    loader = module(1).train_dataloader()
    epochs = [rows_of(epoch_of(loader, epoch)) for epoch in range(3)]
    for rows in epochs:
        assert len(rows) == COUNT and sorted(rows) == ROWS.tolist()
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0] and epochs[0] != ROWS.tolist()


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    one, two, other = (
        module(seed=5).train_dataloader(),
        module(seed=5).train_dataloader(),
        module(seed=6).train_dataloader(),
    )
    rows_of(epoch_of(one, 0))  # what went before does not matter
    assert rows_of(epoch_of(one, 3)) == rows_of(epoch_of(two, 3)) == rows_of(list(two))
    assert rows_of(epoch_of(other, 3)) != rows_of(epoch_of(one, 3))


def test_a_batch_holds_the_samples_own_pixels_targets_and_weights() -> None:
    data = module()
    store, train = data.images, data.splits["train"]
    for number, batch in enumerate(epoch_of(data.train_dataloader(), 4)):
        rows = batch["images"][:, 0, 0, 0].numpy()
        assert batch["images"].dtype == torch.uint8 and batch["images"].shape == (10, 8, 8, 1)
        assert np.array_equal(batch["images"].numpy(), store[rows])
        assert np.array_equal(batch["targets"].numpy(), train.targets[rows // 2])
        assert np.array_equal(batch["weights"].numpy(), train.weights[rows // 2])
        assert batch["position"] == (4, number)


def test_training_drops_the_incomplete_batch_and_validation_keeps_it() -> None:
    data = module(10)
    train, val = data.train_dataloader(), data.val_dataloader()
    assert len(train) == 10 and [len(batch["images"]) for batch in train] == [10] * 10
    assert len(val) == 5 and [len(batch["images"]) for batch in val] == [10] * 4 + [5]
    assert rows_of(list(val)) == (ROWS[:45] + 1).tolist()  # validation keeps its order
    assert rows_of(list(val)) == rows_of(list(val))
    # What one epoch leaves out another takes.
    taken = {row for epoch in range(5) for row in rows_of(epoch_of(train, epoch))}
    assert taken == set(ROWS.tolist())


def test_fewer_images_than_a_batch_are_one_batch() -> None:
    for batch_size in (COUNT, COUNT + 1, 4096):
        loader = module(batch_size).train_dataloader()
        batches = epoch_of(loader, 1)
        assert len(loader) == len(batches) == 1 and sorted(rows_of(batches)) == ROWS.tolist()
    data = module(1000)
    assert [len(batch["images"]) for batch in data.val_dataloader()] == [45]


def test_weighted_sampling_draws_in_proportion_to_the_weights() -> None:
    weights = np.repeat(np.array([0.5, 1, 3], np.float32), [50, 25, 25])
    order = EpochSampler(100, 0, weights)
    counts = np.zeros(100)
    for epoch in range(2000):
        order.set_epoch(epoch)
        drawn = order.sample_indices()
        assert len(drawn) == 100
        counts += np.bincount(drawn, minlength=100)
    frequency = counts / counts.sum() / (weights / weights.sum())
    assert np.abs(frequency - 1).max() < 0.15
    of_class = [counts[weights == weight].sum() / counts.sum() for weight in (0.5, 1, 3)]
    assert np.allclose(of_class, [0.2, 0.2, 0.6], atol=0.005)
    first = order.sample_indices()
    order.set_epoch(0)
    assert not np.array_equal(order.sample_indices(), first) and np.array_equal(
        order.sample_indices(), order.sample_indices()
    )


def test_weights_count_once_in_the_drawing_or_in_the_loss() -> None:
    plain = epoch_of(module().train_dataloader(), 0)
    weighted = epoch_of(module(weighted=True).train_dataloader(), 0)
    assert all((batch["weights"] != 1).any() for batch in plain)
    assert all((batch["weights"] == 1).all() for batch in weighted)
    assert len(set(rows_of(weighted))) < len(rows_of(weighted))  # with replacement


def test_a_memory_map_and_a_tensor_give_the_same_batches(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", images())
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    order = EpochSampler(COUNT, 1)
    from_map = list(BatchLoader(mapped, part(ROWS), 10, order))
    from_tensor = list(BatchLoader(torch.from_numpy(images()), part(ROWS), 10, order))
    assert len(from_map) == len(from_tensor) == 10
    for one, other in zip(from_map, from_tensor, strict=True):
        assert torch.equal(one["images"], other["images"]) and torch.equal(one["targets"], other["targets"])
    from_map[0]["images"][:] = 0  # a batch is a copy
    assert mapped[:, 0, 0, 0].sum() == np.arange(2 * COUNT).astype(np.uint8).sum()


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
@pytest.mark.parametrize("batch_size", [10, 5, 4096])
def test_processes_share_every_batch_and_each_sample_is_seen_once(processes: int, batch_size: int) -> None:
    order = EpochSampler(COUNT, 3)
    whole = BatchLoader(images(), part(ROWS), batch_size, order)
    validation = BatchLoader(images(), part(ROWS[:41]), batch_size)
    for single in (whole, validation):
        shared = [
            list(BatchLoader(single.images, single.split, batch_size, single.sampler, rank, processes))
            for rank in range(processes)
        ]
        for number, batch in enumerate(single):
            parts = [batches[number] for batches in shared]
            own = [taken["shard"][1] - taken["shard"][0] for taken in parts]
            assert sum(own) == len(batch["targets"]) and max(own) - min(own) <= 1
            for key in ("images", "targets", "weights"):
                joined = torch.cat([taken[key][:count] for taken, count in zip(parts, own, strict=True)])
                assert torch.equal(joined, batch[key])
            assert {float(taken["whole_weight"]) for taken in parts} == {float(batch["weights"].sum())}
            # One without a row of its own takes part with a row that does not count.
            empty = [taken for taken, count in zip(parts, own, strict=True) if count == 0]
            assert all(len(taken["images"]) == 1 and taken["weights"].tolist() == [0.0] for taken in empty)
        assert len({len(batches) for batches in shared}) == 1


class Watching(pl.LightningModule):
    """Keeps what reaches it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: dict[str, list[Batch]] = {"train": [], "val": []}

    def training_step(self, batch: Batch, number: int) -> torch.Tensor:
        self.seen["train"].append(batch)
        return self.weight.sum()

    def validation_step(self, batch: Batch, number: int) -> None:
        self.seen["val"].append(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore:.*LeafSpec")
@pytest.mark.parametrize("resident", [False, True])
def test_lightning_tells_the_epoch_and_only_training_is_augmented(resident: bool, tmp_path: Path) -> None:
    watching = Watching()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=3,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=tmp_path,
    )
    trainer.fit(watching, datamodule=module(25, resident=resident))
    train, val = watching.seen["train"], watching.seen["val"]
    assert [batch["position"] for batch in train] == [(epoch, number) for epoch in range(3) for number in range(4)]
    assert len(val) == 3 * 2 and all(batch["images"].dtype == torch.uint8 for batch in val)
    assert rows_of(val) == 3 * (ROWS[:45] + 1).tolist()
    loader = module(25).train_dataloader()
    expected = [batch for epoch in range(3) for batch in epoch_of(loader, epoch)]
    for got, raw in zip(train, expected, strict=True):
        pixels, targets = AUGMENT(raw["images"], raw["targets"], 16, (5, *raw["position"]))
        assert got["images"].shape == (25, 1, 16, 16)
        assert torch.equal(got["images"], pixels) and torch.equal(got["targets"], targets)
