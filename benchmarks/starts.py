"""`python -m benchmarks.starts [--before CHECKOUT]`: what programs cost before they do their work.

Processor seconds of whole processes, user and system together, which other programs disturb less than the clock does.
Both checkouts take turns in each round; medians and ranges over the rounds are printed.

- a sweep's own cost: jobs are composed, checked, written and recorded, but `false` runs in place of each training
- what a training imports: `fer.train.pipeline`, PyTorch included, and nothing else
- infer.py on a clip: eight drawn seconds, one frame a second, the model that comes with the program
- fer compare: drawn runs of 140 test images; a thousand of them in this checkout alone
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from fer.core.installation import PROJECT_ROOT
from fer.synthetic.video import write_clip
from tests.helpers.compared_runs import make_run, predictions

MANY, FEW_RUNS, MANY_RUNS = 21, 100, 1000
SWEEP = (
    "import subprocess, fer.cli.train, fer.sweep.job\n"
    "fer.sweep.job.start_training = lambda *_: subprocess.Popen(['false'], stdout=subprocess.PIPE, text=True)\n"
    "fer.cli.train.run()"
)
IMPORTS = (
    "import fer.cli.train\n"
    "try: from fer.core.garbage import pause_garbage_collection as pause\n"
    "except ImportError: from contextlib import nullcontext as pause\n"
    "with pause(): import fer.train.pipeline"
)
Measurement = Callable[[Path], float]


def measure_cpu_seconds(checkout: Path, folder: Path, *arguments: str) -> float:
    """Processor seconds of `python ARGUMENTS` and all that it starts, with the code of a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure_job(checkout: Path, folder: Path) -> float:
    """What a job costs a sweep: the difference between many jobs and one."""
    seconds = [
        measure_cpu_seconds(checkout, folder, "-c", SWEEP, "-m", f"seed=range({count})", "trainer=debug")
        for count in (1, MANY)
    ]
    return (seconds[1] - seconds[0]) / (MANY - 1)


def draw_runs(folder: Path, count: int) -> Path:
    """Write runs that differ in seed and learning rate."""
    template = make_run(folder / "template", epochs=3)
    text = (template / "run.yaml").read_text(encoding="utf-8")
    for number in range(count):
        run = make_run(folder / "runs" / str(number), epochs=3, table=predictions(draw_answers(number)))
        changed = text.replace("lr: 0.001", f"lr: {(number % 25 + 1) / 1000}").replace(
            "seed: 0", f"seed: {number // 25}"
        )
        (run / "run.yaml").write_text(changed, encoding="utf-8")
    return folder / "runs"


def draw_answers(seed: int) -> np.ndarray:
    """Which of the test images a run classifies rightly."""
    return np.random.default_rng(seed).random(140) < 0.7


def list_measurements(folder: Path) -> Iterator[tuple[str, Measurement]]:
    """Yield (name, how it is measured) of all that is measured in every round."""

    def measure_train(*arguments: str) -> Measurement:
        return lambda checkout: measure_cpu_seconds(checkout, folder, str(checkout / "train.py"), *arguments)

    clip = write_clip(folder / "clip", 8.0)
    detector = "extraction=haar"
    yield "train.py --cfg job", measure_train("--cfg", "job")
    yield "refusal of a mistyped key", measure_train("optimizer.lrr=1")
    yield "refusal of a value", measure_train("optimizer.lr=-1")
    yield "train.py --help", measure_train("--help")
    yield "a sweep's own cost, a job", lambda checkout: measure_job(checkout, folder)
    yield "what a training imports", lambda checkout: measure_cpu_seconds(checkout, folder, "-c", IMPORTS)
    yield (
        "infer.py on a clip of eight seconds",
        lambda checkout: measure_cpu_seconds(
            checkout, folder, str(checkout / "infer.py"), f"extraction.input={clip}", detector
        ),
    )


def format_seconds(seconds: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f}–{max(seconds):.2f})" if seconds else "–"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.starts", description=__doc__)
    parser.add_argument("--before", type=Path, help="another checkout, measured in turn with this one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", metavar="WORDS", help="lines whose name has them")
    args = parser.parse_args()
    checkouts = [path.resolve() for path in (args.before, PROJECT_ROOT) if path is not None]
    print(f"| processor seconds | {' | '.join(map(str, checkouts))} |\n| --- |{' --- |' * len(checkouts)}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for line, measure in list_measurements(folder):
            if args.only in line:
                rounds = [[measure(checkout) for checkout in checkouts] for _ in range(args.rounds)]
                print(f"| {line} | {' | '.join(format_seconds(list(row)) for row in zip(*rounds, strict=True))} |")
        for count in (FEW_RUNS, MANY_RUNS):
            if args.only not in (line := f"fer compare over {count} runs"):
                continue
            runs = draw_runs(folder / str(count), count)
            cells = []
            for checkout in checkouts:
                measured = count == FEW_RUNS or checkout == checkouts[-1]
                arguments = ("-m", "fer.compare", str(runs), "--out", str(folder / "out"))
                cells.append(format_seconds([measure_cpu_seconds(checkout, folder, *arguments)] if measured else []))
            megabytes = (folder / "out" / "comparison.html").stat().st_size / 1e6
            print(f"| {line} (page {megabytes:.1f} MB) | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
