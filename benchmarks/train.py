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
import resource
import statistics
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import torch

from benchmarks.speeds import describe_ratio
from benchmarks.train_loops import build_loop
from fer.config.compose import load_overrides
from fer.core.system import resolve_thread_count
from fer.data.image_store import ImageStore
from fer.data.manifest import Manifest
from fer.train.device import resolve_device
from fer.train.inputs import prepare_data

AIMS = {"bare": 0.97, "habit": 1.7}


def limit_training(batches: int) -> list[str]:
    """Overrides of a training of so many batches an epoch; its first epoch warms up."""
    return [f"trainer.limit_batches={batches}", "trainer.max_epochs=2", "trainer.early_stopping.patience=null"]


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
    """Run a loop whenever the parent asks for it, until it asks no more; then tell the peak memory, MiB."""
    run = build_loop(name, load_overrides(overrides), batches, workers, folder)
    while connection.recv():
        connection.send(run())
    if torch.cuda.is_initialized():
        connection.send(torch.cuda.max_memory_reserved() / 2**20)
    else:
        connection.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10)


def take_turns(
    names: list[str], overrides: list[str], *, rounds: int, batches: int, workers: int, folder: Path, unit: str
) -> dict[str, list[float]]:
    """Let the loops take turns; the first round, which warms up, is not counted.

    Args:
        names: Of the loops, as ``build_loop`` takes them.
        overrides: What is trained.
        rounds: How often they take turns.
        batches: Batches a turn.
        workers: DataLoader workers of the habit.
        folder: Has the training images as files in ``images``.
        unit: What is counted.

    Returns:
        Images or clips a second in each round, of each loop.
    """
    context = multiprocessing.get_context("spawn")
    speeds: dict[str, list[float]] = {name: [] for name in names}
    connections: dict[str, Connection] = {}
    for name in names:
        connections[name], theirs = context.Pipe()
        process = context.Process(
            target=serve_loop,
            args=(theirs, name, overrides, batches, workers, folder),
            # The habit's DataLoader has processes of its own.
            daemon=name != "habit",
        )
        process.start()
        theirs.close()
    for connection in connections.values():
        connection.send(True)
    # Compiling and first allocations, all at once.
    for connection in connections.values():
        connection.recv()
    for _ in range(rounds):
        for name, connection in connections.items():
            connection.send(True)
            speeds[name].append(connection.recv())
        print(", ".join(f"{name} {values[-1]:.1f}" for name, values in speeds.items()), f"{unit}/s", flush=True)
    for connection in connections.values():
        connection.send(False)
    print("peak memory: " + ", ".join(f"{name} {pipe.recv():.0f} MiB" for name, pipe in connections.items()))
    return speeds


def print_speeds(speeds: dict[str, list[float]], unit: str, aims: dict[str, float]) -> None:
    """Print medians and ranges, and the ratios round by round beside what is aimed at."""
    for name, values in speeds.items():
        print(f"{name}: median {statistics.median(values):.1f} {unit}/s ({min(values):.1f} to {max(values):.1f})")
    for other, aim in aims.items():
        if other in speeds:
            print(f"train.py over {other}: {describe_ratio(speeds['train.py'], speeds[other])}, aim at least {aim}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often the loops take turns")
    parser.add_argument("--batches", type=int, default=25, help="batches a turn")
    parser.add_argument("--workers", type=int, default=2, help="DataLoader workers of the habit")
    parser.add_argument("overrides", nargs="*", help="such as trainer=a100 model.image_size=224 dataset.batch_size=64")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        overrides = [*limit_training(args.batches), f"dataset.cache_dir={folder / 'cache'}", *args.overrides]
        config = load_overrides(overrides)
        data = prepare_data(config, config.model.image_size)
        names, unit = ["bare", "train.py"], "clips"
        if data.store.clips is None:
            save_images(data.store, data.manifest, folder / "images")
            names, unit = [*names, "habit"], "images"
        device = resolve_device(config)
        threads = resolve_thread_count(config.trainer.threads)
        machine = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {threads} threads"
        size, batch = config.model.image_size, config.dataset.batch_size
        print(f"{config.model.name}, {size} px, batch {batch}, {machine}", flush=True)
        counts = {"rounds": args.rounds, "batches": args.batches, "workers": args.workers}
        speeds = take_turns(names, overrides, **counts, folder=folder, unit=unit)
    print_speeds(speeds, unit, AIMS)


if __name__ == "__main__":
    main()
