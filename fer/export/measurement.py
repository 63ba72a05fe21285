"""What a file costs and what it keeps: its answers against the bundle's, accuracy with intervals, time, size."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from fer.export.formats.base import Runner
from fer.export.inputs import ModelInputs
from fer.metrics.bootstrap import BootstrapMetrics, compute_paired_difference, resample_metrics

BATCH_SIZES = (1, 32)
# A time is that of the fastest of so many calls at least, which take so long together: others are held up by programs.
MIN_CALLS, MIN_SECONDS = 5, 1.0
METRICS = ("accuracy", "macro_f1")
# From N examples to what the model answers, (N, columns) float32.
Answer = Callable[[ModelInputs], np.ndarray]
# Metrics of a model by their name: value, and difference, low, high against the bundle.
Metrics = dict[str, dict[str, float]]


def build_answer(runner: Runner) -> Answer:
    """Return what a loaded file answers to any number of examples, in batches."""

    def answer(inputs: ModelInputs) -> np.ndarray:
        batches = map(runner, inputs.iter_batches(BATCH_SIZES[-1]))
        return np.concatenate([np.concatenate(outputs, 1) for outputs in batches])

    return answer


def compute_difference(answers: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest absolute difference of an answer; infinite where one is no number."""
    if answers.shape != expected.shape or not np.isfinite(answers).all():
        return float("inf")
    return float(np.abs(answers - expected).max())


def measure_times(answer: Answer, inputs: ModelInputs) -> dict[int, float]:
    """Measure the time of a batch of each size of BATCH_SIZES, milliseconds."""
    batches = {size: inputs.take(size) for size in BATCH_SIZES}
    return {size: _measure_time(partial(answer, batch)) for size, batch in batches.items()}


def _measure_time(call: Callable[[], Any]) -> float:
    call()
    times: list[float] = []
    while len(times) < MIN_CALLS or sum(times) < MIN_SECONDS:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


def compare_metrics(labels: np.ndarray, classes: Sequence[str], answers: Sequence[np.ndarray]) -> list[Metrics]:
    """Compare models with the first one of them by a paired bootstrap.

    Args:
        labels: (N,) names of the images' classes.
        classes: Names of the first columns of the answers.
        answers: For each model (N, columns), the bundle's first.

    Returns:
        For each model accuracy and macro-F1: the ``value``, and except for the first ``difference`` from it with the
        ends ``low`` and ``high`` of its 95 % interval.
    """
    names = np.array(classes)
    predicted = np.column_stack([names[values[:, : len(names)].argmax(1)] for values in answers])
    samples = resample_metrics(labels, predicted)
    return [{metric: _compare(samples, metric, column) for metric in METRICS} for column in range(len(answers))]


def _compare(samples: BootstrapMetrics, metric: str, column: int) -> dict[str, float]:
    values: np.ndarray = getattr(samples, metric)
    result = {"value": float(values[0, column])}
    if column:
        found = compute_paired_difference(values[:, column], values[:, :1])
        result |= {"difference": found.value.item(), "low": found.low.item(), "high": found.high.item()}
    return result
