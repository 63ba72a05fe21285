"""`python -m benchmarks.train`: how fast train.py's loop is, against a bare loop and against what people write.

Three loops take turns for some rounds, each in a process of its own, with the same architecture, size, batch and
threads:

- bare: forward, backward and step on one ready tensor; nothing is loaded or augmented. It keeps freed memory, and has
  the precision, memory format and compilation of train.py
- train.py: the real loop of this project, with data, augmentation, moving average, schedule and progress
- habit: torchvision's ImageFolder, PIL transforms, DataLoader workers, default memory format, 32 bits

With `model=temporal` and a dataset of clips the first two take turns, and clips are counted.
"""

import argparse
import multiprocessing
import statistics
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import torch

from benchmarks.train_loops import build_loop
from fer.config.compose import load_overrides
from fer.core.system import resolve_thread_count
from fer.data.image_store import ImageStore
from fer.data.manifest import Manifest
from fer.train.device import resolve_device
from fer.train.inputs import prepare_data

AIMS = {"bare": 0.97, "habit": 1.7}


def save_images(store: ImageStore, manifest: Manifest, folder: Path) -> None:
    """The training images as PNG files in class folders, as ImageFolder wants them."""
    training = manifest.get_split("train")
    for row, label in zip(training.index.to_numpy(), training["label"], strict=True):
        path = folder / label / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.cvtColor(store.images[row], cv2.COLOR_RGB2BGR))


def serve_loop(
    connection: Connection, name: str, overrides: list[str], batches: int, workers: int, folder: Path
) -> None:
    """Run a loop whenever the parent asks for it, until it asks no more."""
    run = build_loop(name, load_overrides(overrides), batches, workers, folder)
    while connection.recv():
        connection.send(run())


def take_turns(
    names: list[str], overrides: list[str], options: argparse.Namespace, folder: Path, unit: str
) -> dict[str, list[float]]:
    """Let the loops take turns; the first round, which warms up, is not counted.

    Returns:
        Images or clips a second in each round, of each loop.
    """
    context = multiprocessing.get_context("spawn")
    speeds: dict[str, list[float]] = {name: [] for name in names}
    connections = {}
    for name in names:
        connections[name], theirs = context.Pipe()
        process = context.Process(
            target=serve_loop,
            args=(theirs, name, overrides, options.batches, options.workers, folder),
            # The habit's DataLoader has processes of its own.
            daemon=name != "habit",
        )
        process.start()
        theirs.close()
    for number in range(options.rounds + 1):
        for name, connection in connections.items():
            connection.send(True)
            speed = connection.recv()
            if number:
                speeds[name].append(speed)
        if number:
            print(", ".join(f"{name} {values[-1]:.1f}" for name, values in speeds.items()), f"{unit}/s", flush=True)
    for connection in connections.values():
        connection.send(False)
    return speeds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often the loops take turns")
    parser.add_argument("--batches", type=int, default=25, help="batches a turn")
    parser.add_argument("--workers", type=int, default=2, help="DataLoader workers of the habit")
    parser.add_argument("overrides", nargs="*", help="such as trainer=a100 model.image_size=224 dataset.batch_size=64")
    args = parser.parse_args()
    limits = [f"trainer.limit_batches={args.batches}", "trainer.max_epochs=2", "trainer.early_stopping.patience=null"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        overrides = [*limits, f"dataset.cache_dir={folder / 'cache'}", *args.overrides]
        config = load_overrides(overrides)
        data = prepare_data(config, config.model.image_size)
        names = ["bare", "train.py"]
        if data.store.clips is None:
            save_images(data.store, data.manifest, folder / "images")
            names.append("habit")
        unit = "images" if data.store.clips is None else "clips"
        device = resolve_device(config)
        threads = resolve_thread_count(config.trainer.threads)
        machine = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {threads} threads"
        print(f"{config.model.name}, {config.model.image_size} px, batch {config.dataset.batch_size}, {machine}")
        speeds = take_turns(names, overrides, args, folder, unit)
    for name, values in speeds.items():
        print(f"{name}: median {statistics.median(values):.1f} {unit}/s ({min(values):.1f} to {max(values):.1f})")
    for other in names:
        if other in AIMS:
            ratios = [ours / theirs for ours, theirs in zip(speeds["train.py"], speeds[other], strict=True)]
            print(
                f"train.py over {other}: median {statistics.median(ratios):.3f} "
                f"({min(ratios):.3f} to {max(ratios):.3f}), aim at least {AIMS[other]}"
            )


if __name__ == "__main__":
    main()
