"""`python -m benchmarks.gpu`: what is claimed of a GPU, in one go of at most eight minutes.

1. tests/gpu: the shipped trainers start, the CPU's figures, resuming, half precision.
2. Speed of `trainer=a100`, compiled, against a bare compiled loop, and against ImageFolder in 32 bits, for each size
   and batch, as `python -m benchmarks.train` does it; and the GPU memory of all three.
3. A training with only deterministic kernels, and its replay.
4. 15 epochs on as many drawn faces as FERPlus has, at 224 pixels; the copy to the GPU is part of its time.
5. Classification, images a second.

What does not fit into the time is left out by name.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.speeds import measure_rate
from benchmarks.train import limit_training, print_speeds, save_images, take_turns
from fer.bundle.locate import PRETRAINED
from fer.bundle.predictor import Predictor
from fer.config.compose import load_overrides
from fer.train.inputs import prepare_data

AIMS = {"bare": 0.95, "habit": 5.0}
# Its training part is as large as FERPlus's own, after the split of 80/10/10.
FERPLUS_FACES = 35_887
SHARES = {"rounds": 3, "batches": 40, "workers": 8}


class Clock:
    """The time that is left."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    def has(self, seconds: float, what: str) -> bool:
        """Whether so much is left; says what is left out where it is not."""
        left = self.end - time.monotonic()
        if left < seconds:
            print(f"left out, {left:.0f} s are left of the {seconds:.0f} s that it may take: {what}", flush=True)
        return left >= seconds


def run_program(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with arguments, and print its last lines."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    print("\n".join((done.stdout + done.stderr).strip().splitlines()[-4:]), flush=True)
    return done


def measure_speed(trainer: str, sizes: list[int], batches: list[int], folder: Path, clock: Clock) -> None:
    """Let the training loops take turns at each size and batch."""
    data_keys = [f"trainer={trainer}", "dataset.sources.synthetic.count=4000", f"dataset.cache_dir={folder / 'cache'}"]
    data = prepare_data(load_overrides(data_keys), max(sizes))
    save_images(data.store, data.manifest, folder / "images")
    for size in sizes:
        for batch in batches:
            title = f"{size} px, batch {batch}"
            if not clock.has(75, title):
                continue
            print(title, flush=True)
            keys = [f"model.image_size={size}", f"dataset.batch_size={batch}"]
            overrides = [*limit_training(SHARES["batches"]), *data_keys, *keys]
            speeds = take_turns(["bare", "train.py", "habit"], overrides, **SHARES, folder=folder, unit="images")
            print_speeds(speeds, "images", AIMS)


def replay_training(trainer: str, folder: Path) -> None:
    """Train with deterministic kernels, and once more."""
    run = folder / "deterministic"
    keys = [f"trainer={trainer}", "trainer.deterministic=true", "trainer.max_epochs=2", "model.image_size=64"]
    if run_program("train.py", "dataset.sources.synthetic.count=700", *keys, f"hydra.run.dir={run}").returncode == 0:
        run_program("-m", "fer.replay", str(run))


def train_ferplus_sized(trainer: str, size: int, faces: int, epochs: int, folder: Path) -> None:
    """The whole training that is claimed to take a minute."""
    run = folder / "ferplus-sized"
    keys = [f"trainer={trainer}", f"trainer.max_epochs={epochs}", "trainer.early_stopping.patience=null"]
    data = [f"dataset.sources.synthetic.count={faces}", f"dataset.cache_dir={folder / 'large'}"]
    start = time.monotonic()
    done = run_program("train.py", *data, *keys, f"model.image_size={size}", f"hydra.run.dir={run}")
    if done.returncode == 0:
        seconds = json.loads((run / "provenance.json").read_text())["fit_seconds"]
        whole = time.monotonic() - start
        print(f"{epochs} epochs, {faces} faces, {size} px: {seconds:.1f} s of training, {whole:.1f} s in all, aim 60")


def measure_classification(device: str) -> None:
    """Images a second of the shipped model."""
    images = list(np.random.default_rng(0).integers(0, 256, (8192, 48, 48), dtype=np.uint8))
    predictor = Predictor.load(PRETRAINED, device=device, runtime="torch")
    rates = [measure_rate(lambda: len(predictor.predict(images, batch_size=256))) for _ in range(4)]
    print(f"classification, batch 256: {sorted(rates[1:])[1]:.0f} images/s")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--seconds", type=float, default=480, help="time for everything")
    parser.add_argument("--trainer", default="a100", help="a group of conf/trainer")
    parser.add_argument("--sizes", type=int, nargs="+", default=[224, 112, 64], help="pixels")
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 256], help="images of a step")
    parser.add_argument("--faces", type=int, default=FERPLUS_FACES, help="drawn faces of the whole training")
    parser.add_argument("--epochs", type=int, default=15, help="epochs of the whole training")
    args = parser.parse_args()
    clock = Clock(args.seconds)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print(torch.cuda.get_device_name() if device == "cuda" else "no GPU", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # Drawn on a core beside everything else.
        drawing = (
            "from fer.config.compose import load_overrides; from fer.train.inputs import prepare_data; "
            f"prepare_data(load_overrides(['dataset.sources.synthetic.count={args.faces}', "
            f"'dataset.cache_dir={folder / 'large'}']), {args.sizes[0]})"
        )
        with subprocess.Popen([sys.executable, "-c", drawing], stderr=subprocess.DEVNULL) as drawn:
            if clock.has(60, "tests/gpu"):
                run_program("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/gpu")
            if clock.has(60, "deterministic training and its replay"):
                replay_training(args.trainer, folder)
            measure_classification(device)
            drawn.wait()
        if clock.has(120, "the whole training"):
            train_ferplus_sized(args.trainer, args.sizes[0], args.faces, args.epochs, folder)
        measure_speed(args.trainer, args.sizes, args.batches, folder, clock)


if __name__ == "__main__":
    main()
