"""`python -m benchmarks.runtimes`: images a second of each runtime on this CPU, and how long it takes to start.

PyTorch, ONNX Runtime and OpenVINO take turns with the same images; ratios are taken within a round, and medians are
printed. The network was exported before, as it is after the first start.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.speeds import compare_rates, describe_ratio
from fer.bundle.locate import PRETRAINED
from fer.bundle.predictor import RUNTIMES, Predictor, Runtime

# The runtime that the others are compared with, which `inference.runtime=auto` takes.
REFERENCE: Runtime = "onnx"


def count_predictions(predictor: Predictor, images: list[np.ndarray], batch_size: int) -> int:
    """Classify images; returns how many."""
    return len(predictor.predict(images, batch_size=batch_size))


def measure_runtimes(model: str, threads: int, batches: list[int], count: int, rounds: int) -> None:
    """Let the runtimes take turns with so many images, and print their rates."""
    Predictor.load(model, runtime=REFERENCE)
    predictors, starts = {}, []
    for runtime in RUNTIMES:
        start = time.perf_counter()
        predictors[runtime] = Predictor.load(model, runtime=runtime, threads=threads)
        starts.append(f"{runtime} {time.perf_counter() - start:.1f} s")
    side = predictors[REFERENCE].description.faces.side
    images = list(np.random.default_rng(0).integers(0, 256, (count, side, side), dtype=np.uint8))
    print(f"{threads} threads; start: {', '.join(starts)}", flush=True)
    for batch in batches:
        works: dict[str, Callable[[], int]] = {}
        for runtime, predictor in predictors.items():
            works[runtime] = partial(count_predictions, predictor, images, batch)
        speeds = compare_rates(rounds, works)
        for name, values in speeds.items():
            ratio = "" if name == REFERENCE else f", over {REFERENCE}: {describe_ratio(values, speeds[REFERENCE])}"
            print(f"  batch {batch}, {name}: median {statistics.median(values):.0f} images/s{ratio}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.runtimes", description=__doc__)
    parser.add_argument("--model", default=PRETRAINED, help="a run, a bundle, or the shipped model")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="CPU threads of one batch")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32], help="images at a time")
    parser.add_argument("--images", type=int, default=64, help="images of a turn")
    parser.add_argument("--rounds", type=int, default=15, help="how often they take turns")
    args = parser.parse_args()
    for threads in args.threads:
        measure_runtimes(args.model, threads, args.batches, args.images, args.rounds)


if __name__ == "__main__":
    main()
