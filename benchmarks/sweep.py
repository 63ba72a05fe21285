"""`python -m benchmarks.sweep`: what a sweep itself costs for each job, and the start of a program.

Jobs with a refused value are composed, validated and recorded, and nothing else: the difference between a sweep of many
of them and a sweep of one is what a job costs apart from its training's own process.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time

from fer.config.compose import compose_config
from fer.core.installation import PROJECT_ROOT

TRAIN = str(PROJECT_ROOT / "train.py")
MANY = 21


def measure_seconds(directory: str, *arguments: str) -> float:
    """How long train.py takes with these arguments."""
    start = time.perf_counter()
    subprocess.run([sys.executable, TRAIN, *arguments], cwd=directory, capture_output=True, check=False)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    starts, job_costs, compositions = [], [], []
    compose_config([])
    with tempfile.TemporaryDirectory() as directory:
        for _ in range(rounds):
            starts.append(measure_seconds(directory, "--cfg", "job"))
            one = measure_seconds(directory, "-m", "optimizer.lr=-1", "seed=0")
            many = measure_seconds(directory, "-m", "optimizer.lr=-1", f"seed=range({MANY})")
            job_costs.append((many - one) / (MANY - 1))
            start = time.perf_counter()
            compose_config(["optimizer.lr=-1", "seed=0"], with_hydra=True)
            compositions.append(time.perf_counter() - start)
    print(f"train.py --cfg job: {statistics.median(starts):.2f} s (median of {rounds})")
    print(f"a sweep's own cost: {statistics.median(job_costs):.3f} s a job (median of {rounds})")
    print(
        f"of it, Hydra's composition of a configuration: {statistics.median(compositions):.3f} s (median of {rounds})"
    )


if __name__ == "__main__":
    main()
