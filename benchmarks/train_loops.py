"""The loops that `python -m benchmarks.train` compares: bare, train.py's own, and what people write."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import timm
import torch
from timm.optim import param_groups_weight_decay
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision import datasets, transforms
from typing_extensions import override

from fer.config import Config
from fer.core.system import keep_freed_memory
from fer.models.temporal_network import TemporalNetwork
from fer.train.callbacks import MetricsHistory
from fer.train.clip_inputs import get_format, select_windows
from fer.train.device import resolve_device
from fer.train.inputs import prepare_data
from fer.train.module_factory import build_module
from fer.train.reproducibility import seed_everything, set_threads
from fer.train.trainer import build_datamodule, build_splits, build_trainer

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def build_body(config: Config, device: str) -> torch.nn.Module:
    """The architecture alone, from timm."""
    return timm.create_model(config.model.name, num_classes=7, drop_rate=config.model.drop_rate).to(device)


def synchronize(device: str) -> None:
    """Wait until a GPU has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


class ClipBody(torch.nn.Module):
    """Frame encoder, head and classifier of a temporal network, without the preparation of pictures."""

    def __init__(self, network: TemporalNetwork) -> None:
        super().__init__()
        self.network = network
        self.mask = torch.ones(1, network.format.length, dtype=torch.bool, device=network.mean.device)

    @override
    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Logits (N, outputs) of frames (N · T, 3, h, w)."""
        with torch.set_grad_enabled(not self.network.frozen):
            features = self.network.body.encoder(frames)
        windows = features.unflatten(0, (-1, self.mask.shape[1]))
        return self.network.judge(windows, self.mask.expand(len(windows), -1))


def build_bare_loop(config: Config, device: str, batches: int) -> Callable[[], float]:
    """Images, or clips, a second of forward, backward and step on a tensor that is already there."""
    size, batch = config.model.image_size, config.dataset.batch_size
    body, frames = build_body(config, device), batch
    if config.model.kind == "temporal":
        network = build_module(config, 7, device)[0].network
        assert isinstance(network, TemporalNetwork)
        body, frames = ClipBody(network), batch * network.format.length
    body = body.to(memory_format=torch.channels_last).train()
    if config.trainer.compile:
        body.compile(mode="reduce-overhead" if device == "cuda" else None)
    groups = param_groups_weight_decay(body, config.optimizer.weight_decay)
    optimizer = torch.optim.AdamW(groups, lr=config.optimizer.lr, fused=device == "cuda" or None)
    images = torch.rand(frames, 3, size, size, device=device).contiguous(memory_format=torch.channels_last)
    targets = torch.full((batch, 7), 1 / 7, device=device)

    def step() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=config.trainer.precision == "bf16"):
            logits = body(images)
        loss = cross_entropy(logits.float(), targets, label_smoothing=config.model.loss.label_smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def run() -> float:
        synchronize(device)
        start = time.perf_counter()
        for _ in range(batches):
            step()
        synchronize(device)
        return batches * batch / (time.perf_counter() - start)

    return run


def build_project_loop(config: Config, device: str, folder: Path) -> Callable[[], float]:
    """Images a second of train.py's own loop, as its history.csv states them."""
    data = prepare_data(config, config.model.image_size)
    store, manifest = data.store, data.manifest

    def run() -> float:
        module, _ = build_module(config, len(manifest.classes), device)
        history = MetricsHistory(folder / "history.csv")
        trainer = build_trainer(config, device, [history], folder)
        windows = select_windows(store, get_format(module.network))
        trainer.fit(module, datamodule=build_datamodule(config, store.images, *build_splits(manifest), windows))
        # The first epoch warms up: allocations, and compilation where that is on.
        return history.rows[-1]["images_per_second"]

    return run


def build_habit_loop(config: Config, device: str, batches: int, images: Path, workers: int) -> Callable[[], float]:
    """Images a second of the loop that most published scripts contain, in 32 bits."""
    size = config.model.image_size
    transform = transforms.Compose(
        [
            transforms.Resize((size, size)),
            transforms.RandomHorizontalFlip(),
            transforms.RandomAffine(12, (0.07, 0.07), (0.9, 1.1)),
            transforms.ColorJitter(0.3, 0.3),
            transforms.ToTensor(),
            transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
            transforms.RandomErasing(0.25),
        ]
    )
    loader = DataLoader(
        datasets.ImageFolder(str(images), transform),
        batch_size=config.dataset.batch_size,
        shuffle=True,
        num_workers=workers,
        drop_last=True,
        persistent_workers=True,
    )
    body = build_body(config, device).train()
    optimizer = torch.optim.AdamW(body.parameters(), lr=config.optimizer.lr)

    def iter_forever() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        while True:
            yield from loader

    source = iter_forever()

    def run() -> float:
        next(source)
        synchronize(device)
        start = time.perf_counter()
        for _ in range(batches):
            pixels, labels = next(source)
            loss = cross_entropy(body(pixels.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        synchronize(device)
        return batches * config.dataset.batch_size / (time.perf_counter() - start)

    return run


def build_loop(name: str, config: Config, batches: int, workers: int, folder: Path) -> Callable[[], float]:
    """Prepare this process as a training is, and build one of the loops in it.

    Args:
        name: ``bare``, ``train.py`` or ``habit``.
        config: What is trained.
        batches: Batches a turn.
        workers: DataLoader workers of the habit.
        folder: Has the training images as files in ``images``.
    """
    set_threads(config.trainer.threads)
    seed_everything(config.seed)
    device = resolve_device(config)
    if name == "habit":
        return build_habit_loop(config, device, batches, folder / "images", workers)
    keep_freed_memory()
    return build_bare_loop(config, device, batches) if name == "bare" else build_project_loop(config, device, folder)
