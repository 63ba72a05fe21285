"""`python -m benchmarks.ddp`: how much faster several devices train than one.

One device and several take turns for some rounds, each time with a whole training of two epochs; the speed is that of
the second one, as history.csv states it. On the CPU one process has all cores, and several divide them.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from fer.config.compose import load_overrides
from fer.core.installation import PROJECT_ROOT


def measure_speed(overrides: Sequence[str], folder: Path) -> float:
    """Images a second of a training in a new run directory."""
    command = [sys.executable, str(PROJECT_ROOT / "train.py"), *overrides, f"hydra.run.dir={folder}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    # The first epoch warms up.
    return float(pd.read_csv(folder / "history.csv")["images_per_second"].iloc[-1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ddp", description=__doc__)
    parser.add_argument("--devices", type=int, default=2, help="how many devices against one")
    parser.add_argument("--rounds", type=int, default=3, help="how often they take turns")
    parser.add_argument("--batches", type=int, default=25, help="batches an epoch")
    parser.add_argument("--grow", action="store_true", help="so many times the batch, instead of the same, on several")
    parser.add_argument("overrides", nargs="*", help="such as trainer.accelerator=gpu dataset.batch_size=256")
    args = parser.parse_args()
    limits = [f"trainer.limit_batches={args.batches}", "trainer.max_epochs=2", "trainer.early_stopping.patience=null"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shared = [*limits, f"dataset.cache_dir={folder / 'cache'}", *args.overrides]
        config = load_overrides(shared)
        batch = config.dataset.batch_size * (args.devices if args.grow else 1)
        commands = {
            1: [*shared, "trainer.devices=1"],
            args.devices: [*shared, f"trainer.devices={args.devices}", f"dataset.batch_size={batch}"],
        }
        print(f"{config.model.name}, {config.model.image_size} px, batches of {config.dataset.batch_size} and {batch}")
        speeds: dict[int, list[float]] = {count: [] for count in commands}
        for number in range(args.rounds):
            for count, overrides in commands.items():
                speeds[count].append(measure_speed(overrides, folder / f"{number}-{count}"))
            print(
                ", ".join(f"{count} devices {values[-1]:.1f}" for count, values in speeds.items()),
                "images/s",
                flush=True,
            )
    ratios = [several / one for one, several in zip(*speeds.values(), strict=True)]
    print(
        f"{args.devices} devices over one: median {statistics.median(ratios):.3f} "
        f"({min(ratios):.3f} to {max(ratios):.3f})"
    )


if __name__ == "__main__":
    main()
