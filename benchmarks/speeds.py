"""How fast works are that take turns, and ratios of their speeds within a turn."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Speed:
    """Items a second by the clock, and milliseconds an item of all processors together."""

    rate: float
    processor_ms: float


def measure_speed(work: Callable[[], int]) -> Speed:
    """The speed of ``work``, which returns how many items it did."""
    start, processor_start = time.perf_counter(), time.process_time()
    items = work()
    seconds, processor_seconds = time.perf_counter() - start, time.process_time() - processor_start
    return Speed(items / seconds, 1000 * processor_seconds / items)


def measure_rate(work: Callable[[], int]) -> float:
    """Items a second of ``work``, which returns how many it did."""
    return measure_speed(work).rate


def compare_speeds(rounds: int, works: dict[str, Callable[[], int]]) -> dict[str, list[Speed]]:
    """Speeds of works that take turns; the first round warms up and is not counted."""
    speeds: dict[str, list[Speed]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            speed = measure_speed(work)
            if number:
                speeds[name].append(speed)
    return speeds


def compare_rates(rounds: int, works: dict[str, Callable[[], int]]) -> dict[str, list[float]]:
    """The rates of ``compare_speeds``."""
    return {name: [speed.rate for speed in speeds] for name, speeds in compare_speeds(rounds, works).items()}


def describe_ratio(one: list[float], other: list[float]) -> str:
    """Median and range of the ratios of two works' rates, round by round."""
    values = [a / b for a, b in zip(one, other, strict=True)]
    return f"median {statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def describe_speed_ratio(one: Sequence[Speed], other: Sequence[Speed]) -> str:
    """The same by the clock, and the median by processor time."""
    by_clock = describe_ratio([speed.rate for speed in one], [speed.rate for speed in other])
    by_processor = statistics.median(b.processor_ms / a.processor_ms for a, b in zip(one, other, strict=True))
    return f"{by_clock}, by processor time {by_processor:.3f}"
