"""`python -m benchmarks.ddp`: how much faster several devices train than one.

One device and several take turns for some rounds, each time with a whole training of two epochs; the speed is that of
the second one, as history.csv states it. On the CPU one process has all cores, and several divide them.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import torch

from fer.config import Config
from fer.config.compose import load_overrides
from fer.data.image_store import Store
from fer.data.manifest import Manifest
from fer.runs.run_directory import Run
from fer.train.device import device_of
from fer.train.fit import fit
from fer.train.inputs import prepare
from fer.train.reproducibility import seed_everything, set_threads


def speed(config: Config, store: Store, manifest: Manifest, folder: Path) -> float:
    """Images a second of a training in a new run directory."""
    set_threads(config.trainer.threads, config.trainer.devices)
    seed_everything(config.seed)
    run = Run(folder, config)
    fitted = fit(config, store, manifest, run.directory, device_of(config))
    assert fitted is not None
    # The first epoch warms up.
    return fitted.history[-1]["images_per_second"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ddp", description=__doc__)
    parser.add_argument("--devices", type=int, default=2, help="how many devices against one")
    parser.add_argument("--rounds", type=int, default=3, help="how often they take turns")
    parser.add_argument("--batches", type=int, default=25, help="batches an epoch")
    parser.add_argument("--grow", action="store_true", help="so many times the batch, instead of the same, on several")
    parser.add_argument("overrides", nargs="*", help="such as trainer.accelerator=gpu dataset.batch_size=256")
    chosen = parser.parse_args()
    limits = [f"trainer.limit_batches={chosen.batches}", "trainer.max_epochs=2", "trainer.early_stopping.patience=null"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shared = [*limits, f"dataset.cache_dir={folder / 'cache'}", *chosen.overrides]
        one = load_overrides([*shared, "trainer.devices=1"])
        batch = one.dataset.batch_size * (chosen.devices if chosen.grow else 1)
        several = load_overrides([*shared, f"trainer.devices={chosen.devices}", f"dataset.batch_size={batch}"])
        device = device_of(several)
        seed_everything(one.seed)
        store, manifest = prepare(one, Run(folder / "prepared", one), one.model.image_size)
        name = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {set_threads(one.trainer.threads)} threads"
        print(f"{one.model.name}, {one.model.image_size} px, batches of {one.dataset.batch_size} and {batch}, {name}")
        speeds: dict[int, list[float]] = {1: [], chosen.devices: []}
        for turn in range(chosen.rounds):
            for count, config in ((1, one), (chosen.devices, several)):
                speeds[count].append(speed(config, store, manifest, folder / f"{turn}-{count}"))
            print(
                ", ".join(f"{count} devices {values[-1]:.1f}" for count, values in speeds.items()),
                "images/s",
                flush=True,
            )
    ratios = [more / alone for alone, more in zip(*speeds.values(), strict=True)]
    print(
        f"{chosen.devices} devices over one: median {statistics.median(ratios):.3f} "
        f"({min(ratios):.3f} to {max(ratios):.3f})"
    )


if __name__ == "__main__":
    main()
