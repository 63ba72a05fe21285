"""`python -m benchmarks.train`: how fast train.py's loop is, against a bare loop and against what people write.

Three loops take turns for some rounds, with the same architecture, size, batch, precision and threads:

- bare: forward, backward and step on one ready tensor; nothing is loaded or augmented
- train.py: the real loop of this project, with data, augmentation, moving average, schedule and progress
- habit: torchvision's ImageFolder, PIL transforms, two DataLoader workers, default memory format

With `model=temporal` and a dataset of clips the first two take turns, and clips are counted.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import timm
import torch
from timm.optim import param_groups_weight_decay
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision import datasets, transforms
from typing_extensions import override

from fer.config import Config
from fer.config.compose import load_overrides
from fer.data.image_store import ImageStore
from fer.data.manifest import Manifest
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


def build_project_loop(
    config: Config, store: ImageStore, manifest: Manifest, device: str, folder: Path
) -> Callable[[], float]:
    """Images a second of train.py's own loop, as its history.csv states them."""

    def run() -> float:
        module, _ = build_module(config, len(manifest.classes), device)
        history = MetricsHistory(folder / "history.csv")
        trainer = build_trainer(config, device, [history], folder)
        windows = select_windows(store, get_format(module.network))
        trainer.fit(module, datamodule=build_datamodule(config, store.images, *build_splits(manifest), windows))
        # The first epoch warms up: allocations, and compilation where that is on.
        return history.rows[-1]["images_per_second"]

    return run


def build_habit_loop(config: Config, device: str, batches: int, images: Path) -> Callable[[], float]:
    """Images a second of the loop that most published scripts contain."""
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
        num_workers=2,
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
            with torch.autocast(device, torch.bfloat16, enabled=config.trainer.precision == "bf16"):
                logits = body(pixels.to(device))
            loss = cross_entropy(logits.float(), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        synchronize(device)
        return batches * config.dataset.batch_size / (time.perf_counter() - start)

    return run


def save_images(store: ImageStore, manifest: Manifest, folder: Path) -> None:
    """The training images as PNG files in class folders, as ImageFolder wants them."""
    training = manifest.get_split("train")
    for row, label in zip(training.index.to_numpy(), training["label"], strict=True):
        path = folder / label / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.cvtColor(store.images[row], cv2.COLOR_RGB2BGR))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often the loops take turns")
    parser.add_argument("--batches", type=int, default=25, help="batches a turn")
    parser.add_argument("overrides", nargs="*", help="such as trainer=a100 model.image_size=224 dataset.batch_size=64")
    args = parser.parse_args()
    limits = [f"trainer.limit_batches={args.batches}", "trainer.max_epochs=2", "trainer.early_stopping.patience=null"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        config = load_overrides([*limits, f"dataset.cache_dir={folder / 'cache'}", *args.overrides])
        threads, device = set_threads(config.trainer.threads), resolve_device(config)
        seed_everything(config.seed)
        data = prepare_data(config, config.model.image_size)
        store, manifest = data.store, data.manifest
        loops = {
            "bare": build_bare_loop(config, device, args.batches),
            "train.py": build_project_loop(config, store, manifest, device, folder),
        }
        aims = {"bare": 0.92}
        if store.clips is None:
            save_images(store, manifest, folder / "images")
            loops["habit"] = build_habit_loop(config, device, args.batches, folder / "images")
            aims["habit"] = 1.5
        unit = "images" if store.clips is None else "clips"
        name = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {threads} threads"
        print(
            f"{config.model.name}, {config.model.image_size} px, batch {config.dataset.batch_size}, {name}", flush=True
        )
        speeds: dict[str, list[float]] = {loop: [] for loop in loops}
        for number in range(args.rounds + 1):
            for loop, run in loops.items():
                speed = run()
                # The first round warms up.
                if number:
                    speeds[loop].append(speed)
            if number:
                print(", ".join(f"{loop} {values[-1]:.1f}" for loop, values in speeds.items()), f"{unit}/s", flush=True)
    for loop, values in speeds.items():
        print(f"{loop}: median {statistics.median(values):.1f} {unit}/s ({min(values):.1f} to {max(values):.1f})")
    for other, goal in aims.items():
        ratios = [ours / theirs for ours, theirs in zip(speeds["train.py"], speeds[other], strict=True)]
        print(
            f"train.py over {other}: median {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}), "
            f"aim at least {goal}"
        )


if __name__ == "__main__":
    main()
