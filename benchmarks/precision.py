"""`python -m benchmarks.precision`: what bfloat16 gives a training on this CPU, against full precision.

Three networks of one architecture take turns, each for some steps on a tensor that is ready:

- 32: full precision
- bf16: autocast to bfloat16, as PyTorch has it
- bf16+: the same, with strided depthwise convolutions in full precision, as train.py has it
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch.nn.functional import cross_entropy

from fer.models.depthwise import compute_strided_depthwise_in_float32
from fer.models.network import create_body
from fer.train.reproducibility import set_threads

CLASSES = 7


def build_loop(name: str, size: int, batch: int, way: str) -> Callable[[int], float]:
    """A loop of training steps that returns its images a second."""
    body = create_body(name, CLASSES, size, 0.2).to(memory_format=torch.channels_last).train()
    if way == "bf16+":
        compute_strided_depthwise_in_float32(body)
    optimizer = torch.optim.AdamW(body.parameters(), lr=1e-3)
    images = torch.rand(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    targets = torch.full((batch, CLASSES), 1 / CLASSES)

    def run(steps: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            with torch.autocast("cpu", torch.bfloat16, enabled=way != "32"):
                logits = body(images)
            optimizer.zero_grad()
            cross_entropy(logits.float(), targets).backward()
            optimizer.step()
        return steps * batch / (time.perf_counter() - start)

    return run


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mobilenetv2_100", help="timm's name of the architecture")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 96, 112], help="widths of the pictures")
    parser.add_argument("--batch", type=int, default=64, help="images a step")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads")
    parser.add_argument("--steps", type=int, default=5, help="steps a turn")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each")
    arguments = parser.parse_args()
    threads = set_threads(arguments.threads, 1)
    print(f"{arguments.model}, batch {arguments.batch}, {threads} threads; images/s, and the ratio to full precision")
    for size in arguments.sizes:
        ways = {way: build_loop(arguments.model, size, arguments.batch, way) for way in ("32", "bf16", "bf16+")}
        for run in ways.values():
            # The first steps allocate, and let oneDNN choose its kernels.
            run(2)
        rates: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(arguments.rounds):
            for way, run in ways.items():
                rates[way].append(run(arguments.steps))
        medians = {way: statistics.median(values) for way, values in rates.items()}
        row = "  ".join(f"{way} {value:6.1f} ({value / medians['32']:.2f})" for way, value in medians.items())
        print(f"{size:4} px  {row}", flush=True)


if __name__ == "__main__":
    main()
